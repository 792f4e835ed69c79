// SPDX-License-Identifier: BSD-3-Clause
//
// crema dump: frames as the programs of a running data path get and leave them, in the manner of
// xdpdump: lines, or a pcapng file with an interface per port, program and place, the verdict in
// comment and epb_verdict.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <poll.h>
#include <tuple>

#include "apps/common/exit_code.h"
#include "apps/common/signals.h"
#include "apps/crema/capture_file.h"
#include "apps/crema/frame_filter.h"
#include "apps/crema/pcapng.h"
#include "apps/crema/remote_output.h"
#include "apps/crema/verbs.h"
#include "apps/crema/watch_client.h"
#include "lib/xdp/event_text.h"

namespace crema::command {
namespace {

using nlohmann::ordered_json;
using xdp::CapturePoint;

constexpr int kPauseMs = 5;                              // when nothing has come
constexpr std::size_t kWriteAt = std::size_t{1} << 20U;  // bytes

/// What is known of ports and programs, by number; asked again for new ones.
class Names {
  public:
    [[nodiscard]] Status read(WatchClient& client) {
        auto document = client.ask({{"ask", "stats"}});
        if (!document) {
            return forward_error(document);
        }
        if (!document->contains("programs")) {
            return fail(EPROTO, "what answers there is no data path of this version");
        }
        document_ = std::move(*document);
        return {};
    }

    [[nodiscard]] const ordered_json& ports() const { return (*document_)["ports"]; }

    [[nodiscard]] const ordered_json* program(std::uint32_t id) const {
        return with_number((*document_)["programs"], "id", id);
    }

    [[nodiscard]] std::string port_name(std::uint32_t ifindex) const {
        const ordered_json* const port = with_number(ports(), "ifindex", ifindex);
        return port != nullptr ? (*port)["name"].get<std::string>()
                               : fmt::format("ifindex{}", ifindex);
    }

    [[nodiscard]] std::string program_name(std::uint32_t id) const {
        const ordered_json* const found = program(id);
        return found != nullptr ? (*found)["name"].get<std::string>() : fmt::format("id{}", id);
    }

    /// By name or ifindex. ENOENT says what there is.
    [[nodiscard]] Result<std::uint32_t> find_port(const std::string& which) const {
        std::string names;
        for (const ordered_json& port : ports()) {
            const auto ifindex = port["ifindex"].get<std::uint32_t>();
            const auto name = port["name"].get<std::string>();
            if (which == name || which == std::to_string(ifindex)) {
                return ifindex;
            }
            names += (names.empty() ? "" : ", ") + name;
        }
        return fail(ENOENT, "no port is called {}: there is {}", which,
                    names.empty() ? "none" : names);
    }

    /// By name or number; every program of a name.
    [[nodiscard]] Result<std::vector<std::uint32_t>> find_programs(const std::string& which) const {
        std::vector<std::uint32_t> found;
        for (const ordered_json& each : (*document_)["programs"]) {
            const auto id = each["id"].get<std::uint32_t>();
            if (each["name"] == which || std::to_string(id) == which) {
                found.push_back(id);
            }
        }
        if (found.empty()) {
            return fail(ENOENT, "no program is called {} (crema stats programs lists them)", which);
        }
        return found;
    }

  private:
    static const ordered_json* with_number(const ordered_json& list,
                                           const char* name,
                                           std::uint32_t number) {
        const auto found = std::find_if(
            list.begin(), list.end(), [&](const ordered_json& one) { return one[name] == number; });
        return found != list.end() ? &*found : nullptr;
    }

    std::optional<ordered_json> document_;  // by read()
};

std::string time_text(std::uint64_t unix_ns) {
    return fmt::format("{}.{:09}", unix_ns / 1'000'000'000, unix_ns % 1'000'000'000);
}

/// Sixteen bytes a line, as digits and as letters.
std::string hex_lines(std::span<const std::uint8_t> bytes) {
    std::string out;
    constexpr std::size_t kWidth = 16;
    for (std::size_t at = 0; at < bytes.size(); at += kWidth) {
        const auto row = bytes.subspan(at, std::min(kWidth, bytes.size() - at));
        std::string letters;
        fmt::format_to(std::back_inserter(out), "  {:#06x}: ", at);
        for (std::size_t i = 0; i < kWidth; ++i) {
            out += i < row.size() ? fmt::format(" {:02x}", row[i]) : "   ";
            if (i < row.size()) {
                letters += row[i] >= 0x20 && row[i] < 0x7f ? static_cast<char>(row[i]) : '.';
            }
        }
        out += "  " + letters + "\n";
    }
    return out;
}

class Dump {
  public:
    Dump(const DumpOptions& options, WatchClient client)
        : options_(options), client_(std::move(client)) {}

    [[nodiscard]] Status start();
    /// Until a signal, the wished number of frames, or an error; what was captured is out then.
    [[nodiscard]] Status run();

    /// Ports and their programs.
    void list() const;

    /// First.
    [[nodiscard]] Status read_names() { return names_.read(client_); }

  private:
    struct Place {
        std::uint32_t interface = 0;
        std::uint64_t frames = 0;
    };

    using Key = std::tuple<std::uint32_t, std::uint32_t, CapturePoint>;

    [[nodiscard]] Status take(const CapturedFrame& frame);
    [[nodiscard]] Status know(std::uint32_t program_id);
    [[nodiscard]] Place& place_of(const CapturedFrame& frame);
    void write(const CapturedFrame& frame);
    void say(const CapturedFrame& frame) const;
    [[nodiscard]] Status drain(bool& any);
    [[nodiscard]] Status finish();

    [[nodiscard]] bool is_done() const {
        return options_.count != 0 && captured_ == options_.count;
    }

    const DumpOptions& options_;
    WatchClient client_;
    Names names_;
    std::optional<CaptureFile> file_;
    std::optional<PcapngWriter> writer_;
    std::map<Key, Place> places_;
    std::vector<std::uint32_t> unknown_;  // programs that were gone when they were asked for
    std::uint64_t captured_ = 0;
};

Status Dump::start() {
    ordered_json asked = {{"ask", "capture"},
                          {"entry", options_.at_entry},
                          {"exit", options_.at_exit},
                          {"snap", options_.snap_bytes},
                          {"ring", options_.ring_bytes}};
    if (!options_.port.empty()) {
        const auto port = names_.find_port(options_.port);
        if (!port) {
            return forward_error(port);
        }
        asked["port"] = *port;
    }
    for (const std::string& which : options_.programs) {
        const auto found = names_.find_programs(which);
        if (!found) {
            return forward_error(found);
        }
        for (const std::uint32_t id : *found) {
            asked["programs"].push_back(id);
        }
    }
    asked["filter"] = options_.filter_digits;
    // Before frames are taken that could not be written.
    if (!options_.out.empty()) {
        auto writer = PcapngWriter::open(options_.out);
        if (!writer) {
            return forward_error(writer);
        }
        writer_.emplace(std::move(*writer));
    }
    const auto started = client_.ask(asked);
    if (!started) {
        return forward_error(started);
    }
    auto file = CaptureFile::map(client_.take_descriptor());
    if (!file) {
        return forward_error(file);
    }
    file_.emplace(std::move(*file));
    const auto watched = started->value("watched", 0);
    (void)std::fprintf(stderr, "crema dump: listening on %s, %d program%s, at %s%s%s\n",
                       options_.port.empty() ? "all ports" : options_.port.c_str(), watched,
                       watched == 1 ? "" : "s", options_.at_entry ? "entry" : "",
                       options_.at_entry && options_.at_exit ? " and " : "",
                       options_.at_exit ? "exit" : "");
    return {};
}

Status Dump::know(std::uint32_t program_id) {
    const bool is_asked = std::ranges::find(unknown_, program_id) != unknown_.end() ||
                          names_.program(program_id) != nullptr;
    if (is_asked) {
        return {};
    }
    // When it is gone by now its number has to do.
    Status done = names_.read(client_);
    if (names_.program(program_id) == nullptr) {
        unknown_.push_back(program_id);
    }
    return done;
}

Dump::Place& Dump::place_of(const CapturedFrame& frame) {
    const Key key{frame.about.ifindex, frame.about.program_id, frame.about.point};
    const auto [found, is_new] = places_.try_emplace(key);
    if (is_new) {
        const std::uint32_t id = frame.about.program_id;
        const bool at_exit = frame.about.point == CapturePoint::exit;
        const ordered_json* const program = names_.program(id);
        found->second.interface = writer_->add_interface(
            fmt::format("{}:{}()@{}", names_.port_name(frame.about.ifindex),
                        names_.program_name(id), at_exit ? "fexit" : "fentry"),
            fmt::format("ifindex {}, program id {}{}", frame.about.ifindex, id,
                        program != nullptr ? " tag " + (*program)["tag"].get<std::string>() : ""),
            options_.snap_bytes);
    }
    return found->second;
}

void Dump::write(const CapturedFrame& frame) {
    const bool at_exit = frame.about.point == CapturePoint::exit;
    Place& place = place_of(frame);
    ++place.frames;
    PcapngPacket packet{.interface = place.interface,
                        .unix_ns = frame.unix_ns,
                        .bytes = frame.bytes,
                        .frame_bytes = frame.about.frame_bytes,
                        .id = std::uint64_t{frame.ring} << 48U | frame.about.id,
                        .queue = frame.about.queue};
    if (at_exit) {
        packet.verdict = frame.about.act;
        packet.comment = "verdict: XDP_" + xdp::verdict_text(frame.about.act);
    }
    writer_->add(packet);
}

void Dump::say(const CapturedFrame& frame) const {
    const bool at_exit = frame.about.point == CapturePoint::exit;
    const std::string program = names_.program_name(frame.about.program_id);
    const std::string port = names_.port_name(frame.about.ifindex);
    if (wants_json(options_)) {
        ordered_json line = {{"unix_ns", frame.unix_ns},
                             {"port", port},
                             {"ifindex", frame.about.ifindex},
                             {"queue", frame.about.queue},
                             {"program", program},
                             {"program_id", frame.about.program_id},
                             {"at", at_exit ? "exit" : "entry"},
                             {"id", frame.about.id},
                             {"frame_bytes", frame.about.frame_bytes},
                             {"bytes", hex(frame.bytes)}};
        if (at_exit) {
            line["verdict"] = xdp::verdict_text(frame.about.act);
        }
        print(line.dump() + "\n");
        return;
    }
    const bool is_cut = frame.bytes.size() < frame.about.frame_bytes;
    print(fmt::format("{}: {}()@{}: packet size {} bytes{} on if_name \"{}\", rx queue {}, id {}\n",
                      time_text(frame.unix_ns), program,
                      at_exit ? "exit[" + xdp::verdict_text(frame.about.act) + "]" : "entry",
                      frame.about.frame_bytes,
                      is_cut ? fmt::format(", captured {} bytes", frame.bytes.size()) : "", port,
                      frame.about.queue, frame.about.id));
    if (options_.hex) {
        print(hex_lines(frame.bytes));
    }
}

Status Dump::take(const CapturedFrame& frame) {
    if (Status known = know(frame.about.program_id); !known) {
        return known;
    }
    ++captured_;
    if (writer_) {
        write(frame);
        if (writer_->waiting() >= kWriteAt) {
            return writer_->flush();
        }
    } else {
        say(frame);
    }
    return {};
}

Status Dump::drain(bool& any) {
    const auto frames = file_->read();
    if (!frames) {
        return forward_error(frames);
    }
    any = !frames->empty();
    for (const CapturedFrame& frame : *frames) {
        if (is_done()) {
            break;
        }
        if (Status done = take(frame); !done) {
            return done;
        }
    }
    if (writer_) {
        return writer_->flush();
    }
    return std::fflush(stdout) == 0
               ? Status{}
               : Status(fail(errno, "standard output: cannot be written any more: {}",
                             std::strerror(errno)));
}

Status Dump::finish() {
    if (writer_) {
        const auto now =
            static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                           std::chrono::system_clock::now().time_since_epoch())
                                           .count());
        for (const auto& [key, place] : places_) {
            writer_->add_statistics(place.interface, now, place.frames, file_->dropped());
        }
        if (Status done = writer_->flush(); !done) {
            return done;
        }
    }
    return {};
}

Status Dump::run() {
    Status status;
    bool is_alive = true;
    while (status && is_alive && !is_done() && app::end_signal() == 0) {
        // Asked first: what a data path wrote before it ended is still taken.
        is_alive = client_.is_alive();
        bool any = false;
        status = drain(any);
        if (status && !any) {
            (void)::poll(nullptr, 0, kPauseMs);
        }
    }
    const std::uint64_t dropped = file_->dropped();
    if (status) {
        status = finish();
    }
    (void)std::fprintf(stderr,
                       "crema dump: %llu packets captured\ncrema dump: %llu packets dropped: they "
                       "came faster than they were taken\n",
                       static_cast<unsigned long long>(captured_),
                       static_cast<unsigned long long>(dropped));
    if (status && !is_alive && !is_done() && app::end_signal() == 0) {
        return fail(ECONNRESET, "{}: the data path has ended", options_.to);
    }
    return status;
}

void Dump::list() const {
    ordered_json all = ordered_json::array();
    std::string text = fmt::format("{:<20} {:>8} {:<8} {:>6} {:<16} {}\n", "INTERFACE", "IFINDEX",
                                   "MODE", "ID", "TAG", "PROGRAM");
    for (const ordered_json& port : names_.ports()) {
        const ordered_json& xdp = port["xdp"];
        ordered_json programs = ordered_json::array();
        const auto row = [&](const std::string& id, const std::string& tag,
                             const std::string& name) {
            fmt::format_to(std::back_inserter(text), "{:<20} {:>8} {:<8} {:>6} {:<16} {}\n",
                           port["name"].get<std::string>(), port["ifindex"].get<std::uint32_t>(),
                           xdp["mode"].get<std::string>(), id, tag, name);
        };
        for (const ordered_json& each : xdp["programs"]) {
            const ordered_json& id = each["id"];
            const ordered_json* const program = names_.program(id.get<std::uint32_t>());
            if (program != nullptr) {
                programs.push_back(
                    {{"id", id}, {"name", (*program)["name"]}, {"tag", (*program)["tag"]}});
                row(id.dump(), (*program)["tag"].get<std::string>(),
                    (*program)["name"].get<std::string>());
            }
        }
        if (programs.empty()) {
            row("", "", "<no XDP program>");
        }
        all.push_back({{"name", port["name"]},
                       {"ifindex", port["ifindex"]},
                       {"mode", xdp["mode"]},
                       {"programs", programs}});
    }
    print_either(options_, all, text);
}

Status dump(const DumpOptions& options) {
    auto client = WatchClient::join(options.to);
    if (!client) {
        return forward_error(client);
    }
    Dump work(options, std::move(*client));
    if (Status read = work.read_names(); !read) {
        return read;
    }
    if (options.list) {
        work.list();
        return {};
    }
    if (Status started = work.start(); !started) {
        return started;
    }
    return work.run();
}

}  // namespace

int run_verb(const DumpOptions& options) {
    app::catch_end_signals();
    auto filter = compile_filter(options.filter, options.snap_bytes);
    if (!filter) {
        say_error("dump: " + filter.error().message + " (see crema dump --help)");
        return app::kUsage;
    }
    DumpOptions complete = options;
    complete.filter_digits = *filter;
    if (const Status done = dump(complete); !done) {
        say_error(done.error().message);
        return app::kFailed;
    }
    return app::kDone;
}

}  // namespace crema::command
