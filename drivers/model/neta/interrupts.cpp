// SPDX-License-Identifier: BSD-3-Clause
//
// See interrupts.h.
#include "drivers/model/neta/interrupts.h"

#include <algorithm>
#include <limits>

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kQueueBits = kIntrTxq.mask() | kIntrRxq.mask() | kIntrRxqFree.mask();

/// 0 or less: it has run out.
std::int64_t time_left(const Chip& chip, unsigned q) {
    const std::uint32_t cycles = kRxqTimeCoalCycles.get(chip.reg(rxq_time_coal(q)));
    if (cycles == 0) {
        return 0;
    }
    return chip.rx[q].since_ns.load(std::memory_order_relaxed) + chip.ns_of(cycles) - now_ns();
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

/// The queue bits that this CPU has: those of its map, or, with one set for all, of any map.
std::uint32_t visible(const Chip& chip, unsigned cpu) {
    std::uint32_t map = 0;
    for (unsigned i = 0; i < kCpuMaps; ++i) {
        map |= chip.variant.banked && i != cpu ? 0 : chip.reg(cpu_map(i));
    }
    const std::uint32_t rx = map & 0xffU;
    return kIntrTxq.of(map >> 8U) | kIntrRxq.of(rx) | kIntrRxqFree.of(rx);
}

/// Bits of a NEW or OLD mask that exist for this CPU: with banks, others read 0 and ignore writes.
std::uint32_t mask_bits(const Chip& chip, unsigned cpu) {
    return chip.variant.banked ? ~kQueueBits | visible(chip, cpu) : ~std::uint32_t{0};
}

std::uint32_t mask_of(const Chip& chip, unsigned cpu, std::uint32_t offset) {
    const std::uint32_t mask = chip.banks[cpu].reg(offset);
    return offset == kIntrMiscMask ? mask : mask & mask_bits(chip, cpu);
}

/// What NEW and OLD say of MISC.
std::uint32_t misc_summaries(const Chip& chip, unsigned cpu) {
    constexpr std::uint32_t kTxErrors = kIntrMiscTxqError.mask() | kIntrMiscTxUnderrun;
    const std::uint32_t cause = chip.banks[cpu].reg(kIntrMiscCause);
    return ((cause & mask_of(chip, cpu, kIntrMiscMask)) != 0 ? kIntrMiscSummary : 0) |
           ((cause & kTxErrors) != 0 ? kIntrTxErrorSummary : 0);
}

std::uint32_t new_cause(const Chip& chip, unsigned cpu) {
    const std::uint32_t seen = visible(chip, cpu);
    const std::uint32_t old = chip.banks[cpu].reg(kIntrOldCause) & seen;
    const bool old_pending = (old & mask_of(chip, cpu, kIntrOldMask)) != 0;
    return (queue_bits(chip) & seen) | (old_pending ? kIntrOtherSummary : 0) |
           misc_summaries(chip, cpu);
}

std::uint32_t old_cause(const Chip& chip, unsigned cpu) {
    const std::uint32_t seen = visible(chip, cpu);
    const bool new_pending = (queue_bits(chip) & seen & mask_of(chip, cpu, kIntrNewMask)) != 0;
    return (chip.banks[cpu].reg(kIntrOldCause) & seen) | (new_pending ? kIntrOtherSummary : 0) |
           misc_summaries(chip, cpu);
}

}  // namespace

std::uint32_t read_interrupt_register(const Chip& chip, unsigned cpu, std::uint32_t offset) {
    switch (offset) {
        case kIntrNewCause:
            return new_cause(chip, cpu);
        case kIntrOldCause:
            return old_cause(chip, cpu);
        case kIntrMiscCause:
            return chip.banks[cpu].reg(offset);
        default:
            return mask_of(chip, cpu, offset);
    }
}

void write_interrupt_register(Chip& chip, unsigned cpu, std::uint32_t offset, std::uint32_t value) {
    auto& word = chip.banks[cpu].at(offset);
    switch (offset) {
        case kIntrNewCause:  // levels
            return;
        case kIntrOldCause:
        case kIntrMiscCause:
            word.fetch_and(value, std::memory_order_relaxed);
            return;
        case kIntrMiscMask:
            word.store(value, std::memory_order_relaxed);
            return;
        default: {
            const std::uint32_t own = mask_bits(chip, cpu);
            const std::uint32_t kept = word.load(std::memory_order_relaxed) & ~own;
            word.store(kept | (value & own), std::memory_order_relaxed);
            return;
        }
    }
}

bool interrupt_level(const Chip& chip, unsigned cpu) {
    return (new_cause(chip, cpu) & mask_of(chip, cpu, kIntrNewMask)) != 0;
}

bool interrupt_level(const Chip& chip) {
    for (unsigned cpu = 0; cpu < chip.variant.cpus; ++cpu) {
        if (chip.banks[cpu].reg(kIntrNewMask) != 0 && interrupt_level(chip, cpu)) {
            return true;
        }
    }
    return false;
}

bool interrupts_wanted(const Chip& chip) {
    for (unsigned cpu = 0; cpu < chip.variant.cpus; ++cpu) {
        if (mask_of(chip, cpu, kIntrNewMask) != 0) {
            return true;
        }
    }
    return false;
}

bool rx_interrupts_wanted(const Chip& chip) {
    // OLD says of its own frames through its summary.
    constexpr std::uint32_t kFrames = kIntrRxq.mask() | kIntrRxqFree.mask() | kIntrOtherSummary;
    for (unsigned cpu = 0; cpu < chip.variant.cpus; ++cpu) {
        if ((mask_of(chip, cpu, kIntrNewMask) & kFrames) != 0) {
            return true;
        }
    }
    return false;
}

std::int64_t coalescing_left(const Chip& chip) {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    std::uint32_t watched = 0;
    for (unsigned cpu = 0; cpu < chip.variant.cpus; ++cpu) {
        watched |= kIntrRxq.get(mask_of(chip, cpu, kIntrNewMask));
    }
    for (unsigned q = 0; q < kQueues; ++q) {
        if ((watched & bit(q)) != 0 && chip.rx[q].counters.load().low != 0) {
            least = std::min(least, std::max<std::int64_t>(time_left(chip, q), 0));
        }
    }
    return least;
}

}  // namespace crema::neta::model
