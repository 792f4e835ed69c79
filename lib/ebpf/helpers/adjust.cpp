// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_xdp_adjust_head, _meta and _tail: they move the ends of the frame and of its metadata. Limits
// and errors are the kernel's: at least 14 bytes of frame stay, the reserves at both ends of the
// buffer are never given out, metadata moves along with the head. What is exposed at the head keeps
// the bytes it held; what is exposed at the tail is zeroed. An error changes nothing.
#include <cerrno>
#include <cstring>

#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::int64_t kMetaBytesMax = 252;  // largest multiple of 4 in the kernel's 8-bit length

}  // namespace

std::uint64_t xdp_adjust_head(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    XdpBuff& buff = context_of(r1);
    const std::int64_t offset = static_cast<std::int32_t>(r2);
    const std::int64_t meta_bytes = buff.data - buff.data_meta;
    const std::int64_t headroom = buff.data - buff.data_hard_start - kFrameReserve - meta_bytes;
    const std::int64_t removable = buff.data_end - buff.data - kFrameBytesMin;
    if (-offset > headroom || offset > removable) [[unlikely]] {
        return error_result(EINVAL);
    }
    if (meta_bytes != 0) {
        std::memmove(buff.data_meta + offset, buff.data_meta, static_cast<std::size_t>(meta_bytes));
    }
    buff.data_meta += offset;
    buff.data += offset;
    return 0;
}

std::uint64_t xdp_adjust_meta(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    XdpBuff& buff = context_of(r1);
    const std::int64_t offset = static_cast<std::int32_t>(r2);
    const std::int64_t free_bytes = buff.data_meta - buff.data_hard_start - kFrameReserve;
    const std::int64_t meta_bytes = buff.data - buff.data_meta - offset;
    if (-offset > free_bytes || meta_bytes < 0) [[unlikely]] {
        return error_result(EINVAL);
    }
    if (meta_bytes % 4 != 0 || meta_bytes > kMetaBytesMax) [[unlikely]] {
        return error_result(EACCES);
    }
    buff.data_meta += offset;
    return 0;
}

std::uint64_t xdp_adjust_tail(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    XdpBuff& buff = context_of(r1);
    const std::int64_t offset = static_cast<std::int32_t>(r2);
    const std::uint8_t* const hard_end = buff.data_hard_start + buff.frame_sz - kTailReserve;
    const std::int64_t tailroom = hard_end - buff.data_end;
    const std::int64_t removable = buff.data_end - buff.data - kFrameBytesMin;
    if (offset > tailroom || -offset > removable) [[unlikely]] {
        return error_result(EINVAL);
    }
    if (offset > 0) {
        std::memset(buff.data_end, 0, static_cast<std::size_t>(offset));
    }
    buff.data_end += offset;
    return 0;
}

}  // namespace crema::ebpf::helpers
