// SPDX-License-Identifier: BSD-3-Clause
//
// Counters of the packet path. Readers on other threads see a whole value, not a coherent set.
#pragma once

#include <atomic>
#include <cstdint>

namespace crema {

/// One writer: a plain load and store.
class OwnerCounter {
  public:
    void add(std::uint64_t n) {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

/// Any writer: one atomic add, so once per burst.
class SharedCounter {
  public:
    void add(std::uint64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }

    void reset() { value_.store(0, std::memory_order_relaxed); }

    [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

}  // namespace crema
