// SPDX-License-Identifier: BSD-3-Clause
//
// BPF_MAP_TYPE_USER_RINGBUF: samples from one producer in user space, drained by programs. The
// layout is that of a ring buffer (ringbuf.h) with the rights turned round:
//
//   | consumer position | producer position | data | data again |
//     read only            the producer may write both
//
// The producer may be another process, and may write anything at any time: each position, length
// and flag is read once and judged before it is used, the consumer's position is kept here, and a
// sample's bytes stay inside the doubled data whatever they say.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/mapped_parts.h"
#include "lib/ebpf/maps/wakeups.h"

namespace crema::ebpf::maps {

class UserRingBuffer final : public Map {
  public:
    static constexpr std::uint64_t kNoWakeup = 1, kForceWakeup = 2;

    /// spec: checked by create().
    [[nodiscard]] static Result<std::shared_ptr<Map>> make(const MapSpec& spec);

    UserRingBuffer(const MapSpec& spec, UniqueFd position, UniqueFd data, MappedParts memory);
    UserRingBuffer(const UserRingBuffer&) = delete;
    UserRingBuffer& operator=(const UserRingBuffer&) = delete;
    ~UserRingBuffer() override = default;

    struct Sample {
        std::uint8_t* data = nullptr;
        std::uint32_t bytes = 0;
    };

    /// Program side, any thread. One drains at a time: false, another one does.
    [[nodiscard]] bool begin_drain() { return !busy_.exchange(true, std::memory_order_acquire); }

    /// The next sample. -ENODATA: none is ready; -EAGAIN: it was discarded and is passed; -EINVAL,
    /// -E2BIG: what the producer wrote is no sample, and nothing more can be read.
    [[nodiscard]] int peek(Sample& sample);

    /// Gives the room of the sample that was just peeked back.
    void release(const Sample& sample);

    /// samples: taken or passed. flags: kNoWakeup, kForceWakeup.
    void end_drain(std::uint64_t samples, std::uint64_t flags);

    /// When a producer that waits for room should look.
    [[nodiscard]] Wakeups& wakeups() { return wakeups_; }

    /// The page with the consumer's position, which cannot be mapped for writing.
    [[nodiscard]] int memory_fd() const override { return position_fd_.get(); }

    /// Producer's page and data, once.
    [[nodiscard]] int data_fd() { return data_fd_.get(); }

  private:
    [[nodiscard]] std::atomic<std::uint64_t>& consumer() const {
        return *reinterpret_cast<std::atomic<std::uint64_t>*>(base_);
    }

    [[nodiscard]] const std::atomic<std::uint64_t>& producer() const {
        return *reinterpret_cast<const std::atomic<std::uint64_t>*>(base_ + page_);
    }

    [[nodiscard]] std::uint8_t* data_at(std::uint64_t position) const {
        return base_ + 2 * page_ + (position & mask_);
    }

    UniqueFd position_fd_;
    UniqueFd data_fd_;
    MappedParts memory_;
    std::uint8_t* base_;
    std::uint64_t page_;
    std::uint64_t mask_;
    Wakeups wakeups_{Wakeups::For::room};
    alignas(64) std::atomic<bool> busy_{false};
    std::uint64_t consumed_ = 0;  // who drains has it; the shared page only shows it
};

/// What a producer in this process does, by the rules that any other follows: one thread at a time.
class UserRingProducer {
  public:
    explicit UserRingProducer(UserRingBuffer& ring);
    ~UserRingProducer();
    UserRingProducer(const UserRingProducer&) = delete;
    UserRingProducer& operator=(const UserRingProducer&) = delete;

    /// False: its memory cannot be mapped.
    [[nodiscard]] bool valid() const { return consumer_ != nullptr && data_ != nullptr; }

    /// Null: no room, or more than a sample may have. The sample is the producer's until submit or
    /// discard.
    [[nodiscard]] void* reserve(std::uint32_t bytes);
    void submit(void* sample);
    void discard(void* sample);

  private:
    void commit(void* sample, bool discard);

    std::uint64_t page_;
    std::uint64_t size_;
    MappedParts memory_;
    std::uint8_t* data_;  // producer's page, data, data again
    const std::atomic<std::uint64_t>* consumer_ = nullptr;
};

}  // namespace crema::ebpf::maps
