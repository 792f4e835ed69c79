// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_xdp_adjust_head, _meta and _tail: they move the ends of the frame and of its metadata. Limits
// and errors are the kernel's: at least 14 bytes of frame stay, the reserves at both ends of the
// buffer are never given out, metadata moves along with the head. What is exposed at the head keeps
// the bytes it held; what is exposed at the tail is zeroed. An error changes nothing.
//
// Of a frame in pieces the head is that of the first one, which keeps 14 bytes itself; the tail is
// that of the last, which grows within its buffer. Shrinking takes whole pieces off the end.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/ebpf/abi/fragments.h"
#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::int64_t kMetaBytesMax = 252;  // largest multiple of 4 in the kernel's 8-bit length

std::uint64_t grow_last(Fragments& fragments, std::uint32_t by) {
    if (!fragments.may_grow) {
        return error_result(EOPNOTSUPP);
    }
    Fragment& last = fragments.last();
    if (by > last.room) {
        return error_result(EINVAL);
    }
    std::memset(last.data + last.len, 0, by);
    last.len += by;
    last.room -= by;
    fragments.bytes += by;
    return 0;
}

/// by: at most what there is without 14 bytes.
void shrink_from_end(XdpBuff& buff, Fragments& fragments, std::uint32_t by) {
    while (by != 0 && fragments.n != 0) {
        Fragment& last = fragments.last();
        const std::uint32_t part = std::min(by, last.len);
        last.len -= part;
        last.room += part;
        fragments.bytes -= part;
        by -= part;
        fragments.n -= last.len == 0 ? 1 : 0;
    }
    buff.data_end -= by;
}

[[gnu::noinline]] std::uint64_t adjust_tail_of_pieces(XdpBuff& buff,
                                                      Fragments& fragments,
                                                      std::int64_t offset) {
    if (offset >= 0) {
        return grow_last(fragments, static_cast<std::uint32_t>(offset));
    }
    if (-offset > std::int64_t{frame_bytes(buff)} - kFrameBytesMin) {
        return error_result(EINVAL);
    }
    shrink_from_end(buff, fragments, static_cast<std::uint32_t>(-offset));
    return 0;
}

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
    if (Fragments* const fragments = fragments_of(buff); fragments != nullptr) [[unlikely]] {
        return adjust_tail_of_pieces(buff, *fragments, offset);
    }
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
