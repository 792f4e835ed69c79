// SPDX-License-Identifier: BSD-3-Clause
//
// See frame_ring.h. Positions run freely; a record never wraps: what is left at the end of the
// ring is skipped by a marker.
#include "drivers/model/neta/wires/frame_ring.h"

#include <cstring>

#include "lib/base/check.h"
#include "lib/neta/registers.h"

namespace crema::neta::model {

FrameRing::FrameRing(std::uint32_t bytes) : ring_(bytes), mask_(bytes - 1) {
    CREMA_CHECK((bytes & (bytes - 1)) == 0 && bytes > 2 * kWireFrameMax);
}

bool FrameRing::push(const WireFrame& frame) {
    const std::uint32_t payload = frame.bytes + (frame.has_fcs ? kFcsBytes : 0);
    const std::uint64_t need = (sizeof(Record) + payload + 7) & ~std::uint64_t{7};
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    const std::uint64_t to_end = ring_.size() - (head & mask_);
    const std::uint64_t skip = need > to_end ? to_end : 0;
    if (head + skip + need - tail_seen_ > ring_.size()) {
        tail_seen_ = tail_.load(std::memory_order_acquire);  // pairs with pull()'s release
        if (head + skip + need - tail_seen_ > ring_.size()) {
            return false;
        }
    }
    if (skip != 0) {
        const Record marker{kSkip, 0};
        std::memcpy(&ring_[head & mask_], &marker, sizeof(marker));
        head += skip;
    }
    const Record record{frame.bytes, frame.has_fcs ? 1U : 0U};
    std::uint8_t* at = &ring_[head & mask_];
    std::memcpy(at, &record, sizeof(record));
    std::memcpy(at + sizeof(record), frame.data, payload);
    head_.store(head + need, std::memory_order_release);  // pairs with pull()'s acquire
    return true;
}

std::uint32_t FrameRing::pull(std::span<WireFrame> frames) {
    tail_.store(read_, std::memory_order_release);  // pairs with push()'s acquire
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    std::uint32_t count = 0;
    while (read_ != head && count < frames.size()) {
        const std::uint8_t* at = &ring_[read_ & mask_];
        Record record{};
        std::memcpy(&record, at, sizeof(record));
        if (record.bytes == kSkip) {
            read_ += ring_.size() - (read_ & mask_);
            continue;
        }
        const bool has_fcs = record.has_fcs != 0;
        frames[count++] = {at + sizeof(record), record.bytes, has_fcs, nullptr};
        read_ +=
            (sizeof(Record) + record.bytes + (has_fcs ? kFcsBytes : 0) + 7) & ~std::uint64_t{7};
    }
    return count;
}

std::uint64_t FrameRing::drain() {
    std::array<WireFrame, 64> frames;
    std::uint64_t total = 0;
    while (const std::uint32_t count = pull(frames)) {
        total += count;
    }
    tail_.store(read_, std::memory_order_release);
    return total;
}

}  // namespace crema::neta::model
