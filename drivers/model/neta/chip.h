// SPDX-License-Identifier: BSD-3-Clause
//
// The state of one modelled port that registers and engines share: the register words, the queue
// counters and the latched causes. Registers are read and written by any thread of the driver;
// engines run under the lock of model.h. A queue's two counters live in one word, so that both
// sides change them without a lock and a reader never sees half an update.
// Source: hardware page 2, 4.1, 4.4.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "drivers/model/neta/diagnostics.h"
#include "drivers/model/neta/mib.h"
#include "drivers/model/neta/phy.h"
#include "lib/neta/registers.h"

namespace crema::neta::model {

/// Two 14-bit counters in one word: RX (OCCUPIED low, NON_OCCUPIED high), TX (PENDING low, SENT
/// high). A store to it publishes the descriptors before it (release), a load sees them (acquire).
class CounterPair {
  public:
    struct Value {
        std::uint32_t low = 0;
        std::uint32_t high = 0;
    };

    [[nodiscard]] Value load() const {
        const auto word = word_.load(std::memory_order_acquire);
        return {word & kRingMax, word >> 16U};
    }

    [[nodiscard]] std::uint32_t word() const { return word_.load(std::memory_order_acquire); }

    void reset() { word_.store(0, std::memory_order_release); }

    /// Replaces the pair by change(pair), atomically; returns the new pair. `change` may run
    /// several times.
    template <typename Change>
    Value update(Change&& change) {
        auto word = word_.load(std::memory_order_acquire);
        for (;;) {
            const Value next = change(Value{word & kRingMax, word >> 16U});
            if (word_.compare_exchange_weak(word, next.low | (next.high << 16U),
                                            std::memory_order_acq_rel, std::memory_order_acquire)) {
                return next;
            }
        }
    }

  private:
    std::atomic<std::uint32_t> word_{0};
};

struct alignas(64) QueueState {
    CounterPair counters;
    std::atomic<std::uint32_t> index{0};    // next descriptor of the engine
    std::atomic<std::int64_t> since_ns{0};  // RX coalescing time: start; see interrupts.h
};

struct Chip {
    explicit Chip(std::string instance) : name(std::move(instance)), diagnostics(name) {}

    [[nodiscard]] std::uint32_t reg(std::uint32_t offset) const {
        return regs[offset / 4].load(std::memory_order_relaxed);
    }

    void set_reg(std::uint32_t offset, std::uint32_t value) {
        regs[offset / 4].store(value, std::memory_order_relaxed);
    }

    /// Sets bits of a latched cause; cheap when they are set already.
    void latch(std::uint32_t offset, std::uint32_t bits) {
        auto& word = regs[offset / 4];
        if ((word.load(std::memory_order_relaxed) & bits) != bits) {
            word.fetch_or(bits, std::memory_order_relaxed);
        }
    }

    std::array<QueueState, kQueues> rx;
    std::array<QueueState, kQueues> tx;
    std::string name;
    std::array<std::atomic<std::uint32_t>, kRegionBytes / 4> regs{};
    Mib mib;
    Diagnostics diagnostics;
    Phy phy;                           // behind the SMI register
    std::atomic<bool> link_up{false};  // as in GMAC_STATUS; kept by gmac.h
};

}  // namespace crema::neta::model
