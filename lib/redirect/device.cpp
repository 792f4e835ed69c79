// SPDX-License-Identifier: BSD-3-Clause
//
// Redirect to a port: bpf_redirect(), and devmap slots with or without a program of their own. The
// slot's program runs here, on the sending core, right before the frames leave: it sees the port
// they came from and the port they go to, and only PASS and DROP have a meaning.
#include "lib/redirect/device.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <new>

#include "lib/base/check.h"
#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/abi/verdict.h"
#include "lib/page_pool/page_pool.h"
#include "lib/redirect/counters.h"
#include "lib/topology/this_cpu.h"
#include "lib/xdp/events.h"
#include "lib/xdp/quiescence.h"
#include "lib/xdp/run.h"
#include "lib/xdp/trace_points.h"

namespace crema::redirect {
namespace {

// Several cores may send to one port, so these are atomic; they move once per burst at most.
struct alignas(64) SharedCounters {
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> program_drop{0};
    std::atomic<std::uint64_t> program_aborted{0};
    std::atomic<std::uint64_t> broadcast_copies{0};
};

constinit std::array<SharedCounters, xdp::kPortsMax> g_counters{};

bool is_ifindex(std::uint32_t ifindex) {
    return xdp::port_id_of(ifindex) < xdp::kPortsMax;
}

/// is_ifindex(ifindex)
SharedCounters& counters_of(std::uint32_t ifindex) {
    return g_counters[xdp::port_id_of(ifindex)];
}

void add(std::atomic<std::uint64_t>& counter, std::uint32_t by) {
    if (by != 0) {
        counter.fetch_add(by, std::memory_order_relaxed);
    }
}

/// What becomes of frames by the verdict of a slot's program.
class SlotExit {
  public:
    /// frames: where passed ones go.
    SlotExit(xdp::Frame* frames, std::uint32_t program_id)
        : frames_(frames), program_id_(program_id) {}

    void take(const ebpf::XdpBuff& buff, rte_mbuf* page, std::uint32_t act) {
        decide(buff, xdp::frame_of(buff, page), act);
    }

    void take_pieces(const ebpf::XdpBuff& buff, rte_mbuf* page, std::uint32_t act) {
        decide(buff, xdp::settled_frame_of(buff, page), act);
    }

    /// Returns how many were passed.
    std::uint32_t finish(std::uint32_t egress_ifindex) {
        if (drops_ != 0) {
            xdp::recycle(dropped_.data(), drops_);
            add(counters_of(egress_ifindex).program_drop, drops_ - aborted_);
            add(counters_of(egress_ifindex).program_aborted, aborted_);
        }
        return passed_;
    }

  private:
    [[gnu::always_inline]] void decide(const ebpf::XdpBuff& buff,
                                       const xdp::Frame& frame,
                                       std::uint32_t act) {
        if (act == static_cast<std::uint32_t>(ebpf::Verdict::pass)) [[likely]] {
            frames_[passed_++] = frame;
            return;
        }
        dropped_[drops_++] = frame;
        if (act != static_cast<std::uint32_t>(ebpf::Verdict::drop)) {
            ++aborted_;
            xdp::record_exception(program_id_, act, buff);
        }
    }

    xdp::Frame* frames_;
    std::uint32_t program_id_;
    std::uint32_t passed_ = 0;
    std::uint32_t drops_ = 0;
    std::uint32_t aborted_ = 0;
    std::array<xdp::Frame, xdp::kBurstMax> dropped_;
};

/// Leaves in frames[0..return) what the program passed.
std::uint32_t run_slot_program(const ebpf::LoadedProgram& program,
                               std::uint32_t egress_ifindex,
                               const Parcels& parcels,
                               xdp::Frame* frames) {
    ebpf::XdpBuff buff;
    xdp::set_constants(buff, 0, 0);
    buff.egress_ifindex = egress_ifindex;
    const ebpf::RunScope scope(buff);
    xdp::forget_lengths(program, parcels.frames, parcels.n);
    SlotExit exit(frames, program.id);
    ebpf::with_runs_of(program, [&](auto&& run) {
        for (std::uint32_t i = 0; i < parcels.n; ++i) {
            buff.ingress_ifindex = parcels.ingress_ifindexes[i];
            xdp::run_one(program, run, buff, parcels.frames[i], false, exit);
        }
    });
    return exit.finish(egress_ifindex);
}

/// Recycles frames that have outgrown the port since they were queued; compacts the others.
std::uint32_t drop_too_long(xdp::Frame* frames, std::uint32_t n, std::uint32_t bytes_max) {
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        if (xdp::bytes_of(frames[i]) > bytes_max) [[unlikely]] {
            xdp::recycle(&frames[i], 1);
        } else {
            frames[kept++] = frames[i];
        }
    }
    return kept;
}

[[gnu::cold]] void tell_refused(std::uint32_t to,
                                std::uint32_t from,
                                std::uint32_t sent,
                                std::uint32_t refused) {
    xdp::record({.kind = xdp::EventKind::devmap_xmit,
                 .ifindex = from,
                 .to = to,
                 .sent = sent,
                 .drops = refused,
                 .cpu = topology::cpu_of_this_thread()});
}

/// Never freed: senders may outlive static objects.
std::atomic<const std::array<DeviceTarget, xdp::kPortsMax>*> g_direct{nullptr};

}  // namespace

Gate gate_of(std::uint32_t ifindex) {
    const xdp::Port* const port = xdp::port_by_ifindex(ifindex);
    if (port == nullptr || !port->ops->is_up(port->port)) {
        return {};
    }
    return {.port = port,
            .frame_bytes_max = port->ops->frame_bytes_max(port->port),
            .takes_fragments = port->ops->sends_fragments};
}

std::uint32_t send_to_device(const DeviceTarget& target, const Gate& gate, const Parcels& parcels) {
    std::array<xdp::Frame, xdp::kBurstMax> passed_frames;
    const xdp::Frame* frames = parcels.frames;
    std::uint32_t to_send = parcels.n;
    std::uint32_t refused = 0;
    std::uint32_t sent = 0;
    if (target.program != nullptr) {
        const std::uint32_t passed =
            run_slot_program(*target.program, target.ifindex, parcels, passed_frames.data());
        to_send = drop_too_long(passed_frames.data(), passed, gate.frame_bytes_max);
        refused = passed - to_send;
        frames = passed_frames.data();
    }
    if (to_send != 0) {
        sent =
            gate.port->ops->xmit(gate.port->port, xdp::tx_slot_of_this_thread(), frames, to_send);
        const std::uint32_t left = to_send - sent;
        if (left != 0) {
            xdp::recycle(frames + sent, left);
        }
        refused += left;
    }
    count_refused(target.ifindex, refused);
    target.counters.add(sent, parcels.n - sent);
    crema_trace_xdp_devmap_xmit(parcels.ingress_ifindexes[0], target.ifindex, sent,
                                parcels.n - sent);
    if (refused != 0) [[unlikely]] {
        tell_refused(target.ifindex, parcels.ingress_ifindexes[0], sent, refused);
    }
    return refused;
}

void count_refused(std::uint32_t ifindex, std::uint32_t n) {
    if (is_ifindex(ifindex)) {
        add(counters_of(ifindex).refused, n);
    }
}

void count_copies(std::uint32_t ifindex, std::uint32_t n) {
    if (is_ifindex(ifindex)) {
        add(counters_of(ifindex).broadcast_copies, n);
    }
}

DeviceCounters device_counters(std::uint16_t port_id) {
    if (port_id >= xdp::kPortsMax) {
        return {};
    }
    const SharedCounters& own = g_counters[port_id];
    return {
        .refused = own.refused.load(std::memory_order_relaxed),
        .program_drop = own.program_drop.load(std::memory_order_relaxed),
        .program_aborted = own.program_aborted.load(std::memory_order_relaxed),
        .broadcast_copies = own.broadcast_copies.load(std::memory_order_relaxed),
    };
}

int acquire_device(const ebpf::maps::DeviceSlot& slot, void** target) {
    // As in the kernel a slot needs a device that exists now, and goes with it.
    if (!is_ifindex(slot.ifindex) || xdp::port_by_ifindex(slot.ifindex) == nullptr) {
        return -EINVAL;
    }
    auto* device = new (std::nothrow) DeviceTarget;
    if (device == nullptr) {
        return -ENOMEM;
    }
    if (!device->counters.make()) {
        delete device;
        return -ENOMEM;
    }
    device->kind = Target::Kind::device;
    device->program = slot.program;
    device->ifindex = slot.ifindex;
    // Reached through Target by the senders, and only so.
    *target = static_cast<Target*>(device);
    return 0;
}

void release_device(void* target) {
    xdp::synchronize();
    delete static_cast<DeviceTarget*>(static_cast<Target*>(target));
}

void make_direct_targets() {
    static const bool made = [] {
        auto* all = new std::array<DeviceTarget, xdp::kPortsMax>;
        for (std::uint16_t i = 0; i < xdp::kPortsMax; ++i) {
            (*all)[i].kind = Target::Kind::device;
            (*all)[i].ifindex = xdp::ifindex_of(i);
            CREMA_CHECK((*all)[i].counters.make());
        }
        g_direct.store(all, std::memory_order_release);
        return true;
    }();
    (void)made;
}

const DeviceTarget* direct_target(std::uint32_t ifindex) {
    return is_ifindex(ifindex)
               ? &(*g_direct.load(std::memory_order_acquire))[xdp::port_id_of(ifindex)]
               : nullptr;
}

}  // namespace crema::redirect
