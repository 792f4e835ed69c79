// SPDX-License-Identifier: BSD-3-Clause
//
// Who runs the engines. One holder at a time: a driver thread inside a register access, the
// engine's own thread, or a control write that needs them to stand still. A doorbell that finds
// the lock taken leaves a kick behind; whoever releases the lock looks for kicks afterwards, so
// none is lost. The order "store kick, then try the lock" against "release, then load kick" needs
// sequential consistency on both sides.
#pragma once

#include <atomic>
#include <sched.h>

#include <rte_pause.h>

namespace crema::neta::model {

class EngineLock {
  public:
    [[nodiscard]] bool try_lock() {
        return !held_.load(std::memory_order_relaxed) &&
               !held_.exchange(true, std::memory_order_seq_cst);
    }

    void lock() {
        waiting_.fetch_add(1, std::memory_order_relaxed);
        for (unsigned spins = 0; !try_lock(); ++spins) {
            rte_pause();
            if (spins % 1024 == 1023) {
                ::sched_yield();
            }
        }
        waiting_.fetch_sub(1, std::memory_order_relaxed);
    }

    void unlock() { held_.store(false, std::memory_order_seq_cst); }

    /// Someone waits in lock(): an engine thread lets it go first.
    [[nodiscard]] bool contended() const { return waiting_.load(std::memory_order_relaxed) != 0; }

    void kick() { kicked_.store(true, std::memory_order_seq_cst); }

    [[nodiscard]] bool kicked() const { return kicked_.load(std::memory_order_seq_cst); }

    /// Takes the kick; what was written before it is visible afterwards. Holder only.
    void take_kick() { kicked_.exchange(false, std::memory_order_seq_cst); }

  private:
    std::atomic<bool> held_{false};
    std::atomic<bool> kicked_{false};
    std::atomic<int> waiting_{0};
};

}  // namespace crema::neta::model
