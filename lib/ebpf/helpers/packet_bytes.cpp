// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_xdp_get_buff_len, bpf_xdp_load_bytes and bpf_xdp_store_bytes: the frame as a row of bytes. A
// frame is one piece here (multi-buffer frames are not served), so each is one copy. Metadata is no
// part of the row. The verifier has proved that r3 holds r4 bytes.
#include <cerrno>
#include <cstring>

#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::uint32_t kOffsetMax = 0xffff;  // of offsets and of lengths

/// 0 when the frame has bytes [offset, offset + bytes), or a negative errno.
std::int64_t check_range(const XdpBuff& buff, std::uint32_t offset, std::uint32_t bytes) {
    if (offset > kOffsetMax || bytes > kOffsetMax) [[unlikely]] {
        return -EFAULT;
    }
    if (std::int64_t{offset} + bytes > buff.data_end - buff.data) [[unlikely]] {
        return -EINVAL;
    }
    return 0;
}

}  // namespace

std::uint64_t xdp_get_buff_len(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    const XdpBuff& buff = context_of(r1);
    return static_cast<std::uint64_t>(buff.data_end - buff.data);
}

// memmove: the program's memory may be the frame itself.
std::uint64_t xdp_load_bytes(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    const XdpBuff& buff = context_of(r1);
    const auto offset = static_cast<std::uint32_t>(r2);
    const auto bytes = static_cast<std::uint32_t>(r4);
    const std::int64_t error = check_range(buff, offset, bytes);
    if (error == 0) [[likely]] {
        std::memmove(memory_at(r3), buff.data + offset, bytes);
    }
    return static_cast<std::uint64_t>(error);
}

std::uint64_t xdp_store_bytes(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    const XdpBuff& buff = context_of(r1);
    const auto offset = static_cast<std::uint32_t>(r2);
    const auto bytes = static_cast<std::uint32_t>(r4);
    const std::int64_t error = check_range(buff, offset, bytes);
    if (error == 0) [[likely]] {
        std::memmove(buff.data + offset, memory_at(r3), bytes);
    }
    return static_cast<std::uint64_t>(error);
}

}  // namespace crema::ebpf::helpers
