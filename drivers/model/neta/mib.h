// SPDX-License-Identifier: BSD-3-Clause
//
// MIB and drop counters. The engine collects a burst in a plain delta and adds it once; registers
// clear by reading, from any thread. The two octet counters are 64-bit pairs: reading the low word
// takes the whole value and keeps the high word for the next read.
// Source: hardware page 2.3.10, 10.32-10.34.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "lib/neta/registers.h"

namespace crema::neta::model {

/// Dense numbers of the counters: MIB words first (their register order), then the drop counters.
enum : std::uint32_t {
    mib_words = kMibBytes / 4,
    drop_rx_discard = mib_words,
    drop_rx_overrun,
    drop_tx_bad_fcs,
    drop_tx,
    drop_lpi,
    counters_all,
};

[[nodiscard]] constexpr std::uint32_t mib_index(std::uint32_t offset) {
    return (offset - kMib) / 4;
}

/// One burst's worth of counts, engine-local.
class MibDelta {
  public:
    void add(std::uint32_t index, std::uint64_t n = 1) {
        counts_[index] += n;
        touched_ |= std::uint64_t{1} << index;
    }

    /// Octets, frame, address and size class of a received or sent frame. wire_bytes: with FCS.
    void add_rx(const std::uint8_t* da, std::uint32_t wire_bytes, bool good);
    void add_tx(const std::uint8_t* da, std::uint32_t wire_bytes);

  private:
    friend class Mib;
    void add_size(std::uint32_t wire_bytes);

    static_assert(counters_all <= 64);
    std::array<std::uint64_t, counters_all> counts_{};
    std::uint64_t touched_ = 0;
};

class Mib {
  public:
    /// Adds and empties `delta`; MIB words count only while the port's MIB_EN is set. True: one of
    /// 32 bits has wrapped.
    [[nodiscard]] bool apply(MibDelta& delta, bool mib_enabled);

    /// Register read; offset must be one of the counters.
    [[nodiscard]] std::uint32_t read_clear(std::uint32_t offset);

    /// True when `offset` is a counter of this class.
    [[nodiscard]] static bool holds(std::uint32_t offset);

    /// As after power-on.
    void reset();

    /// Without clearing, for tests.
    [[nodiscard]] std::uint64_t peek(std::uint32_t index) const {
        return counts_[index].load(std::memory_order_relaxed);
    }

  private:
    std::array<std::atomic<std::uint64_t>, counters_all> counts_{};
    std::atomic<std::uint32_t> rx_octets_high_{0};
    std::atomic<std::uint32_t> tx_octets_high_{0};
};

}  // namespace crema::neta::model
