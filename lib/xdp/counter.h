// SPDX-License-Identifier: BSD-3-Clause
//
// Counters with one writer and readers on other threads: relaxed, so a reader sees a whole value
// and the writer pays for a plain load and store.
#pragma once

#include <atomic>
#include <cstdint>

namespace crema::xdp {

/// Thread: the counter's only writer.
inline void bump(std::uint64_t& counter, std::uint64_t by) {
    const std::atomic_ref<std::uint64_t> cell(counter);
    cell.store(cell.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

/// Thread: any.
[[nodiscard]] inline std::uint64_t peek(const std::uint64_t& counter) {
    // atomic_ref of const is not in C++20; the object itself is never const.
    return __atomic_load_n(&counter, __ATOMIC_RELAXED);
}

}  // namespace crema::xdp
