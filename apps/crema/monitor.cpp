// SPDX-License-Identifier: BSD-3-Clause
//
// crema monitor: what goes wrong in a running data path, as it happens, and once per interval how
// fast frames come, go and are lost; in the manner of xdp-monitor.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <rte_cycles.h>

#include "apps/common/exit_code.h"
#include "apps/common/signals.h"
#include "apps/crema/rates.h"
#include "apps/crema/remote_output.h"
#include "apps/crema/verbs.h"
#include "apps/crema/watch_client.h"
#include "lib/xdp/event_text.h"
#include "lib/xdp/events.h"

namespace crema::command {
namespace {

using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
using xdp::Event;
using xdp::EventBoard;

constexpr int kLookMs = 50;
constexpr std::uint64_t kLinesPerInterval = 20;  // of events, for people

struct Unmap {
    void operator()(const EventBoard* board) const {
        ::munmap(const_cast<EventBoard*>(board), sizeof(EventBoard));
    }
};

using MappedBoard = std::unique_ptr<const EventBoard, Unmap>;

Result<MappedBoard> map_board(const UniqueFd& file) {
    struct stat status {};

    if (!file.valid() || ::fstat(file.get(), &status) != 0 ||
        status.st_size != static_cast<off_t>(sizeof(EventBoard))) {
        return fail(EPROTO, "the data path's board of events is none of this version");
    }
    void* const memory = ::mmap(nullptr, sizeof(EventBoard), PROT_READ, MAP_SHARED, file.get(), 0);
    if (memory == MAP_FAILED) {
        return fail(errno, "the board of events cannot be mapped: {}", std::strerror(errno));
    }
    return MappedBoard(static_cast<const EventBoard*>(memory));
}

/// Sum of a counter over a list, below `group` when that has a name.
double sum_over(const ordered_json& list, const char* group, std::string_view name) {
    double sum = 0;
    for (const ordered_json& each : list) {
        const ordered_json& from = *group != '\0' ? each[group] : each;
        sum += from.value(std::string(name), 0.0);
    }
    return sum;
}

double sum_of_entries(const ordered_json& maps, bool cpumap, std::string_view name) {
    double sum = 0;
    for (const ordered_json& map : maps) {
        if ((map["type"] == "cpumap") == cpumap) {
            sum += sum_over(map["entries"], "", name);
        }
    }
    return sum;
}

/// The lines of xdp-monitor, as numbers per second.
ordered_json summary_of(const ordered_json& rates) {
    const ordered_json& ports = rates["ports"];
    const auto xdp = [&ports](const char* name) { return sum_over(ports, "xdp", name); };
    const auto cpu = [&rates](const char* name) { return sum_over(rates["cpumap"], "", name); };
    return {
        {"rx", sum_over(ports, "ethdev", "ipackets")},
        {"pass", xdp("rx_xdp_pass")},
        {"drop", xdp("rx_xdp_drop")},
        {"tx", xdp("rx_xdp_tx")},
        {"tx_errors", xdp("rx_xdp_tx_errors")},
        {"redirect", xdp("rx_xdp_redirect")},
        {"redirect_errors", xdp("rx_xdp_redirect_errors") + cpu("redirect_errors")},
        {"exceptions",
         xdp("rx_xdp_aborted") + cpu("aborted") + sum_over(ports, "redirect", "program_aborted")},
        {"devmap_xmit", sum_of_entries(rates["maps"], false, "packets")},
        {"devmap_drops", sum_of_entries(rates["maps"], false, "drops")},
        {"cpumap_enqueue", sum_of_entries(rates["maps"], true, "packets")},
        {"cpumap_enqueue_drops", sum_of_entries(rates["maps"], true, "drops")},
        {"cpumap_kthread", cpu("received")},
        {"cpumap_pass", cpu("pass")},
        {"cpumap_drop", cpu("drop")},
        {"cpumap_redirect", cpu("redirect")},
    };
}

std::string summary_text(const ordered_json& sums) {
    const auto number = [&sums](const char* name) { return sums[name].get<double>(); };
    std::string out =
        fmt::format("Summary            {:>14.0f} rx/s {:>14.0f} redirect/s {:>10.0f} err,drop/s\n",
                    number("rx"), number("redirect"),
                    number("exceptions") + number("redirect_errors") + number("tx_errors") +
                        number("devmap_drops") + number("cpumap_enqueue_drops"));
    fmt::format_to(std::back_inserter(out),
                   "  verdicts         {:>14.0f} pass/s {:>12.0f} drop/s {:>14.0f} tx/s\n",
                   number("pass"), number("drop"), number("tx"));
    const auto line = [&out](const char* name, double good, const char* unit, double bad) {
        if (good != 0 || bad != 0) {
            fmt::format_to(std::back_inserter(out), "  {:<16} {:>14.0f} {}/s {:>12.0f} drop/s\n",
                           name, good, unit, bad);
        }
    };
    line("devmap_xmit", number("devmap_xmit"), "xmit", number("devmap_drops"));
    line("cpumap_enqueue", number("cpumap_enqueue"), "pkt", number("cpumap_enqueue_drops"));
    if (number("cpumap_kthread") != 0) {
        fmt::format_to(std::back_inserter(out),
                       "  {:<16} {:>14.0f} pkt/s {:>13.0f} pass/s {:>10.0f} drop/s {:>10.0f} "
                       "redirect/s\n",
                       "cpumap_kthread", number("cpumap_kthread"), number("cpumap_pass"),
                       number("cpumap_drop"), number("cpumap_redirect"));
    }
    line("xdp_bulk_tx", number("tx"), "xmit", number("tx_errors"));
    const auto bad = [&out](const char* name, double errors) {
        if (errors != 0) {
            fmt::format_to(std::back_inserter(out), "  {:<16} {:>14.0f} /s\n", name, errors);
        }
    };
    bad("exceptions", number("exceptions"));
    bad("redirect_errors", number("redirect_errors"));
    return out;
}

class Monitor {
  public:
    Monitor(const MonitorOptions& options, WatchClient client)
        : options_(options), client_(std::move(client)) {}

    [[nodiscard]] Status run();

  private:
    [[nodiscard]] Status begin();
    void tell(const Event& event);
    [[nodiscard]] Status summarize();
    [[nodiscard]] std::string program_name(std::uint32_t id) const;

    const MonitorOptions& options_;
    WatchClient client_;
    MappedBoard board_;
    std::optional<xdp::EventReader> reader_;
    ordered_json before_;
    double tsc_hz_ = 1;
    std::uint64_t told_ = 0;    // in this interval
    std::uint64_t missed_ = 0;  // in this interval
};

Status Monitor::begin() {
    const auto events = client_.ask({{"ask", "events"}});
    if (!events) {
        return forward_error(events);
    }
    auto board = map_board(client_.take_descriptor());
    if (!board) {
        return forward_error(board);
    }
    board_ = std::move(*board);
    reader_.emplace(*board_, true);
    tsc_hz_ = std::max(1.0, events->value("tsc_hz", 0.0));
    auto document = client_.ask({{"ask", "stats"}});
    if (!document) {
        return forward_error(document);
    }
    before_ = std::move(*document);
    return before_.contains("programs")
               ? Status{}
               : Status(fail(EPROTO, "what answers there is no data path of this version"));
}

std::string Monitor::program_name(std::uint32_t id) const {
    for (const ordered_json& program : before_["programs"]) {
        if (program["id"] == id) {
            return program["name"].get<std::string>();
        }
    }
    return {};
}

void Monitor::tell(const Event& event) {
    ++told_;
    const auto now =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch());
    const double ago =
        static_cast<double>(static_cast<std::int64_t>(rte_rdtsc() - event.tsc)) / tsc_hz_;
    const double at = now.count() - std::max(0.0, ago);
    const std::string program = program_name(event.program_id);
    if (wants_json(options_)) {
        const ordered_json line = {{"type", "event"},
                                   {"time", at},
                                   {"what", xdp::name_of(event.kind)},
                                   {"program", program},
                                   {"program_id", event.program_id},
                                   {"act", xdp::verdict_text(event.act)},
                                   {"err", event.err},
                                   {"ifindex", event.ifindex},
                                   {"queue", event.queue},
                                   {"to", event.to},
                                   {"map_id", event.map_id},
                                   {"map_index", event.map_index},
                                   {"sent", event.sent},
                                   {"drops", event.drops},
                                   {"cpu", event.cpu}};
        print(line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
    } else if (options_.all_events || told_ <= kLinesPerInterval) {
        print(fmt::format("{:.6f} {}\n", at, xdp::text_of(event, program)));
    }
}

Status Monitor::summarize() {
    auto now = client_.ask({{"ask", "stats"}});
    if (!now) {
        return forward_error(now);
    }
    const double seconds =
        std::max(1e-3, (*now)["seconds"].get<double>() - before_["seconds"].get<double>());
    ordered_json sums = summary_of(rates_of(before_, *now, seconds));
    if (wants_json(options_)) {
        ordered_json line = {{"type", "summary"},
                             {"seconds", (*now)["seconds"]},
                             {"interval_s", seconds},
                             {"events", told_},
                             {"events_missed", missed_}};
        line.update(sums);
        print(line.dump() + "\n");
    } else {
        if (told_ > kLinesPerInterval && !options_.all_events) {
            print(fmt::format("{} more events, not shown (--all shows each)\n",
                              told_ - kLinesPerInterval));
        }
        if (missed_ != 0) {
            print(fmt::format("{} more events came too fast to be looked at\n", missed_));
        }
        print(summary_text(sums));
    }
    (void)std::fflush(stdout);
    told_ = missed_ = 0;
    before_ = std::move(*now);
    return std::ferror(stdout) == 0 ? Status{}
                                    : Status(fail(EPIPE, "what is printed goes nowhere"));
}

Status Monitor::run() {
    if (Status begun = begin(); !begun) {
        return begun;
    }
    auto due = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                  std::chrono::duration<double>(options_.interval_s));
    for (std::uint64_t shown = 0; app::end_signal() == 0;) {
        (void)::poll(nullptr, 0, kLookMs);
        reader_->read([this](const Event& event) { tell(event); }, missed_);
        if (Clock::now() < due) {
            if (!client_.is_alive()) {
                return fail(ECONNRESET, "{}: the data path has ended", options_.to);
            }
            continue;
        }
        if (Status done = summarize(); !done) {
            return done;
        }
        if (++shown == options_.count) {
            break;
        }
        due += std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(options_.interval_s));
    }
    return {};
}

}  // namespace

int run_verb(const MonitorOptions& options) {
    app::catch_end_signals();
    auto client = WatchClient::join(options.to);
    Status done = client ? Status{} : Status(forward_error(client));
    if (done) {
        done = Monitor(options, std::move(*client)).run();
    }
    if (!done) {
        say_error(done.error().message);
        return app::kFailed;
    }
    return app::kDone;
}

}  // namespace crema::command
