// SPDX-License-Identifier: BSD-3-Clause
//
// The transmitter's token buckets: one of the port, one of each queue, in bits. A bucket is filled
// by TOKENS every PERIOD basic periods, up to its size; a queue may send while its bucket and the
// port's hold a frame of the largest size, TX_MTU, and pays for what it sends. Nothing is shaped
// unless software asked for it: no driver sets all of this up (hardware page 10.13).
// The token counts live in their registers, so that software may open and close a queue.
// Source: hardware page 2.3.11, 10.12, 10.13, 10.51.
#pragma once

#include <array>
#include <cstdint>

#include "drivers/model/neta/chip.h"

namespace crema::neta::model {

class Shaper {
  public:
    explicit Shaper(Chip& chip) : chip_(chip) {}

    /// Fills the buckets up to now; before each run. False: nothing is shaped.
    bool refresh();

    /// May the queue send? Only after refresh() said true.
    [[nodiscard]] bool allows(unsigned queue) const;

    /// The queue has sent a frame of that many bytes, FCS included.
    void spend(unsigned queue, std::uint32_t bytes);

    /// When the queue may send, if nobody else does.
    [[nodiscard]] std::int64_t next_ns(unsigned queue) const;

  private:
    struct Bucket {
        std::uint32_t tokens_at = 0;  // registers
        std::uint32_t size_at = 0;
        std::int64_t filled_ns = 0;  // 0: was not shaped
        std::int64_t period_ns = 0;  // 0: is not shaped
        std::uint32_t refill = 0;
    };

    static constexpr unsigned kPort = kQueues;

    void fill(unsigned index, std::uint32_t refill_at, std::int64_t now);
    [[nodiscard]] bool covers(const Bucket& bucket) const;
    void pay(const Bucket& bucket, std::uint32_t bits);
    [[nodiscard]] std::int64_t covered_ns(const Bucket& bucket) const;

    Chip& chip_;
    std::array<Bucket, kQueues + 1> buckets_{};
    std::uint32_t frame_bits_ = 1;
};

}  // namespace crema::neta::model
