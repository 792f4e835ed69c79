// SPDX-License-Identifier: BSD-3-Clause
//
// The narrow face between a driver (or the generic mode) and the XDP runtime. A driver registers
// its port, calls the RX queue's hook with the burst it received before any mbuf is made, and
// offers one function to transmit frames. It knows nothing of programs, maps or targets.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "lib/base/result.h"
#include "lib/page_pool/memory_model.h"
#include "lib/xdp/counter.h"
#include "lib/xdp/frame.h"

namespace crema::xdp {

inline constexpr std::uint32_t kBurstMax = 64;
inline constexpr std::uint16_t kRxQueuesMax = 16;  // per port
inline constexpr std::uint16_t kPortsMax = 32;     // RTE_MAX_ETHPORTS

/// Verdict counters of one RX queue; written by the polling core only. Their sum over one queue is
/// the number of frames that went through the hook.
struct alignas(64) VerdictCounters {
    std::uint64_t drop = 0;
    std::uint64_t aborted = 0;  // also unknown verdicts
    std::uint64_t pass = 0;
    std::uint64_t tx = 0;
    std::uint64_t tx_errors = 0;  // verdict TX, refused by the TX ring, dropped
    std::uint64_t redirect = 0;
    std::uint64_t redirect_errors = 0;  // no target, or the target refused
};

/// Adds what a queue has counted so far. Any thread.
inline void add_to(VerdictCounters& sum, const VerdictCounters& queue) {
    sum.drop += peek(queue.drop);
    sum.aborted += peek(queue.aborted);
    sum.pass += peek(queue.pass);
    sum.tx += peek(queue.tx);
    sum.tx_errors += peek(queue.tx_errors);
    sum.redirect += peek(queue.redirect);
    sum.redirect_errors += peek(queue.redirect_errors);
}

/// One per RX queue of a registered port; lives as long as the registration.
struct RxHook {
    /// True while a program is attached: the driver calls run() for its bursts.
    std::atomic<bool> active{false};
    /// The attached program takes frames with fragments. One that reaches another program, because
    /// the two changed places meanwhile, is ABORTED.
    std::atomic<bool> takes_fragments{false};
    /// Runs the program over frames[0..n), n <= kBurstMax, and brings every frame to its end
    /// except those with verdict PASS: they are left in frames[0..return), in order, for the
    /// caller to make mbufs of. Flushes what it queued. Thread: the one that polls the queue.
    std::uint32_t (*run)(RxHook* self, Frame* frames, std::uint32_t n) = nullptr;
    void* state = nullptr;  // of this room
    /// Where the queue's frames come from, first pages only; the driver's to set, while nobody
    /// polls the queue. Frames that a program drops go back there without being looked at.
    page_pool::MemoryModel memory;
    VerdictCounters counters;
};

/// What a port offers. Plain functions: a secondary process has its own copies.
struct PortOps {
    const char* mode;  // "native" or "generic"; "none": nothing can be attached
    /// Transmits frames[0..n). Takes the first `return` of them (their pages go home after
    /// transmission); the rest stay with the caller. One doorbell per call.
    /// n 0: sends pages home that have been transmitted, if the port keeps any.
    /// slot: number of the calling context, see tx_slot_of_this_thread(). Any thread; never waits
    /// for the device.
    std::uint32_t (*xmit)(void* port, std::uint32_t slot, const Frame* frames, std::uint32_t n);
    /// May a program with / without frags support be attached now? The error says why not (MTU).
    Status (*attach_check)(void* port, bool has_frags);
    /// Longest frame the port sends now: MTU + Ethernet header + one VLAN tag, bytes.
    std::uint32_t (*frame_bytes_max)(void* port);
    /// True while the port is started and may send.
    bool (*is_up)(void* port);
    /// xmit() takes frames with fragments, each whole or not at all. Without, it is given none:
    /// they are refused and counted where they would be queued (the kernel: EOPNOTSUPP).
    bool sends_fragments = false;
};

/// Registers an ethdev port; its ifindex is ifindex_of(port_id). Returns kRxQueuesMax hooks.
/// EEXIST when registered. Control thread.
[[nodiscard]] Result<RxHook*> register_port(std::uint16_t port_id, const PortOps& ops, void* port);

/// Detaches what is attached, removes the port from reach, waits until nobody uses it.
void unregister_port(std::uint16_t port_id);

struct Port {
    std::uint16_t port_id;
    const PortOps* ops;
    void* port;
};

/// Null when `ifindex` is no registered port. Safe on the packet path; valid until the caller is
/// quiescent.
[[nodiscard]] const Port* port_by_ifindex(std::uint32_t ifindex);

/// Ports are numbered for programs and tools from here on, in the order of their ids. 1 until an
/// application that has interfaces of the machine beside it says otherwise, before it attaches
/// programs and fills maps.
void set_first_ifindex(std::uint32_t ifindex);
[[nodiscard]] std::uint32_t first_ifindex();

[[nodiscard]] inline std::uint32_t ifindex_of(std::uint16_t port_id) {
    return first_ifindex() + port_id;
}

/// The id that a port with this number has; kPortsMax or more: no port has it.
[[nodiscard]] inline std::uint32_t port_id_of(std::uint32_t ifindex) {
    return ifindex - first_ifindex();
}

/// Loads OBJECT[:PROGRAM] and adds it to the programs of `port_id`. For the driver's `xdp=`
/// arguments. Errors: the loader's, those of join() (attach.h). Control thread.
[[nodiscard]] Status attach_object(std::uint16_t port_id, const std::string& spec);

/// Small number of the calling thread, for PortOps::xmit: its lcore id, or RTE_MAX_LCORE.
[[nodiscard]] std::uint32_t tx_slot_of_this_thread();

}  // namespace crema::xdp
