// SPDX-License-Identifier: BSD-3-Clause
//
// The part of a frame that does not lie in its first buffer, as the helpers see it. Whoever runs a
// program makes the list before the run, for frames that have such a part only, and takes it apart
// afterwards: entries that a helper took off the list are still in `all`, so that their owner gets
// them back. Nothing here knows whose memory it is.
#pragma once

#include <array>
#include <cstdint>

#include "lib/ebpf/abi/xdp_buff.h"

namespace crema::ebpf {

inline constexpr std::uint32_t kFragmentsMax = 17;  // MAX_SKB_FRAGS

struct Fragment {
    std::uint8_t* data;
    std::uint32_t len;   // bytes of the frame, 1 or more while it is on the list
    std::uint32_t room;  // bytes of the buffer behind them
    void* owner;         // for the caller
};

struct Fragments {
    std::uint32_t first;  // on the list: all[first .. first + n)
    std::uint32_t n;      // 0: the frame has become one piece
    std::uint32_t bytes;  // sum of their lengths
    std::uint32_t shown;  // before the run: all[0 .. shown)
    /// False: the last one keeps its end. In the kernel receive queues tell how large a fragment's
    /// buffer is, devmap and cpumap do not know it.
    bool may_grow;
    std::array<Fragment, kFragmentsMax> all;

    [[nodiscard]] Fragment* begin() { return &all[first]; }

    [[nodiscard]] Fragment* end() { return begin() + n; }

    [[nodiscard]] Fragment& last() { return all[first + n - 1]; }
};

/// Null for a frame in one piece, as most are.
[[nodiscard]] inline Fragments* fragments_of(const XdpBuff& buff) {
    return buff.fragments != nullptr && buff.fragments->n != 0 ? buff.fragments : nullptr;
}

/// Bytes of its first piece, metadata not counted.
[[nodiscard]] inline std::uint32_t linear_bytes(const XdpBuff& buff) {
    return static_cast<std::uint32_t>(buff.data_end - buff.data);
}

/// Bytes of all of it.
[[nodiscard]] inline std::uint32_t frame_bytes(const XdpBuff& buff) {
    return linear_bytes(buff) + (buff.fragments == nullptr ? 0 : buff.fragments->bytes);
}

}  // namespace crema::ebpf
