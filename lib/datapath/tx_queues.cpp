// SPDX-License-Identifier: BSD-3-Clause
#include "lib/datapath/tx_queues.h"

#include "lib/base/check.h"

namespace crema::datapath {

TxQueues::TxQueues(std::uint16_t port_id, std::uint16_t queues, std::span<const unsigned> lcores)
    : port_id_(port_id) {
    CREMA_CHECK(queues >= 1 && queues <= kTxQueuesMax);
    shared_.fill(true);
    std::array<std::uint32_t, kTxQueuesMax> users{};
    std::uint16_t next = 0;
    for (const unsigned lcore : lcores) {
        CREMA_CHECK(lcore < RTE_MAX_LCORE);
        queue_of_slot_[lcore] = next;
        ++users[next];
        next = static_cast<std::uint16_t>((next + 1) % queues);
    }
    // Queue 0 is also for whoever is not on the list, so it always has a lock; with one worker it
    // is never contended, and the others are free of it.
    for (std::uint16_t queue = 1; queue < queues; ++queue) {
        shared_[queue] = users[queue] > 1;
    }
}

}  // namespace crema::datapath
