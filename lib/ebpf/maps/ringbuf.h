// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_RINGBUF: records from programs on many CPUs to one consumer, in the kernel's layout:
//
//   | control page | consumer position | producer position | data | data again |
//     private        one page each, shared from here on
//
// Positions grow without end; the second mapping of the data lets a record cross the end in one
// piece. A record is a header {length with busy and discard bits, pages back to the control page}
// and its bytes, padded to 8. Producers reserve under a lock (a few instructions) and fill and
// commit without one, in any order; the consumer stops at a record that is still busy.
//
// The consumer may be another process: its position is one memfd, which it may write, the
// producer's page and the data another, which it may only read (a header that it could change would
// lead commit() astray). wakeups() tells it when it should look; a consumer in this process calls
// consume().
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/mapped_parts.h"
#include "lib/ebpf/maps/wakeups.h"

namespace crema::ebpf::maps {

class RingBuffer final : public Map {
  public:
    static constexpr std::uint64_t kNoWakeup = 1, kForceWakeup = 2;

    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    RingBuffer(const MapSpec& spec, UniqueFd position, UniqueFd data, MappedParts memory);
    RingBuffer(const RingBuffer&) = delete;
    RingBuffer& operator=(const RingBuffer&) = delete;
    ~RingBuffer() override = default;

    /// Program side, any thread. Null: no room. The record is the caller's until commit or discard.
    [[nodiscard]] std::uint8_t* reserve(std::uint64_t bytes);

    /// Hands a reserved record to the consumer, or takes it back. flags: kNoWakeup, kForceWakeup.
    static void commit(std::uint8_t* record, std::uint64_t flags, bool discard);

    /// 0 or -EAGAIN: no room.
    [[nodiscard]] int output(const void* data, std::uint64_t bytes, std::uint64_t flags);

    /// bpf_ringbuf_query: 0 bytes not consumed, 1 size, 2 consumer, 3 producer position; else 0.
    [[nodiscard]] std::uint64_t query(std::uint64_t what) const;

    /// Calls visit(bytes) for each committed record and gives its room back; returns their number.
    /// One consumer at a time.
    template <typename Visit>
    std::uint32_t consume(Visit&& visit);

    /// When a consumer that waits should look: the kernel's rule, with the flags of commit.
    [[nodiscard]] Wakeups& wakeups() { return wakeups_; }

    /// The consumer position's page: what a descriptor of the map offers to mmap.
    [[nodiscard]] int memory_fd() const override { return position_fd_.get(); }

    /// Producer's page and data, once; it cannot be mapped for writing any more.
    [[nodiscard]] int data_fd() { return data_fd_.get(); }

  private:
    struct Header {
        std::atomic<std::uint32_t> length;
        std::uint32_t pages_back;
    };

    static constexpr std::uint32_t kBusy = 1U << 31U, kDiscarded = 1U << 30U;

    [[nodiscard]] std::atomic<std::uint64_t>& consumer() const {
        return *reinterpret_cast<std::atomic<std::uint64_t>*>(base_ + page_);
    }

    [[nodiscard]] std::atomic<std::uint64_t>& producer() const {
        return *reinterpret_cast<std::atomic<std::uint64_t>*>(base_ + 2 * page_);
    }

    [[nodiscard]] std::uint8_t* data() const { return base_ + 3 * page_; }

    [[nodiscard]] Header& header(std::uint64_t position) const {
        return *reinterpret_cast<Header*>(data() + (position & mask_));
    }

    [[nodiscard]] static std::uint64_t record_bytes(std::uint32_t length) {
        return ((length & ~(kBusy | kDiscarded)) + sizeof(Header) + 7U) & ~std::uint64_t{7};
    }

    UniqueFd position_fd_;
    UniqueFd data_fd_;
    MappedParts memory_;
    std::uint8_t* base_;
    std::uint64_t page_;
    std::uint64_t mask_;
    Wakeups wakeups_{Wakeups::For::records, true};  // there may be records that nobody was told of
    alignas(64) std::uint32_t locked_ = 0;          // HeldLock
    std::uint64_t pending_ = 0;  // under the lock: all records before it are committed
};

template <typename Visit>
std::uint32_t RingBuffer::consume(Visit&& visit) {
    std::uint32_t records = 0;
    std::uint64_t at = consumer().load(std::memory_order_relaxed);
    while (at < producer().load(std::memory_order_acquire)) {
        const std::uint32_t length = header(at).length.load(std::memory_order_acquire);
        if ((length & kBusy) != 0) {
            break;
        }
        if ((length & kDiscarded) == 0) {
            visit(std::span<const std::uint8_t>(data() + (at & mask_) + sizeof(Header), length));
            records++;
        }
        at += record_bytes(length);
        consumer().store(at, std::memory_order_release);
    }
    return records;
}

}  // namespace crema::ebpf::maps
