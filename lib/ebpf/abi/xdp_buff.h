// SPDX-License-Identifier: BSD-3-Clause
//
// What compiled code, helpers and callers share: the one argument of a compiled XDP program (r1).
// A program sees it as struct xdp_md; lowering turns the 32-bit loads of xdp_md into loads of the
// fields below. The caller fills the constant part once per burst and the packet part per frame.
//
// Geometry is the kernel's, so that the adjust helpers give the kernel's errors:
//
//   data_hard_start                                          data_hard_start + frame_sz
//   |<---- headroom (256) ----------->|<-- packet -->| tailroom |<- kTailReserve ->|
//   |<- kFrameReserve ->|    metadata |
//                       ^data_meta    ^data          ^data_end
//
// Source: kernel 6.18 struct xdp_buff / xdp_frame / skb_shared_info sizes as measured there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace crema::ebpf {

inline constexpr std::uint32_t kXdpHeadroom = 256;   // bytes in front of a received frame
inline constexpr std::uint32_t kFrameReserve = 40;   // sizeof(struct xdp_frame): not for programs
inline constexpr std::uint32_t kTailReserve = 320;   // skb_shared_info, cache-line aligned
inline constexpr std::uint32_t kFrameBytesMin = 14;  // ETH_HLEN: adjust helpers keep this much
inline constexpr std::uint32_t kTestRunPageBytes = 4096;  // frame_sz of a test run
inline constexpr std::uint32_t kTestRunLinearMax = 3520;  // 4096 - 256 - 320

namespace maps {
class Map;
}

struct Fragments;  // abi/fragments.h

/// What the last redirect helper of this run asked for. Consumed by the caller on verdict redirect.
struct RedirectTarget {
    enum class Kind : std::uint32_t { none = 0, ifindex = 1, map = 2 };
    const maps::Map* map;  // Kind::map: devmap, devmap_hash or cpumap
    void* slot;            // Kind::map: what the slot's TargetHooks returned; null with broadcast
    std::uint32_t index;   // Kind::ifindex: the ifindex; Kind::map: the key
    Kind kind;
    std::uint64_t flags;  // BPF_F_BROADCAST, BPF_F_EXCLUDE_INGRESS
};

/// Aligned to a cache line: the packet part and the constants a program reads are in the first one.
struct alignas(64) XdpBuff {
    std::uint8_t* data;             // first byte of the frame
    std::uint8_t* data_end;         // one past the last byte
    std::uint8_t* data_meta;        // == data when there is no metadata
    std::uint8_t* data_hard_start;  // start of the headroom
    std::uint32_t frame_sz;         // bytes from data_hard_start to the end of the buffer
    std::uint32_t ingress_ifindex;  // ethdev port id + 1
    std::uint32_t rx_queue_index;
    std::uint32_t egress_ifindex;  // devmap programs only
    std::uint32_t cpu;             // kernel CPU number of the running worker; indexes per-CPU maps
    std::uint32_t tail_calls;      // taken so far in this run
    RedirectTarget redirect;
    /// What of the frame does not lie in its first buffer; null: nothing, as mostly. data_end is
    /// the end of the first one's part.
    Fragments* fragments;
};

static_assert(offsetof(XdpBuff, data) == 0 && offsetof(XdpBuff, data_end) == 8 &&
              offsetof(XdpBuff, data_meta) == 16 && offsetof(XdpBuff, data_hard_start) == 24);
static_assert(offsetof(XdpBuff, cpu) == 48 && offsetof(XdpBuff, redirect) == 56 &&
              sizeof(XdpBuff) == 128);

/// Where a run of a loaded program starts. `self` is what LoadedProgram::self() gives: an
/// interpreted program's own form; compiled code ignores it. Returns r0; callers take the low 32
/// bits as the verdict.
using EntryPoint = std::uint64_t (*)(XdpBuff*, const void* self);

}  // namespace crema::ebpf
