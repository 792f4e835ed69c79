// SPDX-License-Identifier: BSD-3-Clause
//
// Which TX queue of an ethdev port a thread uses. Every lcore has its own as long as the port has
// enough; lcores that share one (and threads that are no lcore) take turns under a spinlock, once
// per burst. Used for forwarded mbufs, and for redirected frames where the port is generic.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_spinlock.h>

namespace crema::datapath {

inline constexpr std::uint16_t kTxQueuesMax = 64;

class TxQueues {
  public:
    /// queues: configured TX queues of the port, 1..kTxQueuesMax. lcores: who will send; others
    /// may, and share queue 0.
    TxQueues(std::uint16_t port_id, std::uint16_t queues, std::span<const unsigned> lcores);

    /// Sends mbufs[0..n); returns how many were taken, the rest stay with the caller.
    /// slot: an lcore id or RTE_MAX_LCORE, of the calling thread. Never waits for the device.
    std::uint16_t send(std::uint32_t slot, rte_mbuf** mbufs, std::uint16_t n) {
        const std::uint16_t queue = queue_of_slot_[slot];
        if (!shared_[queue]) [[likely]] {
            return rte_eth_tx_burst(port_id_, queue, mbufs, n);
        }
        rte_spinlock_lock(&locks_[queue].lock);
        const std::uint16_t sent = rte_eth_tx_burst(port_id_, queue, mbufs, n);
        rte_spinlock_unlock(&locks_[queue].lock);
        return sent;
    }

  private:
    struct alignas(64) Lock {
        rte_spinlock_t lock = RTE_SPINLOCK_INITIALIZER;
    };

    std::uint16_t port_id_;
    std::array<bool, kTxQueuesMax> shared_{};
    std::array<std::uint16_t, RTE_MAX_LCORE + 1> queue_of_slot_{};
    std::array<Lock, kTxQueuesMax> locks_{};
};

}  // namespace crema::datapath
