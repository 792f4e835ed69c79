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

std::uint64_t page_bytes() {
    return static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

constexpr std::uint64_t room_of(std::uint32_t bytes) {
    return (std::uint64_t{bytes} + kHeaderBytes + 7U) & ~std::uint64_t{7};
}

/// Maps `pages` of `position` if it is one, then the producer's page and the data twice. Null:
/// errno says why.
std::uint8_t* map_ring(int position, int data, std::uint64_t page, std::uint64_t size) {
    const std::uint64_t first = position >= 0 ? page : 0;
    const std::uint64_t whole = first + page + 2 * size;
    void* const all = mmap(nullptr, whole, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) {
        return nullptr;
    }
    auto* const base = static_cast<std::uint8_t*>(all);
    const auto share = [base](int fd, std::uint64_t at, std::uint64_t bytes, std::uint64_t from) {
        return mmap(base + at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                    static_cast<off_t>(from)) != MAP_FAILED;
    };
    if ((first != 0 && !share(position, 0, page, 0)) || !share(data, first, page + size, 0) ||
        !share(data, first + page + size, size, page)) {
        munmap(base, whole);
        return nullptr;
    }
    return base;
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
    const std::uint64_t whole = 2 * page + 2 * size;
    const auto unmap = [whole](std::uint8_t* memory) { munmap(memory, whole); };
    std::unique_ptr<std::uint8_t, decltype(unmap)> mapped(
        map_ring(position.get(), data.get(), page, size), unmap);
    if (mapped == nullptr ||
        fcntl(position.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) !=
            0 ||
        fcntl(data.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return fail(ENOMEM, "map {}: mapping of {} bytes, errno {}", spec.name, size, errno);
    }
    auto ring =
        std::make_shared<UserRingBuffer>(spec, std::move(position), std::move(data), mapped.get());
    static_cast<void>(mapped.release());
    return ring;
}

UserRingBuffer::UserRingBuffer(const MapSpec& spec,
                               UniqueFd position,
                               UniqueFd data,
                               std::uint8_t* base)
    : Map(spec),
      position_fd_(std::move(position)),
      data_fd_(std::move(data)),
      base_(base),
      page_(page_bytes()),
      mask_(std::uint64_t{spec.max_entries} - 1) {}

UserRingBuffer::~UserRingBuffer() {
    munmap(base_, 2 * page_ + 2 * (mask_ + 1));
}

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
    : page_(page_bytes()), size_(ring.spec().max_entries) {
    void* const position = mmap(nullptr, page_, PROT_READ, MAP_SHARED, ring.memory_fd(), 0);
    if (position != MAP_FAILED) {
        consumer_ = static_cast<const std::atomic<std::uint64_t>*>(position);
        data_ = map_ring(-1, ring.data_fd(), page_, size_);
    }
}

UserRingProducer::~UserRingProducer() {
    if (consumer_ != nullptr) {
        munmap(const_cast<std::atomic<std::uint64_t>*>(consumer_), page_);
    }
    if (data_ != nullptr) {
        munmap(data_, page_ + 2 * size_);
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
