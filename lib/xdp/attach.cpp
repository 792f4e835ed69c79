// SPDX-License-Identifier: BSD-3-Clause
//
// The registry of ports and what is attached to them. The packet path reads two atomic pointers
// (the port's state, its programs) inside a Reader's section; everything else is control.
#include "lib/xdp/attach.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include <rte_lcore.h>

#include "lib/base/check.h"
#include "lib/ebpf/maps/devmap.h"
#include "lib/xdp/attach_rules.h"
#include "lib/xdp/chain.h"
#include "lib/xdp/event_log.h"
#include "lib/xdp/events.h"
#include "lib/xdp/port_info.h"
#include "lib/xdp/quiescence.h"
#include "lib/xdp/run.h"

namespace crema::xdp {
namespace {

struct PortState;

/// What the hook of one RX queue needs; owned by its port.
struct QueueState {
    PortState* port = nullptr;
    std::uint32_t queue = 0;
    Outbound* outbound = nullptr;
    Reader reader;
};

struct PortState {
    Port port{};
    PortOps ops{};
    /// What the path runs: `own_chain`; null: nothing.
    std::atomic<const Chain*> chain{nullptr};
    // Control threads, under g_control; `attachment` keeps the programs alive.
    std::unique_ptr<const Chain> own_chain;
    Attachment attachment;
    std::array<RxHook, kRxQueuesMax> hooks;
    std::array<QueueState, kRxQueuesMax> queues;
    EventLog log;
};

std::mutex g_control;  // one control operation at a time
constinit std::array<std::atomic<PortState*>, kPortsMax> g_ports{};

PortState* state_of(std::uint32_t port_id) {
    return port_id < kPortsMax ? g_ports[port_id].load(std::memory_order_acquire) : nullptr;
}

/// Apart, so that one program alone does not pay for it.
[[gnu::noinline]] void run_several(const Chain& chain,
                                   ebpf::XdpBuff& buff,
                                   const Frame* frames,
                                   std::uint32_t n,
                                   Dispatch& dispatch) {
    run_burst(ChainRuns{.chain = chain, .decider = dispatch.decider()}, buff, frames, n, dispatch);
}

std::uint32_t run_hook(RxHook* self, Frame* frames, std::uint32_t n) {
    QueueState& queue = *static_cast<QueueState*>(self->state);
    CREMA_DCHECK(n <= kBurstMax);
    queue.reader.enter();
    const Chain* const chain = queue.port->chain.load(std::memory_order_acquire);
    if (chain == nullptr) [[unlikely]] {
        // Detached between the driver's look at `active` and here: nobody decides, so PASS.
        queue.reader.leave();
        bump(self->counters.pass, n);
        return n;
    }
    ebpf::XdpBuff buff;
    set_constants(buff, ifindex_of(queue.port->port.port_id), queue.queue);
    Dispatch dispatch(frames, {.tx = &queue.port->port,
                               .outbound = queue.outbound,
                               .program_id = chain->links[0].id,
                               .memory = &self->memory});
    if (chain->n == 1) [[likely]] {
        run_burst(*chain->links[0].program, buff, frames, n, dispatch);
    } else {
        run_several(*chain, buff, frames, n, dispatch);
    }
    const std::uint32_t passed = dispatch.finish(self->counters);
    queue.reader.leave();
    return passed;
}

bool runs_alike(const Attachment& a, const Attachment& b) {
    return std::ranges::equal(a.programs, b.programs,
                              [](const ChainedProgram& one, const ChainedProgram& other) {
                                  return one.program == other.program && one.config == other.config;
                              });
}

/// Puts `next` in place of what runs on the port and returns the old one when nobody runs it any
/// more. Caller holds g_control.
Attachment exchange_programs(PortState& state, Attachment next) {
    if (!runs_alike(next, state.attachment)) {
        auto chain = next.programs.empty() ? nullptr : std::make_unique<const Chain>(next.programs);
        state.chain.store(chain.get(), std::memory_order_release);
        const bool in_pieces = chain != nullptr && chain->takes_fragments;
        for (RxHook& hook : state.hooks) {
            hook.takes_fragments.store(in_pieces, std::memory_order_release);
            hook.active.store(chain != nullptr, std::memory_order_release);
        }
        if (state.own_chain != nullptr) {
            synchronize();
        }
        state.own_chain = std::move(chain);
    }
    return std::exchange(state.attachment, std::move(next));
}

std::optional<XdpMode> mode_of(const PortOps& ops) {
    const std::string_view mode = ops.mode;
    if (mode == "none") {
        return std::nullopt;
    }
    return mode == "generic" ? XdpMode::generic : XdpMode::native;
}

/// What the port itself says of a program.
Status check_fits(const PortState& state, const ebpf::LoadedProgram& program) {
    CREMA_CHECK(program.entry() != nullptr && program.extension == nullptr);
    const std::string& name = program.program.name;
    const std::uint16_t port_id = state.port.port_id;
    const std::uint32_t type = program.program.expected_attach_type;
    if (type == ebpf::kAttachXdpDevmap || type == ebpf::kAttachXdpCpumap) {
        return fail(EINVAL, "xdp: program {} is for {} slots and cannot be attached to port {}",
                    name, type == ebpf::kAttachXdpDevmap ? "devmap" : "cpumap", port_id);
    }
    const std::uint32_t bound = program.program.bound_ifindex;
    if (bound != 0 && bound != ifindex_of(port_id)) {
        return fail(EINVAL,
                    "xdp: program {} is bound to device {} and cannot be attached to port {}", name,
                    bound, port_id);
    }
    return {};
}

/// What the port itself says of what is to stand there. Frames of several buffers are for programs
/// that all take them.
Status check_fits(const PortState& state, const Attachment& next) {
    const auto is_new = [&state](const ChainedProgram& each) {
        return std::ranges::none_of(state.attachment.programs, [&each](const ChainedProgram& old) {
            return old.program == each.program;
        });
    };
    if (std::ranges::none_of(next.programs, is_new)) {
        return {};
    }
    for (const ChainedProgram& each : next.programs) {
        if (Status fits = check_fits(state, *each.program); !fits) {
            return fits;
        }
    }
    const auto least = std::ranges::find_if(
        next.programs, [](const ChainedProgram& each) { return !each.program->program.has_frags; });
    const auto& shown = least != next.programs.end() ? *least : next.programs.front();
    if (const Status allowed =
            state.ops.attach_check(state.port.port, shown.program->program.has_frags);
        !allowed) {
        return fail(allowed.error().code, "xdp: program {} on port {}: {}",
                    shown.program->program.name, state.port.port_id, allowed.error().message);
    }
    return {};
}

std::uint32_t g_first_ifindex = 1;

}  // namespace

Result<RxHook*> register_port(std::uint16_t port_id, const PortOps& ops, void* port) {
    if (port_id >= kPortsMax) {
        return fail(EINVAL, "xdp: port {}: port ids are below {}", port_id, kPortsMax);
    }
    const std::scoped_lock guard(g_control);
    if (state_of(port_id) != nullptr) {
        return fail(EEXIST, "xdp: port {} is registered already", port_id);
    }
    (void)event_board();  // before anything can go wrong on a path
    auto state = std::make_unique<PortState>();
    state->ops = ops;
    state->port = {.port_id = port_id, .ops = &state->ops, .port = port};
    for (std::uint16_t queue = 0; queue < kRxQueuesMax; ++queue) {
        QueueState& own = state->queues[queue];
        own.port = state.get();
        own.queue = queue;
        own.outbound = redirector().create();
        state->hooks[queue].run = run_hook;
        state->hooks[queue].state = &own;
    }
    RxHook* hooks = state->hooks.data();
    g_ports[port_id].store(state.release(), std::memory_order_release);
    return hooks;
}

void unregister_port(std::uint16_t port_id) {
    Attachment old;  // released after the lock
    {
        const std::scoped_lock guard(g_control);
        PortState* const state = state_of(port_id);
        if (state == nullptr) {
            return;
        }
        old = exchange_programs(*state, {});
        g_ports[port_id].store(nullptr, std::memory_order_release);
        synchronize();
        for (QueueState& queue : state->queues) {
            redirector().destroy(queue.outbound);
        }
        delete state;
    }
    ebpf::maps::forget_device(ifindex_of(port_id));
}

void set_first_ifindex(std::uint32_t ifindex) {
    CREMA_CHECK(ifindex != 0 && ifindex <= INT32_MAX - kPortsMax);
    g_first_ifindex = ifindex;
}

std::uint32_t first_ifindex() {
    return g_first_ifindex;
}

const Port* port_by_ifindex(std::uint32_t ifindex) {
    const PortState* const state = state_of(port_id_of(ifindex));
    return state == nullptr ? nullptr : &state->port;
}

Status change(std::uint16_t port_id, const Decision& decide) {
    Attachment old;  // released after the lock
    const std::scoped_lock guard(g_control);
    PortState* const state = state_of(port_id);
    const auto own_mode = state != nullptr ? mode_of(state->ops) : std::nullopt;
    if (!own_mode) {
        return fail(ENODEV, "xdp: port {} does not exist or offers no XDP", port_id);
    }
    auto next = decide(state->attachment, *own_mode);
    if (!next) {
        return forward_error(next);
    }
    if (Status fits = check_fits(*state, *next); !fits) {
        return fits;
    }
    old = exchange_programs(*state, std::move(*next));
    return {};
}

Status attach(std::uint16_t port_id, std::shared_ptr<const ebpf::LoadedProgram> program) {
    CREMA_CHECK(program != nullptr);
    return change(port_id, [&](const Attachment&, XdpMode own) -> Result<Attachment> {
        return ebpf::syscall::alone(program, own, false);
    });
}

Status change_chain(std::uint16_t port_id, const ChainChange& asked) {
    return change(port_id, [&](const Attachment& now, XdpMode own) -> Result<Attachment> {
        auto next = after_chain_change(now, own, asked);
        if (!next) {
            return fail(next.error().code, "xdp: port {}: {}", port_id, next.error().message);
        }
        return next;
    });
}

Status join(std::uint16_t port_id, std::shared_ptr<const ebpf::LoadedProgram> program) {
    CREMA_CHECK(program != nullptr);
    const auto config = ebpf::run_config_of(program->program);
    if (!config) {
        return forward_error(config);
    }
    ChainChange asked;
    asked.join.push_back({.program = std::move(program), .config = *config});
    return change_chain(port_id, asked);
}

Status detach(std::uint16_t port_id) {
    return change(port_id, [port_id](const Attachment& now, XdpMode) -> Result<Attachment> {
        if (now.programs.empty()) {
            return fail(ENOENT, "xdp: no program is attached to port {}", port_id);
        }
        return Attachment{};
    });
}

bool has_programs(const PortOps& ops) {
    return mode_of(ops).has_value();
}

Attachment attachment(std::uint16_t port_id) {
    const std::scoped_lock guard(g_control);
    const PortState* const state = state_of(port_id);
    return state == nullptr ? Attachment{} : state->attachment;
}

std::shared_ptr<const ebpf::LoadedProgram> attached(std::uint16_t port_id) {
    return attachment(port_id).first();
}

std::vector<std::shared_ptr<const ebpf::LoadedProgram>> all_attached(std::uint16_t port_id) {
    std::vector<std::shared_ptr<const ebpf::LoadedProgram>> all;
    for (ChainedProgram& each : attachment(port_id).programs) {
        all.push_back(std::move(each.program));
    }
    return all;
}

std::vector<VerdictCounters> queue_verdicts(std::uint16_t port_id) {
    const std::uint32_t queues = rx_queues_of(ifindex_of(port_id));
    const std::scoped_lock guard(g_control);
    std::vector<VerdictCounters> all;
    const PortState* const state = state_of(port_id);
    for (std::uint32_t queue = 0;
         state != nullptr && queue < std::min(queues, std::uint32_t{kRxQueuesMax}); ++queue) {
        add_to(all.emplace_back(), state->hooks[queue].counters);
    }
    return all;
}

VerdictCounters verdicts(std::uint16_t port_id) {
    const std::scoped_lock guard(g_control);
    VerdictCounters sum;
    const PortState* const state = state_of(port_id);
    if (state == nullptr) {
        return sum;
    }
    for (const RxHook& hook : state->hooks) {
        add_to(sum, hook.counters);
    }
    return sum;
}

std::uint32_t tx_slot_of_this_thread() {
    const unsigned lcore = rte_lcore_id();
    return lcore < RTE_MAX_LCORE ? lcore : RTE_MAX_LCORE;
}

}  // namespace crema::xdp
