// SPDX-License-Identifier: BSD-3-Clause
//
// Reads what programs write to a perf event array, within this process: an event and a ring for
// each possible CPU that the map has a slot for. Other processes read through descriptors of their
// own (libbpf's perf_buffer).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/perf_event.h"

namespace crema::ebpf::maps {

class PerfReader {
  public:
    struct Options {
        std::uint32_t pages = 8;           // of each ring; a power of two
        std::uint32_t wakeup_samples = 1;  // wake after so many
    };

    struct Visitor {
        std::function<void(std::uint32_t cpu, std::span<const std::uint8_t> sample)> sample;
        std::function<void(std::uint32_t cpu, std::uint64_t samples)> lost;  // may be empty
    };

    /// Fills the slots of `map`, a perf event array; what they held before is replaced. EINVAL:
    /// another type, or pages no power of two; ENOMEM.
    [[nodiscard]] static Result<PerfReader> open(std::shared_ptr<Map> map, Options options);

    /// Empties those slots that still hold its events.
    ~PerfReader();
    PerfReader(PerfReader&&) noexcept = default;
    PerfReader& operator=(PerfReader&&) = delete;
    PerfReader(const PerfReader&) = delete;
    PerfReader& operator=(const PerfReader&) = delete;

    /// Visits what has come, CPU by CPU; the spans end with the call of the visitor. Returns the
    /// number of records. One thread at a time.
    std::uint32_t consume(const Visitor& visitor);

    /// Waits until something has come, then as consume(); 0: nothing in `timeout_ms` (-1: for
    /// ever).
    std::uint32_t poll(int timeout_ms, const Visitor& visitor);

    /// The event of each CPU, for who waits for several things (PerfEvent::wakeups).
    [[nodiscard]] std::span<const std::shared_ptr<PerfEvent>> events() const { return events_; }

  private:
    explicit PerfReader(std::shared_ptr<Map> map)
        : map_(std::move(map)), user_(std::make_unique<char>()) {}

    std::shared_ptr<Map> map_;
    std::unique_ptr<char> user_;  // its address stands for this as a user of the map
    std::vector<std::shared_ptr<PerfEvent>> events_;
};

}  // namespace crema::ebpf::maps
