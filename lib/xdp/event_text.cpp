// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/event_text.h"

#include <array>
#include <cstring>
#include <fmt/format.h>

namespace crema::xdp {
namespace {

constexpr std::array<std::string_view, 5> kVerdicts = {"ABORTED", "DROP", "PASS", "TX", "REDIRECT"};

std::string exception_text(const Event& event, const std::string& who) {
    const bool is_devmap = event.to != 0;
    const std::string what =
        event.act == 0 ? std::string("returned ABORTED")
        : event.act < kVerdicts.size()
            ? fmt::format("returned {}, which means nothing there", kVerdicts[event.act])
            : fmt::format("returned {}, which is no verdict", event.act);
    return fmt::format("xdp_exception: {} {}, ifindex {} queue {}{}: frame dropped", who, what,
                       event.ifindex, event.queue,
                       is_devmap ? fmt::format(", on its way to ifindex {}", event.to) : "");
}

std::string redirect_text(const Event& event, const std::string& who) {
    const std::string where = event.map_id != 0
                                  ? fmt::format("map {} index {}", event.map_id, event.map_index)
                              : event.to != 0 ? fmt::format("ifindex {}", event.to)
                                              : std::string("no target");
    return fmt::format("xdp_redirect_err: {} to {}: {}, ifindex {} queue {}: frame dropped", who,
                       where, std::strerror(-event.err), event.ifindex, event.queue);
}

}  // namespace

std::string_view name_of(EventKind kind) {
    switch (kind) {
        case EventKind::exception:
            return "xdp_exception";
        case EventKind::redirect_err:
            return "xdp_redirect_err";
        case EventKind::bulk_tx:
            return "xdp_bulk_tx";
        case EventKind::devmap_xmit:
            return "xdp_devmap_xmit";
        case EventKind::cpumap_enqueue:
            return "xdp_cpumap_enqueue";
    }
    return "";
}

std::string verdict_text(std::uint32_t act) {
    return act < kVerdicts.size() ? std::string(kVerdicts[act]) : fmt::format("verdict {}", act);
}

std::string text_of(const Event& event, std::string_view program) {
    const std::string who = program.empty()
                                ? fmt::format("program id {}", event.program_id)
                                : fmt::format("program {} id {}", program, event.program_id);
    switch (event.kind) {
        case EventKind::exception:
            return exception_text(event, who);
        case EventKind::redirect_err:
            return redirect_text(event, who);
        case EventKind::bulk_tx:
            return fmt::format(
                "xdp_bulk_tx: {}, ifindex {}: {} frames sent, {} dropped: the port "
                "did not take them",
                who, event.ifindex, event.sent, event.drops);
        case EventKind::devmap_xmit:
            return fmt::format(
                "xdp_devmap_xmit: ifindex {} to ifindex {}: {} frames sent, {} "
                "dropped: the port did not take them",
                event.ifindex, event.to, event.sent, event.drops);
        case EventKind::cpumap_enqueue:
            return fmt::format(
                "xdp_cpumap_enqueue: CPU {} to CPU {}, from ifindex {}: {} frames "
                "queued, {} dropped: the queue is full or nobody polls it",
                event.cpu, event.to, event.ifindex, event.sent, event.drops);
    }
    return fmt::format("event {}", static_cast<std::uint32_t>(event.kind));
}

}  // namespace crema::xdp
