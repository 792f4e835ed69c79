// SPDX-License-Identifier: BSD-3-Clause
//
// See mib.h.
#include "drivers/model/neta/mib.h"

#include <bit>

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kNoCounter = ~std::uint32_t{0};

bool is_broadcast(const std::uint8_t* da) {
    return (da[0] & da[1] & da[2] & da[3] & da[4] & da[5]) == 0xff;
}

bool is_pair(std::uint32_t index) {
    return index == mib_index(kMibGoodOctetsRx) || index == mib_index(kMibGoodOctetsTx);
}

std::uint32_t index_of(std::uint32_t offset) {
    if (offset >= kMib && offset < kMib + kMibBytes) {
        return mib_index(offset);
    }
    switch (offset) {
        case kRxDiscardCnt:
            return drop_rx_discard;
        case kRxOverrunCnt:
            return drop_rx_overrun;
        case kTxBadFcsCnt:
            return drop_tx_bad_fcs;
        case kTxDropCnt:
            return drop_tx;
        case kLpiCounter:
            return drop_lpi;
        default:
            return kNoCounter;
    }
}

}  // namespace

void MibDelta::add_size(std::uint32_t wire_bytes) {
    if (wire_bytes <= 64) {
        add(mib_index(kMibFrames64));
    } else if (wire_bytes < 1024) {
        // 65-127, 128-255, 256-511, 512-1023: one register each, by the highest bit.
        const auto highest = static_cast<std::uint32_t>(std::bit_width(wire_bytes) - 1);
        add(mib_index(kMibFrames65To127) + (highest - 6));
    } else {
        add(mib_index(kMibFrames1024ToMax));
    }
}

void MibDelta::add_rx(const std::uint8_t* da, std::uint32_t wire_bytes, bool good) {
    add(mib_index(good ? kMibGoodOctetsRx : kMibBadOctetsRx), wire_bytes);
    add(mib_index(good ? kMibGoodFramesRx : kMibBadFramesRx));
    add_size(wire_bytes);
    if (good && (da[0] & 1U) != 0) {
        add(mib_index(is_broadcast(da) ? kMibBcastRx : kMibMcastRx));
    }
}

void MibDelta::add_tx(const std::uint8_t* da, std::uint32_t wire_bytes) {
    add(mib_index(kMibGoodOctetsTx), wire_bytes);
    add(mib_index(kMibGoodFramesTx));
    add_size(wire_bytes);
    if ((da[0] & 1U) != 0) {
        add(mib_index(is_broadcast(da) ? kMibBcastTx : kMibMcastTx));
    }
}

bool Mib::apply(MibDelta& delta, bool mib_enabled) {
    bool wrapped = false;
    std::uint64_t touched = delta.touched_;
    while (touched != 0) {
        const auto index = static_cast<std::uint32_t>(std::countr_zero(touched));
        touched &= touched - 1;
        if (mib_enabled || index >= mib_words) {
            const std::uint64_t n = delta.counts_[index];
            const auto old = counts_[index].fetch_add(n, std::memory_order_relaxed);
            wrapped = wrapped || (!is_pair(index) && (old + n) >> 32U != old >> 32U);
        }
        delta.counts_[index] = 0;
    }
    delta.touched_ = 0;
    return wrapped;
}

bool Mib::holds(std::uint32_t offset) {
    return index_of(offset) != kNoCounter;
}

std::uint32_t Mib::read_clear(std::uint32_t offset) {
    if (offset == kMibGoodOctetsRx + 4) {
        return rx_octets_high_.exchange(0, std::memory_order_relaxed);
    }
    if (offset == kMibGoodOctetsTx + 4) {
        return tx_octets_high_.exchange(0, std::memory_order_relaxed);
    }
    const auto value = counts_[index_of(offset)].exchange(0, std::memory_order_relaxed);
    const auto high = static_cast<std::uint32_t>(value >> 32U);
    if (offset == kMibGoodOctetsRx) {
        rx_octets_high_.store(high, std::memory_order_relaxed);
    } else if (offset == kMibGoodOctetsTx) {
        tx_octets_high_.store(high, std::memory_order_relaxed);
    }
    return static_cast<std::uint32_t>(value);
}

void Mib::reset() {
    for (auto& count : counts_) {
        count.store(0, std::memory_order_relaxed);
    }
    rx_octets_high_.store(0, std::memory_order_relaxed);
    tx_octets_high_.store(0, std::memory_order_relaxed);
}

}  // namespace crema::neta::model
