// SPDX-License-Identifier: BSD-3-Clause
//
// Faults that the model commits on purpose, by chance and from a seed, each counted, so that a test
// can say of every frame what became of it. What a driver does wrong is in diagnostics.h.
//
//   late        descriptors are written after OCCUPIED counted them (hardware page 4.5, 10.46)
//   interrupt   a rise of the interrupt line is not told; the next one is
//   status      the status or size of a received frame says it is bad: one of six ways, each of
//               which has its name in the driver's counters
//   link        the link goes down for a moment
//   dma         an access to a frame's memory fails: received frames end with "resource error",
//               frames to send are lost and counted
//
// Threads: dice are thrown under the engine lock; counts may be read by anybody.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/result.h"

namespace crema::neta::model {

enum class Fault : std::uint8_t { late, interrupt, status, link, dma, kinds };

inline constexpr std::size_t kFaultKinds = static_cast<std::size_t>(Fault::kinds);

/// The ways in which a frame is made bad, and frames that a link that is down did not hear.
enum class Spoilt : std::uint8_t {
    crc,
    overrun,
    too_long,
    resource,
    fragment,
    size,
    unheard,
    unsent,
    ways
};

inline constexpr std::size_t kSpoiltWays = static_cast<std::size_t>(Spoilt::ways);

class Faults {
  public:
    struct Plan {
        std::array<std::uint32_t, kFaultKinds> one_in{};  // 0: never
        std::uint64_t seed = 1;
    };

    /// "KIND[=N][:KIND[=N]...][:seed=N]": one in N chances; without N one in 100; "all" stands for
    /// every kind. Empty: none. Errors: EINVAL.
    [[nodiscard]] static Result<Plan> parse(const std::string& text);

    /// Before anything runs.
    void plan(const Plan& plan) {
        plan_ = plan;
        dice_ = plan.seed * 2 + 1;
        for (const std::uint32_t chance : plan.one_in) {
            active_ = active_ || chance != 0;
        }
    }

    [[nodiscard]] bool active() const { return active_; }

    /// Throws the dice; counts a hit.
    [[nodiscard]] bool strikes(Fault kind) {
        return active_ && throw_for(static_cast<std::size_t>(kind));
    }

    /// 0 to below - 1.
    [[nodiscard]] std::uint32_t number(std::uint32_t below) {
        dice_ = dice_ * 6364136223846793005U + 1442695040888963407U;
        return static_cast<std::uint32_t>((dice_ >> 33U) % below);
    }

    void count(Spoilt way, std::uint64_t n = 1) {
        spoilt_[static_cast<std::size_t>(way)].fetch_add(n, std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t injected(Fault kind) const {
        return injected_[static_cast<std::size_t>(kind)].load(std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t spoilt(Spoilt way) const {
        return spoilt_[static_cast<std::size_t>(way)].load(std::memory_order_relaxed);
    }

    /// Every burst of an engine: the link may go down, or be up again.
    void link_step();

    [[nodiscard]] bool link_is_down() const {
        return link_down_for_.load(std::memory_order_relaxed) != 0;
    }

    /// What a transport is told of the line.
    [[nodiscard]] bool line_told(bool level);

    /// The driver looks at the line anew.
    void line_armed() { line_was_ = false; }

    /// Of the kind or way with this name; 0 when there is none.
    [[nodiscard]] std::uint64_t count_of(std::string_view name) const;

    /// One line for people; empty when nothing was planned.
    [[nodiscard]] std::string describe() const;

  private:
    bool throw_for(std::size_t kind);

    Plan plan_;
    bool active_ = false;
    bool line_was_ = false;
    bool line_lost_ = false;
    std::uint64_t dice_ = 1;
    std::atomic<std::uint32_t> link_down_for_{0};  // bursts
    std::array<std::atomic<std::uint64_t>, kFaultKinds> injected_{};
    std::array<std::atomic<std::uint64_t>, kSpoiltWays> spoilt_{};
};

}  // namespace crema::neta::model
