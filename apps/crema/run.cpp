// SPDX-License-Identifier: BSD-3-Clause
//
// crema xdp run: a program over the packets of a capture, one test run each, with what
// BPF_PROG_TEST_RUN of the kernel gives. Maps keep what they hold from packet to packet.
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "apps/common/exit_code.h"
#include "apps/crema/output.h"
#include "apps/crema/packets.h"
#include "apps/crema/verbs.h"
#include "lib/ebpf/abi/verdict.h"
#include "lib/xdp/test_run.h"

namespace crema::command {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kCounted = {"XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"};

/// What became of the capture as a whole.
struct Tally {
    std::array<std::uint64_t, kCounted.size()> verdicts{};
    std::uint64_t packets = 0;
    std::uint64_t refused = 0;   // too short or too long: never run
    std::uint64_t bytes_in = 0;  // of packets that ran
    std::uint64_t ns = 0;        // sum of the mean times
    std::string first_refusal;

    void count(std::uint32_t retval) { ++verdicts[retval < verdicts.size() ? retval : 0]; }
};

bool leaves_the_program(std::uint32_t retval) {
    const auto verdict = static_cast<ebpf::Verdict>(retval);
    return verdict == ebpf::Verdict::pass || verdict == ebpf::Verdict::tx ||
           verdict == ebpf::Verdict::redirect;
}

std::string flags_text(std::uint64_t flags) {
    return flags != 0 ? fmt::format(" flags {:#x}", flags) : "";
}

/// Where a redirected packet would go.
std::string target_text(const ebpf::RedirectTarget& target) {
    switch (target.kind) {
        case ebpf::RedirectTarget::Kind::ifindex:
            return fmt::format("ifindex {}{}", target.index, flags_text(target.flags));
        case ebpf::RedirectTarget::Kind::map:
            return fmt::format("map {} key {}{}", target.map->spec().name, target.index,
                               flags_text(target.flags));
        case ebpf::RedirectTarget::Kind::none:
            break;
    }
    return "nowhere";
}

Json target_json(const ebpf::RedirectTarget& target) {
    switch (target.kind) {
        case ebpf::RedirectTarget::Kind::ifindex:
            return {{"ifindex", target.index}, {"flags", target.flags}};
        case ebpf::RedirectTarget::Kind::map:
            return {
                {"map", target.map->spec().name}, {"key", target.index}, {"flags", target.flags}};
        case ebpf::RedirectTarget::Kind::none:
            break;
    }
    return nullptr;
}

class Report {
  public:
    explicit Report(const RunOptions& options) : options_(options) {}

    void refused(const CapturedPacket& packet, const Error& why) {
        ++tally_.packets;
        ++tally_.refused;
        const std::string text = fmt::format("packet {}: {}", tally_.packets, why.message);
        if (tally_.first_refusal.empty()) {
            tally_.first_refusal = text;
        }
        if (options_.json) {
            packets_.push_back({{"packet", tally_.packets},
                                {"bytes_in", packet.bytes.size()},
                                {"error", {{"errno", why.code}, {"message", why.message}}}});
        } else if (options_.show_packets) {
            print(text + "\n");
        }
    }

    void ran(const CapturedPacket& packet, const xdp::TestRunResult& result) {
        ++tally_.packets;
        tally_.count(result.retval);
        tally_.bytes_in += packet.bytes.size();
        tally_.ns += result.duration_ns;
        const bool redirected =
            result.retval == static_cast<std::uint32_t>(ebpf::Verdict::redirect);
        const std::size_t bytes = result.bytes.size() - result.meta_bytes;
        if (options_.json) {
            Json one = {{"packet", tally_.packets},
                        {"retval", result.retval},
                        {"verdict", verdict_name(result.retval)},
                        {"bytes_in", packet.bytes.size()},
                        {"bytes_out", bytes}};
            const std::span<const std::uint8_t> out = result.bytes;
            if (result.meta_bytes != 0) {
                one["meta"] = hex(out.first(result.meta_bytes));
            }
            one["data"] = hex(out.subspan(result.meta_bytes));
            if (redirected) {
                one["redirect"] = target_json(result.redirect);
            }
            packets_.push_back(std::move(one));
        } else if (options_.show_packets) {
            print(fmt::format("packet {}: {}, {} bytes in, {} out{}{}\n", tally_.packets,
                              verdict_name(result.retval), packet.bytes.size(), bytes,
                              result.meta_bytes != 0
                                  ? fmt::format(", {} bytes of metadata", result.meta_bytes)
                                  : "",
                              redirected ? ", to " + target_text(result.redirect) : ""));
        }
    }

    [[nodiscard]] const Tally& tally() const { return tally_; }

    void print_end(const std::string& program, const ebpf::loader::Object& object) const {
        if (options_.json) {
            print(document(program, object).dump(2, ' ', false, Json::error_handler_t::replace) +
                  "\n");
            return;
        }
        const std::uint64_t ran = tally_.packets - tally_.refused;
        std::string out = fmt::format("{}: {} packets, {} run", program, tally_.packets, ran);
        for (std::size_t i = 0; i < kCounted.size(); ++i) {
            out += fmt::format(", {} {}", kCounted[i], tally_.verdicts[i]);
        }
        if (ran != 0 && options_.repeat > 1) {
            out += fmt::format(", mean {} ns", tally_.ns / ran);
        }
        print(out + "\n");
        if (options_.show_maps) {
            for (const auto& named : object.maps()) {
                print(fmt::format("map {}:\n{}", named.name, app::contents(*named.map)));
            }
        }
    }

  private:
    [[nodiscard]] Json document(const std::string& program,
                                const ebpf::loader::Object& object) const {
        Json verdicts = Json::object();
        for (std::size_t i = 0; i < kCounted.size(); ++i) {
            verdicts[kCounted[i]] = tally_.verdicts[i];
        }
        const std::uint64_t ran = tally_.packets - tally_.refused;
        Json out = {{"object", options_.object},   {"program", program},
                    {"packets", tally_.packets},   {"refused", tally_.refused},
                    {"bytes_in", tally_.bytes_in}, {"verdicts", std::move(verdicts)},
                    {"repeat", options_.repeat},   {"mean_ns", ran != 0 ? tally_.ns / ran : 0},
                    {"per_packet", packets_}};
        if (options_.show_maps) {
            Json maps = Json::array();
            for (const auto& named : object.maps()) {
                maps.push_back(map_json(named));
            }
            out["maps"] = std::move(maps);
        }
        return out;
    }

    [[nodiscard]] static Json map_json(const ebpf::loader::Object::NamedMap& named) {
        Json entries = Json::array();
        for (const app::MapEntry& entry : app::entries_of(*named.map)) {
            Json values = Json::array();
            for (const auto& value : entry.values) {
                values.push_back(hex(value));
            }
            entries.push_back({{"key", hex(entry.key)}, {"values", std::move(values)}});
        }
        return {{"name", named.name}, {"entries", std::move(entries)}};
    }

    const RunOptions& options_;
    Tally tally_;
    Json packets_ = Json::array();
};

/// Runs all packets. The error is of a file; packets that cannot be run are in the report.
Status run_capture(const RunOptions& options,
                   const ebpf::LoadedProgram& program,
                   CaptureReader& reader,
                   CaptureWriter* writer,
                   Report& report) {
    for (;;) {
        auto next = reader.next();
        if (!next) {
            return forward_error(next);
        }
        if (!*next) {
            return {};
        }
        const CapturedPacket& packet = **next;
        const auto result = xdp::test_run(program, packet.bytes, options.ifindex, options.repeat);
        if (!result) {
            report.refused(packet, result.error());
            continue;
        }
        report.ran(packet, *result);
        if (writer != nullptr && leaves_the_program(result->retval)) {
            writer->write(packet.time,
                          std::span<const std::uint8_t>(result->bytes).subspan(result->meta_bytes));
        }
    }
}

struct Files {
    CaptureReader reader;
    std::optional<CaptureWriter> writer;
};

bool is_same_file(const std::string& one, const std::string& other) {
    struct stat a {};

    struct stat b {};

    return ::stat(one.c_str(), &a) == 0 && ::stat(other.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

Result<Files> open_files(const RunOptions& options) {
    auto reader = CaptureReader::open(options.in);
    if (!reader) {
        return forward_error(reader);
    }
    Files files{.reader = std::move(*reader), .writer = {}};
    if (!options.out.empty()) {
        if (is_same_file(options.in, options.out)) {
            return fail(EINVAL, "{}: is the capture that is read: give --out another name",
                        options.out);
        }
        auto writer = CaptureWriter::open(options.out);
        if (!writer) {
            return forward_error(writer);
        }
        files.writer = std::move(*writer);
    }
    return files;
}

Status run(const RunOptions& options) {
    const auto subject = load_subject(options, options.settings);
    if (!subject) {
        return forward_error(subject);
    }
    auto files = open_files(options);
    if (!files) {
        return forward_error(files);
    }
    Report report(options);
    Status done = run_capture(options, *subject->program, files->reader,
                              files->writer ? &*files->writer : nullptr, report);
    if (files->writer) {
        if (Status written = files->writer->finish(); !written && done) {
            done = std::move(written);
        }
    }
    report.print_end(full_name(subject->object, *subject->program), subject->object);
    const Tally& tally = report.tally();
    if (done && tally.refused != 0) {
        return fail(EINVAL, "{} of {} packets could not be run: {}", tally.refused, tally.packets,
                    tally.first_refusal);
    }
    return done;
}

}  // namespace

int run_verb(const RunOptions& options) {
    if (const Status done = run(options); !done) {
        say_error(done.error().message);
        return app::kFailed;
    }
    return app::kDone;
}

}  // namespace crema::command
