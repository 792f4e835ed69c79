// SPDX-License-Identifier: BSD-3-Clause
//
// The state of one modelled port that registers and engines share: the register words, the queue
// counters and the latched causes. Registers are read and written by any thread of the driver;
// engines run under the lock of model.h. A queue's two counters live in one word, so that both
// sides change them without a lock and a reader never sees half an update.
// Interrupt causes and masks exist once per CPU where the variant has banks (1.5): an event is
// latched in each, and each CPU reads, clears and masks its own.
// Source: hardware page 1.5, 2, 4.1, 4.4.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "drivers/model/neta/diagnostics.h"
#include "drivers/model/neta/faults.h"
#include "drivers/model/neta/mib.h"
#include "drivers/model/neta/phy.h"
#include "drivers/model/neta/variant.h"
#include "lib/neta/registers.h"

namespace crema::neta::model {

class BufferManager;

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

/// The registers from INTR_NEW_CAUSE to INTR_MISC_MASK as one CPU has them.
class InterruptBank {
  public:
    [[nodiscard]] static constexpr bool holds(std::uint32_t offset) {
        return offset >= kIntrNewCause && offset <= kIntrMiscMask;
    }

    [[nodiscard]] std::atomic<std::uint32_t>& at(std::uint32_t offset) {
        return words_[(offset - kIntrNewCause) / 4];
    }

    [[nodiscard]] std::uint32_t reg(std::uint32_t offset) const {
        return words_[(offset - kIntrNewCause) / 4].load(std::memory_order_relaxed);
    }

  private:
    static constexpr std::size_t kWords = (kIntrMiscMask - kIntrNewCause) / 4 + 1;
    std::array<std::atomic<std::uint32_t>, kWords> words_{};
};

[[nodiscard]] inline std::int64_t now_ns() {
    return std::chrono::steady_clock::now().time_since_epoch().count();
}

struct Chip {
    Chip(std::string instance, const Variant& which, std::uint64_t hz)
        : name(std::move(instance)), variant(which), core_hz(hz), diagnostics(name) {}

    /// Time that this many cycles of the core clock take.
    [[nodiscard]] std::int64_t ns_of(std::uint64_t cycles) const {
        return static_cast<std::int64_t>(cycles * 1'000'000'000 / core_hz);
    }

    [[nodiscard]] std::uint32_t reg(std::uint32_t offset) const {
        return regs[offset / 4].load(std::memory_order_relaxed);
    }

    void set_reg(std::uint32_t offset, std::uint32_t value) {
        regs[offset / 4].store(value, std::memory_order_relaxed);
    }

    /// Sets bits of a latched cause; cheap when they are set already.
    void latch(std::uint32_t offset, std::uint32_t bits) {
        if (!InterruptBank::holds(offset)) {
            set_bits(regs[offset / 4], bits);
            return;
        }
        for (unsigned cpu = 0; cpu < variant.cpus; ++cpu) {
            set_bits(banks[cpu].at(offset), bits);
        }
    }

    std::array<QueueState, kQueues> rx;
    std::array<QueueState, kQueues> tx;
    std::string name;
    const Variant& variant;
    std::uint64_t core_hz;
    std::array<InterruptBank, kCpuMaps> banks;
    std::array<std::atomic<std::uint32_t>, kRegionBytes / 4> regs{};
    Mib mib;
    Diagnostics diagnostics;
    Faults faults;
    BufferManager* buffers = nullptr;           // of variants that have one
    Phy phy;                                    // behind the SMI register
    std::atomic<std::uint32_t> link_status{0};  // GMAC_STATUS, kept by gmac.h
    // See flow_control.h; 0: nobody asked.
    std::atomic<std::int64_t> paused_until_ns{0};   // the partner wants silence
    std::atomic<std::int64_t> pausing_until_ns{0};  // the partner was asked for silence

    /// Descriptors with buffers of software's or of the buffer manager, in little-endian order, and
    /// no switch tags.
    [[nodiscard]] bool mode_is_modelled() const {
        const std::uint32_t mode = kAccModeMode.get(reg(kAccMode));
        return (mode == kAccModeEnhanced || (mode == kAccModeEnhancedBm && buffers != nullptr)) &&
               (reg(kSdmaConfig) & kSdmaConfigDescSwap) == 0 &&
               kMarvellHeaderDsa.get(reg(kMarvellHeaderReg)) == 0;
    }

    [[nodiscard]] bool link_up() const {
        return (link_status.load(std::memory_order_relaxed) & kGmacStatusLinkUp) != 0;
    }

    /// Adds a burst's counts; a counter that wraps is an event.
    void count(MibDelta& delta) {
        if (mib.apply(delta, (reg(kGmacCtrl0) & kGmacCtrl0MibEn) != 0)) {
            latch(kUnitCause, kUnitCauseCounterWrap);
            latch(kGmacCause, kGmacCauseMibWrap);
        }
    }

  private:
    static void set_bits(std::atomic<std::uint32_t>& word, std::uint32_t bits) {
        if ((word.load(std::memory_order_relaxed) & bits) != bits) {
            word.fetch_or(bits, std::memory_order_relaxed);
        }
    }
};

}  // namespace crema::neta::model
