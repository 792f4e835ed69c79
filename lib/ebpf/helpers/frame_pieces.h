// SPDX-License-Identifier: BSD-3-Clause
//
// The bytes of a frame by their number, wherever they lie: in its first buffer or in fragments.
// Callers have checked that the frame has the bytes they ask for.
#pragma once

#include <cerrno>
#include <cstdint>

#include "lib/ebpf/abi/fragments.h"

namespace crema::ebpf::helpers {

inline constexpr std::uint32_t kFrameOffsetMax = 0xffff;  // of offsets and of lengths

/// 0 when the frame has bytes [offset, offset + bytes), or a negative errno.
[[nodiscard]] inline std::int64_t check_range(const XdpBuff& buff,
                                              std::uint32_t offset,
                                              std::uint32_t bytes) {
    if (offset > kFrameOffsetMax || bytes > kFrameOffsetMax) [[unlikely]] {
        return -EFAULT;
    }
    return offset + bytes > frame_bytes(buff) ? -EINVAL : 0;
}

/// Calls visit(piece, bytes) for each piece of bytes [offset, offset + bytes), in their order.
template <typename Visit>
void for_each_piece(const XdpBuff& buff, std::uint32_t offset, std::uint32_t bytes, Visit visit) {
    const auto part = [&](std::uint8_t* data, std::uint32_t len) {
        if (offset >= len) {
            offset -= len;
            return;
        }
        const std::uint32_t n = len - offset < bytes ? len - offset : bytes;
        visit(data + offset, n);
        offset = 0;
        bytes -= n;
    };
    part(buff.data, linear_bytes(buff));
    if (Fragments* const fragments = fragments_of(buff); fragments != nullptr) {
        for (const Fragment& fragment : *fragments) {
            if (bytes == 0) {
                return;
            }
            part(fragment.data, fragment.len);
        }
    }
}

/// Where bytes [offset, offset + bytes) lie, or null when not in one piece.
[[nodiscard]] inline std::uint8_t* place_of(const XdpBuff& buff,
                                            std::uint32_t offset,
                                            std::uint32_t bytes) {
    if (offset + bytes <= linear_bytes(buff)) [[likely]] {
        return buff.data + offset;
    }
    std::uint8_t* place = nullptr;
    for_each_piece(buff, offset, bytes, [&place, bytes](std::uint8_t* piece, std::uint32_t n) {
        place = n == bytes ? piece : place;
    });
    return place;
}

}  // namespace crema::ebpf::helpers
