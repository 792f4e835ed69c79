// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/ringbuf.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

#include "lib/ebpf/maps/spin_lock.h"

namespace crema::ebpf::maps {

Result<std::shared_ptr<Map>> RingBuffer::make(const MapSpec& spec) {
    const std::uint64_t page = page_bytes();
    const std::uint64_t size = spec.max_entries;
    UniqueFd position(memfd_create("bpf-map", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    UniqueFd data(memfd_create("bpf-map-data", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!position.valid() || !data.valid() ||
        ftruncate(position.get(), static_cast<off_t>(page)) != 0 ||
        ftruncate(data.get(), static_cast<off_t>(page + size)) != 0) {
        return fail(ENOMEM, "map {}: no shared memory of {} bytes, errno {}", spec.name, size,
                    errno);
    }
    // The page before all is ours: see the constructor.
    MappedParts memory(
        {{page}, {page, position.get()}, {page + size, data.get()}, {size, data.get(), page}});
    if (memory.data() == nullptr ||
        fcntl(position.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0 ||
        fcntl(data.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
        return fail(ENOMEM, "map {}: mapping of {} bytes, errno {}", spec.name, size, errno);
    }
    return std::make_shared<RingBuffer>(spec, std::move(position), std::move(data),
                                        std::move(memory));
}

RingBuffer::RingBuffer(const MapSpec& spec, UniqueFd position, UniqueFd data, MappedParts memory)
    : Map(spec),
      position_fd_(std::move(position)),
      data_fd_(std::move(data)),
      memory_(std::move(memory)),
      base_(memory_.data()),
      page_(page_bytes()),
      mask_(std::uint64_t{spec.max_entries} - 1) {
    // What a record's header leads back to.
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    std::memcpy(base_, &self, sizeof self);
}

std::uint8_t* RingBuffer::reserve(std::uint64_t bytes) {
    constexpr std::uint64_t kRecordMax = 0xffffffffU / 4;
    if (bytes > kRecordMax) {
        return nullptr;
    }
    const std::uint64_t room = record_bytes(static_cast<std::uint32_t>(bytes));
    if (room > mask_ + 1) {
        return nullptr;
    }
    const std::uint64_t consumed = consumer().load(std::memory_order_acquire);
    const HeldLock held(locked_);
    const std::uint64_t start = producer().load(std::memory_order_relaxed);
    while (pending_ < start) {
        const std::uint32_t length = header(pending_).length.load(std::memory_order_acquire);
        if ((length & kBusy) != 0) {
            break;
        }
        pending_ += record_bytes(length);
    }
    // Neither what the consumer has not seen nor what is still being filled may be overwritten.
    const std::uint64_t end = start + room;
    if (end - consumed > mask_ || end - pending_ > mask_) {
        return nullptr;
    }
    Header& fresh = header(start);
    fresh.length.store(static_cast<std::uint32_t>(bytes) | kBusy, std::memory_order_relaxed);
    auto* at = reinterpret_cast<std::uint8_t*>(&fresh);
    fresh.pages_back = static_cast<std::uint32_t>(static_cast<std::uint64_t>(at - base_) / page_);
    producer().store(end, std::memory_order_release);
    return at + sizeof(Header);
}

void RingBuffer::commit(std::uint8_t* record, std::uint64_t flags, bool discard) {
    const std::uint64_t page = page_bytes();
    std::uint8_t* at = record - sizeof(Header);
    auto& own = *reinterpret_cast<Header*>(at);
    const std::uintptr_t in_page = reinterpret_cast<std::uintptr_t>(at) % page;
    const std::uint8_t* base = at - in_page - own.pages_back * page;
    std::uintptr_t self = 0;
    std::memcpy(&self, base, sizeof self);
    auto* const ring = reinterpret_cast<RingBuffer*>(self);
    const std::uint32_t length = own.length.load(std::memory_order_relaxed) & ~kBusy;
    own.length.exchange(discard ? length | kDiscarded : length, std::memory_order_acq_rel);
    // A consumer that has caught up to this record sleeps, or is about to.
    const std::uint64_t consumed = ring->consumer().load(std::memory_order_acquire) & ring->mask_;
    const bool caught_up = consumed == static_cast<std::uint64_t>(at - ring->data());
    if ((flags & kForceWakeup) != 0 || (caught_up && (flags & kNoWakeup) == 0)) {
        ring->wakeups_.ask();
    }
}

int RingBuffer::output(const void* data_in, std::uint64_t bytes, std::uint64_t flags) {
    std::uint8_t* record = reserve(bytes);
    if (record == nullptr) {
        return -EAGAIN;
    }
    std::memcpy(record, data_in, bytes);
    commit(record, flags, false);
    return 0;
}

std::uint64_t RingBuffer::query(std::uint64_t what) const {
    const std::uint64_t consumed = consumer().load(std::memory_order_acquire);
    const std::uint64_t produced = producer().load(std::memory_order_acquire);
    switch (what) {
        case 0:
            return produced - consumed;
        case 1:
            return mask_ + 1;
        case 2:
            return consumed;
        case 3:
            return produced;
        default:
            return 0;
    }
}

}  // namespace crema::ebpf::maps
