// SPDX-License-Identifier: BSD-3-Clause
//
// See interrupts.h.
#include "drivers/model/neta/interrupts.h"

#include <algorithm>
#include <chrono>
#include <limits>

namespace crema::neta::model {
namespace {

constexpr std::int64_t kCoreCycleNs = 5;  // 200 MHz, 10.37

/// 0 or less: it has run out.
std::int64_t time_left(const Chip& chip, unsigned q) {
    const std::int64_t cycles = kRxqTimeCoalCycles.get(chip.reg(rxq_time_coal(q)));
    if (cycles == 0) {
        return 0;
    }
    const std::int64_t since = chip.rx[q].since_ns.load(std::memory_order_relaxed);
    const std::int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
    return since + cycles * kCoreCycleNs - now;
}

std::uint32_t queue_bits(const Chip& chip) {
    std::uint32_t bits = 0;
    for (unsigned q = 0; q < kQueues; ++q) {
        const auto rx = chip.rx[q].counters.load();
        const std::uint32_t threshold = chip.reg(rxq_threshold(q));
        const std::uint32_t wanted = std::max(kRxqThresholdOccupied.get(threshold), 1U);
        if (rx.low > 0 && (rx.low >= wanted || time_left(chip, q) <= 0)) {
            bits |= kIntrRxq.of(bit(q));
        }
        if (rx.high < kRxqThresholdNonOccupied.get(threshold)) {
            bits |= kIntrRxqFree.of(bit(q));
        }
        const auto tx = chip.tx[q].counters.load();
        const std::uint32_t sent_wanted = std::max(kTxqSizeSentThr.get(chip.reg(txq_size(q))), 1U);
        if (tx.high >= sent_wanted) {
            bits |= kIntrTxq.of(bit(q));
        }
    }
    return bits;
}

// 10.47: one bank; a queue's bits show when any CPU map has the queue.
std::uint32_t visible(const Chip& chip) {
    std::uint32_t map = 0;
    for (unsigned cpu = 0; cpu < kCpuMaps; ++cpu) {
        map |= chip.reg(cpu_map(cpu));
    }
    const std::uint32_t rx = map & 0xffU;
    return kIntrTxq.of(map >> 8U) | kIntrRxq.of(rx) | kIntrRxqFree.of(rx);
}

std::uint32_t misc_summary(const Chip& chip) {
    return (chip.reg(kIntrMiscCause) & chip.reg(kIntrMiscMask)) != 0 ? kIntrMiscSummary : 0;
}

}  // namespace

std::uint32_t new_cause(const Chip& chip) {
    const std::uint32_t seen = visible(chip);
    const bool old_pending = (chip.reg(kIntrOldCause) & seen & chip.reg(kIntrOldMask)) != 0;
    return (queue_bits(chip) & seen) | (old_pending ? kIntrOtherSummary : 0) | misc_summary(chip);
}

std::uint32_t old_cause(const Chip& chip) {
    const std::uint32_t seen = visible(chip);
    const bool new_pending = (queue_bits(chip) & seen & chip.reg(kIntrNewMask)) != 0;
    return (chip.reg(kIntrOldCause) & seen) | (new_pending ? kIntrOtherSummary : 0) |
           misc_summary(chip);
}

bool interrupt_level(const Chip& chip) {
    return (new_cause(chip) & chip.reg(kIntrNewMask)) != 0;
}

std::int64_t coalescing_left(const Chip& chip) {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    const std::uint32_t watched = kIntrRxq.get(chip.reg(kIntrNewMask));
    for (unsigned q = 0; q < kQueues; ++q) {
        if ((watched & bit(q)) != 0 && chip.rx[q].counters.load().low != 0) {
            least = std::min(least, std::max<std::int64_t>(time_left(chip, q), 0));
        }
    }
    return least;
}

}  // namespace crema::neta::model
