// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/user_ringbuf.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace crema::ebpf::maps {

namespace {

constexpr std::uint32_t kBusy = 1U << 31U, kDiscarded = 1U << 30U;
constexpr std::uint32_t kHeaderBytes = 8;              // length with its flags, and four more
constexpr std::uint32_t kSampleMax = (1U << 24U) - 1;  // of a dynptr

constexpr std::uint64_t room_of(std::uint32_t bytes) {
    return (std::uint64_t{bytes} + kHeaderBytes + 7U) & ~std::uint64_t{7};
}

std::atomic<std::uint32_t>& length_at(std::uint8_t* header) {
    return *reinterpret_cast<std::atomic<std::uint32_t>*>(header);
}

}  // namespace

Result<std::shared_ptr<Map>> UserRingBuffer::make(const MapSpec& spec) {
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
    MappedParts memory(
        {{page, position.get()}, {page + size, data.get()}, {size, data.get(), page}});
    if (memory.data() == nullptr ||
        fcntl(position.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) !=
            0 ||
        fcntl(data.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return fail(ENOMEM, "map {}: mapping of {} bytes, errno {}", spec.name, size, errno);
    }
    return std::make_shared<UserRingBuffer>(spec, std::move(position), std::move(data),
                                            std::move(memory));
}

UserRingBuffer::UserRingBuffer(const MapSpec& spec,
                               UniqueFd position,
                               UniqueFd data,
                               MappedParts memory)
    : Map(spec),
      position_fd_(std::move(position)),
      data_fd_(std::move(data)),
      memory_(std::move(memory)),
      base_(memory_.data()),
      page_(page_bytes()),
      mask_(std::uint64_t{spec.max_entries} - 1) {}

int UserRingBuffer::peek(Sample& sample) {
    const std::uint64_t produced = producer().load(std::memory_order_acquire);
    if (produced % kHeaderBytes != 0) {
        return -EINVAL;
    }
    if (consumed_ >= produced) {
        return -ENODATA;
    }
    std::uint8_t* const header = data_at(consumed_);
    const std::uint32_t length = length_at(header).load(std::memory_order_acquire);
    const std::uint32_t bytes = length & ~(kBusy | kDiscarded);
    const std::uint64_t room = room_of(bytes);
    if (room > produced - consumed_) {
        return -EINVAL;
    }
    if (room > mask_ + 1 || bytes > kSampleMax) {
        return -E2BIG;
    }
    sample = {.data = header + kHeaderBytes, .bytes = bytes};
    if ((length & kDiscarded) != 0) {
        release(sample);
        return -EAGAIN;
    }
    return (length & kBusy) != 0 ? -ENODATA : 0;
}

void UserRingBuffer::release(const Sample& sample) {
    consumed_ += room_of(sample.bytes);
    consumer().store(consumed_, std::memory_order_release);
}

void UserRingBuffer::end_drain(std::uint64_t samples, std::uint64_t flags) {
    busy_.store(false, std::memory_order_release);
    if ((flags & kForceWakeup) != 0 || (samples != 0 && (flags & kNoWakeup) == 0)) {
        wakeups_.ask();
    }
}

UserRingProducer::UserRingProducer(UserRingBuffer& ring)
    : page_(page_bytes()),
      size_(ring.spec().max_entries),
      memory_({{page_ + size_, ring.data_fd()}, {size_, ring.data_fd(), page_}}),
      data_(memory_.data()) {
    void* const position = mmap(nullptr, page_, PROT_READ, MAP_SHARED, ring.memory_fd(), 0);
    if (position != MAP_FAILED) {
        consumer_ = static_cast<const std::atomic<std::uint64_t>*>(position);
    }
}

UserRingProducer::~UserRingProducer() {
    if (consumer_ != nullptr) {
        munmap(const_cast<std::atomic<std::uint64_t>*>(consumer_), page_);
    }
}

void* UserRingProducer::reserve(std::uint32_t bytes) {
    auto& produced = *reinterpret_cast<std::atomic<std::uint64_t>*>(data_);
    const std::uint64_t at = produced.load(std::memory_order_relaxed);
    const std::uint64_t used = at - consumer_->load(std::memory_order_acquire);
    if (bytes > kSampleMax || used > size_ || room_of(bytes) > size_ - used) {
        return nullptr;
    }
    std::uint8_t* const header = data_ + page_ + (at & (size_ - 1));
    std::memset(header + sizeof(std::uint32_t), 0, sizeof(std::uint32_t));
    length_at(header).store(bytes | kBusy, std::memory_order_relaxed);
    produced.store(at + room_of(bytes), std::memory_order_release);
    return header + kHeaderBytes;
}

void UserRingProducer::commit(void* sample, bool discard) {
    auto& length = length_at(static_cast<std::uint8_t*>(sample) - kHeaderBytes);
    const std::uint32_t bytes = length.load(std::memory_order_relaxed) & ~kBusy;
    length.store(discard ? bytes | kDiscarded : bytes, std::memory_order_release);
}

void UserRingProducer::submit(void* sample) {
    commit(sample, false);
}

void UserRingProducer::discard(void* sample) {
    commit(sample, true);
}

}  // namespace crema::ebpf::maps
