// SPDX-License-Identifier: BSD-3-Clause
//
// Frames in flight between two engines: one producer, one consumer, a ring of bytes in which each
// frame lies in one piece, so that the consumer hands out views and copies nothing. Bounded: a
// frame that does not fit is refused. Under the wires "loop" and "pair" and the MAC's loopback.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "drivers/model/neta/wires/wire.h"

namespace crema::neta::model {

// Each side's positions have a cache line of their own; that is the padding.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
class FrameRing {
  public:
    explicit FrameRing(std::uint32_t bytes = 1U << 20U);  // power of two

    /// Copies one frame in. False: no room. Producer only.
    [[nodiscard]] bool push(const WireFrame& frame);

    /// Views of up to frames.size() frames; gives back the room of the previous burst first.
    /// Consumer only.
    [[nodiscard]] std::uint32_t pull(std::span<WireFrame> frames);

    /// Throws away what waits; returns how many frames. Consumer only.
    std::uint64_t drain();

  private:
    struct Record {
        std::uint32_t bytes;  // kSkip: the rest of the ring is unused, go on at its start
        std::uint32_t has_fcs;
    };

    static constexpr std::uint32_t kSkip = ~std::uint32_t{0};

    std::vector<std::uint8_t> ring_;
    std::uint64_t mask_;
    // Producer's line. head_: pairs with the acquire in pull().
    alignas(64) std::atomic<std::uint64_t> head_{0};
    std::uint64_t tail_seen_ = 0;
    // Consumer's line. tail_: pairs with the acquire in push().
    alignas(64) std::atomic<std::uint64_t> tail_{0};
    std::uint64_t read_ = 0;
};

}  // namespace crema::neta::model
