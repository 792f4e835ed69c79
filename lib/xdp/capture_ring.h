// SPDX-License-Identifier: BSD-3-Clause
//
// How captured frames come from the packet path to whoever asked for them: a file in memory that
// both have mapped, with a header and a ring of bytes per worker. The worker writes records and
// moves `head`, the reader takes them and moves `tail`; a record that finds no room is counted and
// is not there. The worker trusts nothing in the file: what a reader writes there can spoil what
// that reader gets, and nothing else.
#pragma once

#include <atomic>
#include <cstdint>

namespace crema::xdp {

inline constexpr std::uint64_t kCaptureMagic = 0x314d555452435843;  // of this layout
inline constexpr std::uint32_t kCaptureSnapMax = 262144;            // bytes of a frame, as pcap's
inline constexpr std::uint64_t kCaptureRingMin = std::uint64_t{1} << 16U;
inline constexpr std::uint64_t kCaptureRingMax = std::uint64_t{1} << 28U;

struct CaptureHeader {
    std::uint64_t magic;
    std::uint64_t ring_bytes;  // of data, a power of two
    std::uint64_t tsc_hz;      // of the records' clock
    std::uint32_t rings;
    std::uint32_t reserved;
};

/// In front of the data of each ring; numbers only grow.
struct CaptureRingHead {
    alignas(64) std::atomic<std::uint64_t> head;  // bytes written
    std::atomic<std::uint64_t> records;
    std::atomic<std::uint64_t> dropped;           // records that found no room
    alignas(64) std::atomic<std::uint64_t> tail;  // bytes taken
};

enum class CapturePoint : std::uint32_t {
    filler = 0,  // to the end of the ring: nothing
    entry = 1,   // as the program gets the frame
    exit = 2,    // as it leaves it
};

/// Followed by the bytes of the frame. The size is a multiple of 8; none goes over the end of the
/// ring.
struct CaptureRecord {
    std::uint32_t bytes = 0;  // with this header
    CapturePoint point = CapturePoint::filler;
    std::uint64_t tsc = 0;
    std::uint64_t id = 0;  // the same at entry and exit; of one ring
    std::uint32_t program_id = 0;
    std::uint32_t act = 0;  // exit: what the program returned
    std::uint32_t ifindex = 0;
    std::uint32_t queue = 0;
    std::uint32_t frame_bytes = 0;
    std::uint32_t captured_bytes = 0;
};

static_assert(sizeof(CaptureRecord) == 48);

/// Where things are: the header has a page of its own, so has each head.
inline constexpr std::uint64_t kCapturePage = 4096;

[[nodiscard]] constexpr std::uint64_t capture_ring_at(std::uint64_t ring_bytes,
                                                      std::uint32_t ring) {
    return kCapturePage + ring * (kCapturePage + ring_bytes);
}

[[nodiscard]] constexpr std::uint64_t capture_file_bytes(std::uint64_t ring_bytes,
                                                         std::uint32_t rings) {
    return capture_ring_at(ring_bytes, rings);
}

[[nodiscard]] constexpr std::uint64_t capture_record_bytes(std::uint32_t captured) {
    return (sizeof(CaptureRecord) + captured + 7) / 8 * 8;
}

}  // namespace crema::xdp
