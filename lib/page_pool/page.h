// SPDX-License-Identifier: BSD-3-Clause
//
// One element of a page_pool: a page that holds its mempool header, an mbuf header and one frame
// buffer. All offsets are constants, so a frame's headroom is found without touching the header.
//
//   | shift (colour * 64) | mempool header | rte_mbuf | buffer ...                              |
//                                                     ^buffer
//   buffer: 2 bytes slack, 256 bytes headroom, frame ..., FCS, 320 bytes kept free for XDP
//                         ^hard_start          ^ 258
//
// 258 = 256 + 2: the NIC writes a 2-byte Marvell header in front of the frame, at 256, which is
// 64-byte aligned when the buffer is. Pages are coloured: element i is shifted by 64 * (i % 8)
// inside its page, or page-aligned headers would all share one L1 set.
//
// A page of order n is 2^n of these in a row (jumbo frames in one piece): the same, but for the
// length of its buffer. The constants are of order 0, the functions of any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <rte_byteorder.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

namespace crema::page_pool {

inline constexpr std::uint32_t kPageBytes = 4096;
inline constexpr std::uint32_t kColours = 8;
inline constexpr std::uint32_t kColourBytes = 64;
inline constexpr std::uint32_t kObjectHeaderBytes =
    sizeof(struct rte_mempool_objhdr) <= 64 ? RTE_CACHE_LINE_SIZE : 2 * RTE_CACHE_LINE_SIZE;
/// Bytes of buffer behind every mbuf header, whatever its colour.
inline constexpr std::uint32_t kBufferBytes = kPageBytes - kObjectHeaderBytes -
                                              static_cast<std::uint32_t>(sizeof(rte_mbuf)) -
                                              (kColours - 1) * kColourBytes;
/// Pages of 64 KiB: the length of a mbuf's buffer has 16 bits.
inline constexpr std::uint32_t kOrderMax = 4;

[[nodiscard]] constexpr std::uint32_t page_bytes(std::uint32_t order) {
    return kPageBytes << order;
}

[[nodiscard]] constexpr std::uint32_t buffer_bytes(std::uint32_t order) {
    return page_bytes(order) - (kPageBytes - kBufferBytes);
}

static_assert(buffer_bytes(kOrderMax) <= UINT16_MAX);

inline constexpr std::uint32_t kMarvellHeaderBytes = 2;
inline constexpr std::uint32_t kHardStartOffset = kMarvellHeaderBytes;  // in the buffer
inline constexpr std::uint32_t kDmaOffset = 256;                        // where the NIC writes
inline constexpr std::uint32_t kDataOffset = kDmaOffset + kMarvellHeaderBytes;  // first frame byte
/// XdpBuff::frame_sz of a pool page.
inline constexpr std::uint32_t kFrameSize = kBufferBytes - kHardStartOffset;

[[nodiscard]] constexpr std::uint32_t frame_size(std::uint32_t order) {
    return buffer_bytes(order) - kHardStartOffset;
}

/// What the NIC may fill, from kDmaOffset: multiple of 8.
inline constexpr std::uint32_t kDmaBytes = (kBufferBytes - kDmaOffset) & ~7U;

[[nodiscard]] constexpr std::uint32_t dma_bytes(std::uint32_t order) {
    return (buffer_bytes(order) - kDmaOffset) & ~7U;
}

inline constexpr std::uint32_t kFcsBytes = 4;
/// Longest frame (destination address to payload, without FCS) in one page: with a program the
/// last 320 bytes stay free, as in the kernel.
inline constexpr std::uint32_t kFrameBytesMax = kDmaBytes - kMarvellHeaderBytes - kFcsBytes;
inline constexpr std::uint32_t kXdpFrameBytesMax = kBufferBytes - kDataOffset - 320 - kFcsBytes;
/// What the NIC may fill of each page when frames may take several: as in the kernel those 320
/// bytes stay free in the first, and let the last grow.
inline constexpr std::uint32_t kPieceDmaBytes = (kBufferBytes - kDmaOffset - 320) & ~7U;
/// Longest piece of a frame in the first of several pages.
inline constexpr std::uint32_t kFirstPieceBytesMax = kPieceDmaBytes - kMarvellHeaderBytes;
static_assert(kFirstPieceBytesMax >= kXdpFrameBytesMax &&
              kDataOffset + kFirstPieceBytesMax + 320 <= kBufferBytes);

/// Start of the buffer of `page`; no load.
[[nodiscard]] inline std::uint8_t* buffer_of(rte_mbuf* page) {
    return reinterpret_cast<std::uint8_t*>(page) + sizeof(rte_mbuf);
}

[[nodiscard]] inline std::uint8_t* hard_start_of(rte_mbuf* page) {
    return buffer_of(page) + kHardStartOffset;
}

/// Makes `page` the mbuf of a received frame; the only place that fills one (verdict PASS). In the
/// pool refcnt is 1, nb_segs 1 and next null, and stay so. `len` is below 65536.
inline void to_mbuf(rte_mbuf* page,
                    const std::uint8_t* data,
                    std::uint32_t len,
                    std::uint16_t port_id) {
    // Neighbouring fields are written together: packet_type and pkt_len, data_len and vlan_tci.
    static_assert(offsetof(rte_mbuf, pkt_len) == offsetof(rte_mbuf, packet_type) + 4 &&
                  offsetof(rte_mbuf, vlan_tci) == offsetof(rte_mbuf, data_len) + 2 &&
                  RTE_BYTE_ORDER == RTE_LITTLE_ENDIAN);
    const std::uint64_t type_and_length = std::uint64_t{len} << 32U;
    auto* const bytes = reinterpret_cast<std::uint8_t*>(page);
    page->data_off = static_cast<std::uint16_t>(data - buffer_of(page));
    page->port = port_id;
    page->ol_flags = 0;
    std::memcpy(bytes + offsetof(rte_mbuf, packet_type), &type_and_length, sizeof type_and_length);
    std::memcpy(bytes + offsetof(rte_mbuf, data_len), &len, sizeof len);
}

}  // namespace crema::page_pool
