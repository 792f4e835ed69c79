// SPDX-License-Identifier: BSD-3-Clause
//
// A perf event of the kind that programs write to (PERF_TYPE_SOFTWARE, PERF_COUNT_SW_BPF_OUTPUT): a
// CPU, and a ring of records in the kernel's layout that its reader maps:
//
//   | struct perf_event_mmap_page | data, 2^n pages |
//
// It is no event of the kernel. The reader may be another process (its mapping is the same memfd)
// and may write anything there: positions of the producer and counts are kept here, the reader's
// position only decides whether there is room. In this process the data is mapped twice in a row,
// so a record across the end is one piece.
//
// Producers are the programs that run on the event's CPU; two of them (a worker and a test run)
// take turns by a lock of a few instructions. Whoever waits is woken as the kernel does it: when as
// many samples as it asked for were written, or as many bytes; but once per burst of packets, for
// waking is a system call.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <span>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/maps/wakeups.h"

namespace crema::ebpf::maps {

// PERF_SAMPLE_*, those that a record may carry here, in their order in a record.
inline constexpr std::uint64_t kSampleIdentifier = 1U << 16U, kSampleTid = 1U << 1U,
                               kSampleTime = 1U << 2U, kSampleId = 1U << 6U,
                               kSampleStreamId = 1U << 9U, kSampleCpu = 1U << 7U,
                               kSamplePeriod = 1U << 8U, kSampleRaw = 1U << 10U;
inline constexpr std::uint64_t kSampleServed = kSampleIdentifier | kSampleTid | kSampleTime |
                                               kSampleId | kSampleStreamId | kSampleCpu |
                                               kSamplePeriod | kSampleRaw;

/// As in struct perf_event_attr, as far as it means something here.
struct PerfEventSpec {
    std::uint32_t cpu = 0;  // kernel CPU number
    std::uint64_t sample_type = kSampleRaw;
    std::uint64_t sample_period = 1;    // only shown in records
    bool wakes_by_bytes = false;        // attr.watermark
    std::uint32_t wakeup_samples = 1;   // wake after so many; 0: only when the ring is half full
    std::uint32_t wakeup_bytes = 0;     // with wakes_by_bytes; 0: half of the ring
    bool is_disabled = false;           // until enable()
    bool ids_everywhere = false;        // attr.sample_id_all: in records of losses, too
    bool is_inherited = false;          // attr.inherit: maps refuse it
    clockid_t clock = CLOCK_MONOTONIC;  // of kSampleTime
};

/// Aligned: what is written to one event, on its CPU, shares no cache line with another.
class alignas(64) PerfEvent {
  public:
    /// ENOMEM: no descriptor for its memory.
    [[nodiscard]] static Result<std::shared_ptr<PerfEvent>> open(const PerfEventSpec& spec);

    PerfEvent(const PerfEventSpec& spec, UniqueFd memory);
    PerfEvent(const PerfEvent&) = delete;
    PerfEvent& operator=(const PerfEvent&) = delete;
    ~PerfEvent();

    [[nodiscard]] const PerfEventSpec& spec() const { return spec_; }

    /// Unique in this process, as PERF_EVENT_IOC_ID gives it.
    [[nodiscard]] std::uint64_t id() const { return id_; }

    /// What mmap of the event offers: empty until make_ring().
    [[nodiscard]] int memory_fd() const { return memory_.get(); }

    /// Makes the ring that a mapping of `bytes` shows. 0, also when there is one of that size;
    /// -EINVAL: not 1 + 2^n pages, or another size than before; -ENOMEM. A ring that its reader
    /// cannot write to is overwritten instead of losing samples. Control threads.
    [[nodiscard]] int make_ring(std::uint64_t bytes, bool is_writable);

    /// PERF_EVENT_IOC_ENABLE, _DISABLE. Any thread.
    void enable();
    void disable();

    /// PERF_EVENT_IOC_PAUSE_OUTPUT. 0 or -EINVAL: there is no ring. Control threads.
    [[nodiscard]] int pause(bool paused);

    /// Program side, on CPU `cpu`: one sample of both pieces. 0; -EOPNOTSUPP: the event is of
    /// another CPU or disabled; -ENOSPC: no ring, or no room in it; -E2BIG: more than a record can
    /// hold (the kernel would write a record that says less than it holds).
    [[nodiscard]] int output(std::uint32_t cpu,
                             std::span<const std::uint8_t> first,
                             std::span<const std::uint8_t> second) {
        return output_pieces(cpu, first, {&second, 1});
    }

    /// As output(), with any number of pieces.
    using Pieces = std::span<const std::span<const std::uint8_t>>;
    [[nodiscard]] int output_pieces(std::uint32_t cpu,
                                    std::span<const std::uint8_t> first,
                                    Pieces others);

    /// Nanoseconds for which it was enabled. Any thread.
    [[nodiscard]] std::uint64_t enabled_ns() const;

    /// Reads what is in the ring and gives the room back: sample(raw bytes, with their padding) and
    /// lost(number of samples) in the order of records. Returns the number of records. One reader
    /// at a time, and only of events with kSampleRaw alone; none where another process reads.
    std::uint32_t consume(const std::function<void(std::span<const std::uint8_t>)>& sample,
                          const std::function<void(std::uint64_t)>& lost);

    /// When a reader that waits should look.
    [[nodiscard]] Wakeups& wakeups() { return wakeups_; }

  private:
    struct Ring;
    class Writer;

    [[nodiscard]] std::uint32_t sample_bytes(std::uint64_t raw_bytes) const;
    [[nodiscard]] std::uint32_t lost_bytes() const;
    void put_ids(Writer& to) const;
    void put_lost(Writer& to);
    void put_sample(Writer& to,
                    std::uint32_t bytes,
                    std::span<const std::uint8_t> first,
                    Pieces others) const;
    /// Under the lock. Whether who waits is to be woken.
    [[nodiscard]] int append(Ring& ring,
                             std::span<const std::uint8_t> first,
                             Pieces others,
                             bool& wakes);

    PerfEventSpec spec_;
    std::uint64_t id_;
    std::uint32_t id_bytes_;  // of what sample_type asks for in each record, besides kSampleRaw
    UniqueFd memory_;
    std::mutex control_;  // make_ring, enable, disable
    std::atomic<Ring*> ring_{nullptr};
    std::atomic<bool> enabled_;
    std::atomic<std::uint64_t> enabled_before_ns_{0};  // in spans that are over
    std::atomic<std::uint64_t> enabled_since_ns_{0};
    std::atomic<bool> paused_{false};
    Wakeups wakeups_{Wakeups::For::records};
    std::uint32_t locked_ = 0;  // HeldLock; what follows is under it
    std::uint64_t head_ = 0;
    std::uint64_t lost_ = 0;         // since the last record of losses
    std::uint64_t samples_ = 0;      // since the last wakeup by their number
    std::uint64_t wake_marker_ = 0;  // the kernel's: changes when somebody is to be woken
};

}  // namespace crema::ebpf::maps
