// SPDX-License-Identifier: BSD-3-Clause
//
// The receive engine: frames from the wire are checked, counted, filtered and written through the
// address windows into the buffers of the chosen queue; then the descriptors, then the counters.
// Runs under the engine lock, in bursts; each burst reads the configuration once.
// Buffers that come from the buffer manager: rx_pooled.cpp.
// Source: hardware page 3.2-3.4, 4.1-4.5, appendix B point 2.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "drivers/model/neta/chip.h"
#include "drivers/model/neta/dma_port.h"
#include "drivers/model/neta/filter.h"
#include "drivers/model/neta/flow_control.h"
#include "drivers/model/neta/wires/wire.h"
#include "lib/neta/descriptors.h"

namespace crema::neta::model {

/// Words that hardware writes of a descriptor; 2 and 4 stay.
void write_back(RxDescriptor& descriptor, std::uint32_t status, std::uint32_t data_size);

class RxEngine {
  public:
    static constexpr std::uint32_t kBurst = 64;

    RxEngine(Chip& chip, const vfio::DmaReach& reach);

    /// Takes up to min(budget, kBurst) frames from the wire; returns how many it took.
    std::uint32_t run(Wire& wire, std::uint32_t budget);

    /// Writes late descriptors whose time has come; all: every one of them, as when DMA ends.
    void settle(bool all);

    /// As after power-on.
    void forget_late() { late_.clear(); }

  private:
    using HeaderBytes = std::array<std::uint8_t, kMarvellHeader>;

    // One queue as of this burst. `free` and `index` advance with each descriptor; the counters
    // that software sees move once, at the end.
    struct Ring {
        RxDescriptor* descriptors = nullptr;  // null: queue cannot take frames
        std::uint32_t base = 0;
        std::uint32_t size = 0;
        std::uint32_t index = 0;
        std::uint32_t free = 0;
        std::uint32_t filled = 0;
        std::uint32_t buffer_bytes = 0;
        std::uint32_t offset = 0;
        bool pooled = false;  // buffers come from the buffer manager
        unsigned short_pool = 0;
        unsigned long_pool = 0;

        RxDescriptor& take() {
            RxDescriptor& descriptor = descriptors[index];
            index = index + 1 == size ? 0 : index + 1;
            --free;
            ++filled;
            return descriptor;
        }
    };

    // A frame on its way into memory: the Marvell header, then what is stored of frame and FCS.
    // Copied piece by piece, in order.
    struct Stored {
        HeaderBytes header{};
        const std::uint8_t* data = nullptr;
        std::uint32_t data_bytes = 0;
        std::array<std::uint8_t, kFcsBytes> fcs{};
        std::uint32_t fcs_bytes = 0;

        [[nodiscard]] std::uint32_t total() const {
            return kMarvellHeader + data_bytes + fcs_bytes;
        }

        /// Bytes [from, from + bytes) of header, frame and FCS.
        void copy(std::uint8_t* to, std::uint32_t from, std::uint32_t bytes) const;
    };

    /// A descriptor that is counted before it is written.
    struct Late {
        std::uint32_t at = 0;  // its I/O address
        std::uint32_t status = 0;
        std::uint32_t data_size = 0;
        std::uint32_t looks = 0;  // that the driver takes before it is written
    };

    [[nodiscard]] bool ready() const;
    [[nodiscard]] std::uint32_t room_for_patient() const;
    void one(const WireFrame& frame);
    void one_with_header(const WireFrame& frame);
    void judge(const WireFrame& frame, const FrameFacts& facts, const HeaderBytes& header);
    [[nodiscard]] bool is_pause(const WireFrame& frame, const FrameFacts& facts, bool good);
    Ring& ring(std::uint32_t queue);
    void discard(std::uint32_t queue, bool no_descriptor);
    void deliver(std::uint32_t queue, std::uint32_t status, const Stored& stored);
    void scatter(Ring& ring, std::uint32_t status, const Stored& stored);
    [[nodiscard]] std::uint8_t* buffer_at(std::uint32_t iova, std::uint32_t bytes);
    void spoil(std::uint32_t& status, std::uint32_t& data_size);
    void complete(const Ring& ring,
                  std::uint32_t slot,
                  std::uint32_t status,
                  std::uint32_t data_size,
                  std::uint32_t late_by);
    [[nodiscard]] std::uint32_t lateness();
    [[nodiscard]] bool reaches_buffer_manager() const;
    void set_up_pools(Ring& ring, std::uint32_t queue, std::uint32_t config);
    void deliver_pooled(std::uint32_t queue, std::uint32_t status, const Stored& stored);
    [[nodiscard]] bool fill_pooled(RxDescriptor& descriptor,
                                   std::uint32_t offset,
                                   const Stored& stored,
                                   std::uint32_t from,
                                   std::uint32_t bytes);
    void publish();

    Chip& chip_;
    DmaPort ring_dma_;
    DmaPort data_dma_;
    Filter filter_;
    PauseSender pause_;
    MibDelta delta_;
    std::array<Ring, kQueues> rings_;
    std::array<WireFrame, kBurst> frames_;
    std::uint32_t loaded_ = 0;  // queues of rings_ that belong to this burst
    std::uint32_t wire_max_ = 0;
    std::uint32_t wire_min_ = 0;
    std::vector<Late> late_;
    bool with_header_ = false;          // frames on the wire begin with a Marvell header
    std::vector<std::uint32_t> taken_;  // buffers of one frame
};

}  // namespace crema::neta::model
