// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_xdp_get_buff_len, bpf_xdp_load_bytes and bpf_xdp_store_bytes: the frame as a row of bytes,
// across its fragments where it has some. Metadata is no part of the row. The verifier has proved
// that r3 holds r4 bytes.
#include <cstring>

#include "lib/ebpf/helpers/frame_pieces.h"
#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

std::uint64_t xdp_get_buff_len(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return frame_bytes(context_of(r1));
}

// memmove: the program's memory may be the frame itself.
std::uint64_t xdp_load_bytes(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    const XdpBuff& buff = context_of(r1);
    const auto offset = static_cast<std::uint32_t>(r2);
    const auto bytes = static_cast<std::uint32_t>(r4);
    const std::int64_t error = check_range(buff, offset, bytes);
    if (error != 0) [[unlikely]] {
        return static_cast<std::uint64_t>(error);
    }
    std::uint8_t* to = memory_at(r3);
    if (offset + bytes <= linear_bytes(buff)) [[likely]] {
        std::memmove(to, buff.data + offset, bytes);
        return 0;
    }
    for_each_piece(buff, offset, bytes, [&to](const std::uint8_t* piece, std::uint32_t n) {
        std::memmove(to, piece, n);
        to += n;
    });
    return 0;
}

std::uint64_t xdp_store_bytes(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    const XdpBuff& buff = context_of(r1);
    const auto offset = static_cast<std::uint32_t>(r2);
    const auto bytes = static_cast<std::uint32_t>(r4);
    const std::int64_t error = check_range(buff, offset, bytes);
    if (error != 0) [[unlikely]] {
        return static_cast<std::uint64_t>(error);
    }
    const std::uint8_t* from = memory_at(r3);
    if (offset + bytes <= linear_bytes(buff)) [[likely]] {
        std::memmove(buff.data + offset, from, bytes);
        return 0;
    }
    for_each_piece(buff, offset, bytes, [&from](std::uint8_t* piece, std::uint32_t n) {
        std::memmove(piece, from, n);
        from += n;
    });
    return 0;
}

}  // namespace crema::ebpf::helpers
