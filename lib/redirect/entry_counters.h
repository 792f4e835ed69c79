// SPDX-License-Identifier: BSD-3-Clause
//
// Packets and drops of one redirect target, counted by every core that sends there: each lcore has
// a cell of its own, so the path pays for a plain load and store and shares no line with another
// core. Threads without an lcore, and lcores that came later than the target, share one cell.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>

#include <rte_lcore.h>

#include "lib/xdp/counter.h"
#include "lib/xdp/hook.h"

namespace crema::redirect {

class EntryCounters {
  public:
    struct Sum {
        std::uint64_t packets = 0;  // taken by the port or by the CPU's queue
        std::uint64_t drops = 0;    // meant for it and not taken, second program's included
    };

    /// Control thread. False: no memory.
    [[nodiscard]] bool make() {
        const auto lcores = static_cast<std::uint16_t>(rte_lcore_count());
        cells_.reset(new (std::nothrow) Cell[std::size_t{lcores} + 1]);
        count_ = cells_ == nullptr ? 0 : static_cast<std::uint16_t>(lcores + 1);
        unsigned lcore = 0;
        RTE_LCORE_FOREACH(lcore) {
            g_cell_of_slot[lcore].store(
                static_cast<std::uint16_t>(rte_lcore_index(static_cast<int>(lcore)) + 1),
                std::memory_order_relaxed);
        }
        return count_ != 0;
    }

    /// Thread: any sender. Const: what is counted is no part of the target.
    void add(std::uint32_t packets, std::uint32_t drops) const {
        const std::uint16_t own =
            g_cell_of_slot[xdp::tx_slot_of_this_thread()].load(std::memory_order_relaxed);
        if (own != 0 && own < count_) [[likely]] {
            xdp::bump(cells_[own].packets, packets);
            xdp::bump(cells_[own].drops, drops);
            return;
        }
        std::atomic_ref(cells_[0].packets).fetch_add(packets, std::memory_order_relaxed);
        std::atomic_ref(cells_[0].drops).fetch_add(drops, std::memory_order_relaxed);
    }

    /// Any thread.
    [[nodiscard]] Sum sum() const {
        Sum all;
        for (std::uint16_t i = 0; i < count_; ++i) {
            all.packets += xdp::peek(cells_[i].packets);
            all.drops += xdp::peek(cells_[i].drops);
        }
        return all;
    }

  private:
    struct alignas(64) Cell {
        std::uint64_t packets = 0;
        std::uint64_t drops = 0;
    };

    /// By tx_slot_of_this_thread(); 0: the shared one.
    static inline constinit std::array<std::atomic<std::uint16_t>, RTE_MAX_LCORE + 1>
        g_cell_of_slot{};

    std::unique_ptr<Cell[]> cells_;
    std::uint16_t count_ = 0;
};

}  // namespace crema::redirect
