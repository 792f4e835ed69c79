// SPDX-License-Identifier: BSD-3-Clause
//
// The transmit engine: while queues have pending descriptors, one is chosen, a frame is gathered
// from FIRST to LAST, completed (checksums, padding) and put on the wire in bursts. Frames that
// need no change leave from the driver's memory without a copy. Runs under the engine lock.
// Source: hardware page 3.5, 4.4, 8.2, 2.3.11 (arbiter), appendix B point 3.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "drivers/model/neta/chip.h"
#include "drivers/model/neta/dma_port.h"
#include "drivers/model/neta/shaper.h"
#include "drivers/model/neta/wires/wire.h"
#include "lib/neta/descriptors.h"

namespace crema::neta::model {

class TxEngine {
  public:
    TxEngine(Chip& chip, const vfio::DmaReach& reach);

    /// Sends up to `budget` frames; returns how many left the rings (sent or dropped).
    std::uint32_t run(Wire& wire, std::uint32_t budget);

    /// Descriptors wait for a pause to end or for tokens: when to run again, at the latest. 0: none
    /// does. From any thread.
    [[nodiscard]] std::int64_t held_until_ns() const {
        return held_until_ns_.load(std::memory_order_relaxed);
    }

  private:
    static constexpr std::uint32_t kBatch = 64;

    struct Ring {
        TxDescriptor* descriptors = nullptr;
        std::uint32_t size = 0;
        std::uint32_t index = 0;
        std::uint32_t pending = 0;
        std::uint32_t done = 0;

        TxDescriptor& at(std::uint32_t ahead) {
            const std::uint32_t slot = index + ahead;
            return descriptors[slot >= size ? slot - size : slot];
        }

        void advance(std::uint32_t count) {
            index = (index + count) % size;
            pending -= count;
            done += count;
        }
    };

    // One frame's descriptors, before anything is read from its buffers.
    struct Gathered {
        std::uint32_t descriptors = 0;
        std::uint32_t bytes = 0;
        bool complete = false;  // LAST was found
        bool usable = false;
        bool zero_pad = false;
        bool releases = false;  // buffers that go to the buffer manager
    };

    [[nodiscard]] bool ready() const;
    [[nodiscard]] std::uint32_t header_bytes() const;
    [[nodiscard]] std::uint32_t load_rings();
    [[nodiscard]] std::uint32_t with_tokens(std::uint32_t active);
    void load_ring(unsigned queue);
    [[nodiscard]] unsigned choose(std::uint32_t active);
    [[nodiscard]] Gathered gather(unsigned queue, Ring& ring);
    bool stage(unsigned queue, Ring& ring, const Gathered& gathered);
    [[nodiscard]] const std::uint8_t* assemble(Ring& ring,
                                               const Gathered& gathered,
                                               std::uint32_t padded,
                                               bool sums);
    void release_buffers(Ring& ring, std::uint32_t descriptors);
    void dma_failed(unsigned queue, const Ring& ring);
    void flush(Wire& wire);

    Chip& chip_;
    DmaPort ring_dma_;
    DmaPort data_dma_;
    Shaper shaper_;
    bool shaped_ = false;
    std::atomic<std::int64_t> held_until_ns_{0};
    MibDelta delta_;
    std::array<Ring, kQueues> rings_;
    std::array<WireFrame, kBatch> batch_;
    std::uint32_t batched_ = 0;
    std::vector<std::uint8_t> scratch_;  // frames of the batch that had to be assembled
    std::uint32_t scratch_used_ = 0;
    unsigned wrr_queue_ = 0;
    std::int32_t wrr_credit_ = 0;
};

}  // namespace crema::neta::model
