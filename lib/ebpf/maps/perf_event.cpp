// SPDX-License-Identifier: BSD-3-Clause
//
// Records and their ring, as linux/perf_event.h describes them. See perf_event.h for who may write
// what.
#include "lib/ebpf/maps/perf_event.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include <linux/perf_event.h>

#include "lib/ebpf/maps/mapped_parts.h"
#include "lib/ebpf/maps/spin_lock.h"

namespace crema::ebpf::maps {

namespace {

constexpr std::uint64_t kRingBytesMax = std::uint64_t{1} << 30U;
constexpr std::uint32_t kRecordBytesMax = 0xfff8;  // a header's size has 16 bits
constexpr std::uint64_t kSampleSingle =
    kSampleIdentifier | kSampleTid | kSampleTime | kSampleId | kSampleStreamId | kSampleCpu;

std::uint64_t now_ns(clockid_t clock) {
    constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * kNsPerSecond +
           static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t next_id() {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

std::uint64_t& field(perf_event_mmap_page& page, std::size_t offset) {
    return *reinterpret_cast<std::uint64_t*>(reinterpret_cast<std::uint8_t*>(&page) + offset);
}

std::atomic_ref<std::uint64_t> head_of(perf_event_mmap_page& page) {
    return std::atomic_ref(field(page, offsetof(perf_event_mmap_page, data_head)));
}

std::atomic_ref<std::uint64_t> tail_of(perf_event_mmap_page& page) {
    return std::atomic_ref(field(page, offsetof(perf_event_mmap_page, data_tail)));
}

}  // namespace

/// The memory of the ring as this process sees it: the page, the data, the data again.
struct PerfEvent::Ring {
    MappedParts memory;
    std::uint64_t data_bytes;  // power of two, or 0: there is only the page
    std::uint64_t watermark = 0;
    bool is_overwritten = false;

    Ring(int fd, std::uint64_t bytes)
        : memory({{page_bytes() + bytes, fd}, {bytes, fd, page_bytes()}}), data_bytes(bytes) {}

    ~Ring() = default;
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    [[nodiscard]] perf_event_mmap_page& page() const {
        return *reinterpret_cast<perf_event_mmap_page*>(memory.data());
    }

    [[nodiscard]] std::uint8_t* data_at(std::uint64_t position) const {
        return memory.data() + page_bytes() + (position & (data_bytes - 1));
    }

    /// Room behind `head` when its reader has come to where it says. One byte stays free.
    [[nodiscard]] std::uint64_t room(std::uint64_t head) const {
        const std::uint64_t tail = tail_of(page()).load(std::memory_order_acquire);
        return (tail - (head + 1)) & (data_bytes - 1);
    }
};

/// Writes a record from its start on.
class PerfEvent::Writer {
  public:
    explicit Writer(std::uint8_t* at) : at_(at) {}

    template <typename T>
    void put(T value) {
        put_bytes(&value, sizeof value);
    }

    void put_bytes(const void* from, std::size_t bytes) {
        if (bytes != 0) {
            std::memcpy(at_, from, bytes);
        }
        at_ += bytes;
    }

    void put_zeros(std::size_t bytes) {
        std::memset(at_, 0, bytes);
        at_ += bytes;
    }

  private:
    std::uint8_t* at_;
};

Result<std::shared_ptr<PerfEvent>> PerfEvent::open(const PerfEventSpec& spec) {
    UniqueFd memory(memfd_create("bpf-perf_event", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memory.valid()) {
        return fail(ENOMEM, "no memory for a perf event, errno {}", errno);
    }
    return std::make_shared<PerfEvent>(spec, std::move(memory));
}

PerfEvent::PerfEvent(const PerfEventSpec& spec, UniqueFd memory)
    : spec_(spec),
      id_(next_id()),
      id_bytes_(static_cast<std::uint32_t>(
          8 * std::popcount(spec.sample_type & (kSampleSingle | kSamplePeriod)))),
      memory_(std::move(memory)),
      enabled_(!spec.is_disabled),
      enabled_since_ns_(now_ns(CLOCK_MONOTONIC)) {}

PerfEvent::~PerfEvent() {
    delete ring_.load(std::memory_order_relaxed);
}

int PerfEvent::make_ring(std::uint64_t bytes, bool is_writable) {
    const std::uint64_t page = page_bytes();
    const std::uint64_t pages = bytes / page + (bytes % page != 0 ? 1 : 0);
    if (pages == 0 || (pages != 1 && !std::has_single_bit(pages - 1))) {
        return -EINVAL;
    }
    const std::uint64_t data = (pages - 1) * page;
    const std::lock_guard lock(control_);
    if (const Ring* known = ring_.load(std::memory_order_relaxed); known != nullptr) {
        return known->data_bytes == data ? 0 : -EINVAL;
    }
    if (data > kRingBytesMax) {
        return -ENOMEM;
    }

    // Whoever has the descriptor may have changed the file's size, but not once it is sealed.
    struct stat status {};

    if (ftruncate(memory_.get(), static_cast<off_t>(page + data)) != 0 ||
        fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0 ||
        fstat(memory_.get(), &status) != 0 || status.st_size != static_cast<off_t>(page + data)) {
        return -ENOMEM;
    }
    auto ring = std::make_unique<Ring>(memory_.get(), data);
    if (ring->memory.data() == nullptr) {
        return -ENOMEM;
    }
    const std::uint64_t asked = spec_.wakes_by_bytes ? spec_.wakeup_bytes : 0;
    ring->watermark = asked != 0 && asked < data ? asked : asked != 0 ? data : data / 2;
    ring->is_overwritten = !is_writable;
    perf_event_mmap_page& shown = ring->page();
    shown.cap_bit0_is_deprecated = 1;
    shown.size = offsetof(perf_event_mmap_page, __reserved);
    shown.data_offset = page;
    shown.data_size = data;
    ring_.store(ring.release(), std::memory_order_release);
    return 0;
}

void PerfEvent::enable() {
    const std::lock_guard lock(control_);
    if (!enabled_.load(std::memory_order_relaxed)) {
        enabled_since_ns_.store(now_ns(CLOCK_MONOTONIC), std::memory_order_relaxed);
        enabled_.store(true, std::memory_order_release);
    }
}

void PerfEvent::disable() {
    const std::lock_guard lock(control_);
    if (enabled_.load(std::memory_order_relaxed)) {
        const std::uint64_t span =
            now_ns(CLOCK_MONOTONIC) - enabled_since_ns_.load(std::memory_order_relaxed);
        enabled_.store(false, std::memory_order_release);
        enabled_before_ns_.fetch_add(span, std::memory_order_relaxed);
    }
}

std::uint64_t PerfEvent::enabled_ns() const {
    const std::uint64_t before = enabled_before_ns_.load(std::memory_order_relaxed);
    if (!enabled_.load(std::memory_order_acquire)) {
        return before;
    }
    return before + now_ns(CLOCK_MONOTONIC) - enabled_since_ns_.load(std::memory_order_relaxed);
}

int PerfEvent::pause(bool paused) {
    if (ring_.load(std::memory_order_acquire) == nullptr) {
        return -EINVAL;
    }
    paused_.store(paused, std::memory_order_relaxed);
    return 0;
}

// What a record of losses carries about its origin comes last in it; kSamplePeriod is no part.
std::uint32_t PerfEvent::lost_bytes() const {
    constexpr std::uint32_t kBare = sizeof(perf_event_header) + 2 * sizeof(std::uint64_t);
    const bool has_period = (spec_.sample_type & kSamplePeriod) != 0;
    return kBare + (spec_.ids_everywhere ? id_bytes_ - (has_period ? 8U : 0U) : 0U);
}

std::uint32_t PerfEvent::sample_bytes(std::uint64_t raw_bytes) const {
    const std::uint64_t raw = (spec_.sample_type & kSampleRaw) != 0
                                  ? (raw_bytes + sizeof(std::uint32_t) + 7U) & ~std::uint64_t{7}
                                  : 0;
    const std::uint64_t bytes = sizeof(perf_event_header) + id_bytes_ + raw;
    return bytes <= kRecordBytesMax ? static_cast<std::uint32_t>(bytes) : 0;
}

namespace {

std::size_t size_of(PerfEvent::Pieces pieces) {
    std::size_t bytes = 0;
    for (const auto& piece : pieces) {
        bytes += piece.size();
    }
    return bytes;
}

std::uint64_t process_and_thread() {
    thread_local const auto thread = static_cast<std::uint32_t>(::syscall(SYS_gettid));
    return std::uint64_t{thread} << 32U | static_cast<std::uint32_t>(getpid());
}

}  // namespace

/// The fields between a header and what the record is about, without kSampleIdentifier, which is
/// first in a sample and last elsewhere, and kSamplePeriod.
void PerfEvent::put_ids(Writer& to) const {
    const std::uint64_t type = spec_.sample_type;
    if ((type & kSampleTid) != 0) {
        to.put(process_and_thread());
    }
    if ((type & kSampleTime) != 0) {
        to.put(now_ns(spec_.clock));
    }
    if ((type & kSampleId) != 0) {
        to.put(id_);
    }
    if ((type & kSampleStreamId) != 0) {
        to.put(id_);
    }
    if ((type & kSampleCpu) != 0) {
        to.put(std::uint64_t{spec_.cpu});
    }
}

void PerfEvent::put_lost(Writer& to) {
    to.put(perf_event_header{
        .type = PERF_RECORD_LOST, .misc = 0, .size = static_cast<std::uint16_t>(lost_bytes())});
    to.put(id_);
    to.put(std::exchange(lost_, 0));
    if (spec_.ids_everywhere) {
        put_ids(to);
        if ((spec_.sample_type & kSampleIdentifier) != 0) {
            to.put(id_);
        }
    }
}

void PerfEvent::put_sample(Writer& to,
                           std::uint32_t bytes,
                           std::span<const std::uint8_t> first,
                           Pieces others) const {
    to.put(perf_event_header{.type = PERF_RECORD_SAMPLE,
                             .misc = PERF_RECORD_MISC_KERNEL,
                             .size = static_cast<std::uint16_t>(bytes)});
    const std::uint64_t type = spec_.sample_type;
    if ((type & kSampleIdentifier) != 0) {
        to.put(id_);
    }
    put_ids(to);
    if ((type & kSamplePeriod) != 0) {
        to.put(spec_.sample_period);
    }
    if ((type & kSampleRaw) != 0) {
        const std::uint32_t raw = bytes - static_cast<std::uint32_t>(sizeof(perf_event_header)) -
                                  id_bytes_ - static_cast<std::uint32_t>(sizeof(std::uint32_t));
        to.put(raw);
        to.put_bytes(first.data(), first.size());
        for (const auto& piece : others) {
            to.put_bytes(piece.data(), piece.size());
        }
        to.put_zeros(raw - first.size() - size_of(others));
    }
}

int PerfEvent::append(Ring& ring, std::span<const std::uint8_t> first, Pieces others, bool& wakes) {
    const std::uint32_t bytes = sample_bytes(std::uint64_t{first.size()} + size_of(others));
    if (bytes == 0) {
        return -E2BIG;
    }
    if (paused_.load(std::memory_order_relaxed) || ring.data_bytes == 0) {
        lost_ += ring.data_bytes != 0 ? 1 : 0;
        return -ENOSPC;
    }
    const std::uint32_t with_lost = bytes + (lost_ != 0 ? lost_bytes() : 0);
    const std::uint64_t room = ring.is_overwritten ? ring.data_bytes - 1 : ring.room(head_);
    if (room < with_lost) {
        lost_++;
        return -ENOSPC;
    }
    Writer to(ring.data_at(head_));
    if (lost_ != 0) {
        put_lost(to);
    }
    put_sample(to, bytes, first, others);
    head_ += with_lost;
    head_of(ring.page()).store(head_, std::memory_order_release);
    // The kernel's rule: bytes and samples move the same marker.
    const std::uint64_t before = wake_marker_;
    if (head_ - wake_marker_ > ring.watermark) {
        wake_marker_ += ring.watermark;
    }
    if (!spec_.wakes_by_bytes && spec_.wakeup_samples != 0 && ++samples_ >= spec_.wakeup_samples) {
        samples_ -= spec_.wakeup_samples;
        wake_marker_++;
    }
    wakes = before != wake_marker_;
    return 0;
}

int PerfEvent::output_pieces(std::uint32_t cpu,
                             std::span<const std::uint8_t> first,
                             Pieces others) {
    if (cpu != spec_.cpu || !enabled_.load(std::memory_order_acquire)) [[unlikely]] {
        return -EOPNOTSUPP;
    }
    Ring* const ring = ring_.load(std::memory_order_acquire);
    if (ring == nullptr) [[unlikely]] {
        return -ENOSPC;
    }
    bool wakes = false;
    int result = 0;
    {
        const HeldLock held(locked_);
        result = append(*ring, first, others, wakes);
    }
    if (wakes) {
        wakeups_.ask();
    }
    return result;
}

std::uint32_t PerfEvent::consume(const std::function<void(std::span<const std::uint8_t>)>& sample,
                                 const std::function<void(std::uint64_t)>& lost) {
    const Ring* const ring = ring_.load(std::memory_order_acquire);
    if (ring == nullptr || ring->data_bytes == 0) {
        return 0;
    }
    std::uint32_t records = 0;
    std::uint64_t tail = tail_of(ring->page()).load(std::memory_order_relaxed);
    const std::uint64_t head = head_of(ring->page()).load(std::memory_order_acquire);
    // Who else has the ring mapped may have moved both.
    while (tail != head && head - tail <= ring->data_bytes) {
        const std::uint8_t* const at = ring->data_at(tail);
        perf_event_header header{};
        std::memcpy(&header, at, sizeof header);
        if (header.size < sizeof header || header.size > head - tail) {
            break;  // somebody else has written there
        }
        const std::uint8_t* const body = at + sizeof header;
        if (header.type == PERF_RECORD_SAMPLE && header.size >= sizeof header + 4) {
            std::uint32_t raw = 0;
            std::memcpy(&raw, body, sizeof raw);
            const std::size_t room = header.size - sizeof header - sizeof raw;
            sample({body + sizeof raw, std::min<std::size_t>(raw, room)});
        } else if (header.type == PERF_RECORD_LOST && header.size >= sizeof header + 16) {
            std::uint64_t count = 0;
            std::memcpy(&count, body + sizeof count, sizeof count);
            lost(count);
        }
        records++;
        tail += header.size;
        tail_of(ring->page()).store(tail, std::memory_order_release);
    }
    return records;
}

}  // namespace crema::ebpf::maps
