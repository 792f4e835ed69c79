// SPDX-License-Identifier: BSD-3-Clause
//
// What a devmap or cpumap slot leads to. A target is made on a control thread (lib/ebpf/maps calls
// the functions here through its TargetHooks), used by any sender inside its Reader's section, and
// freed after every sender was quiescent. Room-internal.
#pragma once

#include <cstdint>
#include <memory>

#include <rte_ring.h>

#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/maps/target_hooks.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/page_pool/page.h"
#include "lib/redirect/cpu_poller.h"
#include "lib/redirect/entry_counters.h"
#include "lib/xdp/hook.h"

namespace crema::redirect {

struct Target {
    enum class Kind : std::uint8_t { device, cpu };
    Kind kind;
    std::shared_ptr<const ebpf::LoadedProgram> program;  // may be null
    EntryCounters counters;
};

struct DeviceTarget : Target {
    std::uint32_t ifindex = 0;
};

struct Cpu;  // cpu.cpp

/// A cpumap slot: frames wait in `ring` as pages, each with a FrameHeader in its headroom.
struct CpuTarget : Target {
    Cpu* cpu = nullptr;
    rte_ring* ring = nullptr;  // any sender, one receiver
    // Written by the receiver.
    alignas(64) mutable std::uint64_t taken = 0;  // frames from the ring
    mutable xdp::VerdictCounters verdicts;

    /// As cpumap_counters(), of this slot alone.
    [[nodiscard]] CpumapCounters received() const;
};

/// Frames on their way through a bulk queue, n <= kBurstMax, each with the port it came from.
struct Parcels {
    const xdp::Frame* frames;
    const std::uint32_t* ingress_ifindexes;
    std::uint32_t n;
};

/// How a frame travels through a ring: stored in the first kFrameReserve bytes of its headroom,
/// which programs cannot reach (the kernel keeps its struct xdp_frame there).
struct FrameHeader {
    std::uint32_t data_offset;  // bytes from the start of the headroom
    std::uint32_t len;
    std::uint16_t meta_len;
    std::uint16_t fragments;
    std::uint32_t ingress_ifindex;
};

/// Where it lies in the page's buffer: aligned, which the start of the headroom is not.
inline constexpr std::uint32_t kFrameHeaderOffset = 8;
static_assert(kFrameHeaderOffset >= page_pool::kHardStartOffset &&
              kFrameHeaderOffset % alignof(FrameHeader) == 0 &&
              kFrameHeaderOffset + sizeof(FrameHeader) <=
                  page_pool::kHardStartOffset + ebpf::kFrameReserve);

/// Hands parcels to the queue of `target`; takes the first `return` of them and counts the rest,
/// which stay with the caller. Caller: inside a Reader's section.
[[nodiscard]] std::uint32_t send_to_cpu(const CpuTarget& target, const Parcels& parcels);

/// TargetHooks.
int acquire_device(const ebpf::maps::DeviceSlot& slot, void** target);
void release_device(void* target);
int acquire_cpu(const ebpf::maps::CpuSlot& slot, void** target);
void release_cpu(void* target);

/// Makes the targets of bpf_redirect(), once; before anybody sends.
void make_direct_targets();

/// The target of bpf_redirect(ifindex), or null when no port can have that ifindex.
[[nodiscard]] const DeviceTarget* direct_target(std::uint32_t ifindex);

}  // namespace crema::redirect
