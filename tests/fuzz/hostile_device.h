// SPDX-License-Identifier: BSD-3-Clause
//
// A NIC that means harm, behind the driver: counters, statuses, descriptors and registers say what
// dice say, mostly near what an honest one would. It keeps to two things that no driver can do
// without where there is no IOMMU: it writes only rings and buffers that it was given, and nothing
// after its DMA was stopped.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/neta/descriptors.h"
#include "lib/neta/registers.h"
#include "lib/vfio/device.h"
#include "tests/fuzz/dice.h"

namespace crema::test::fuzz {

/// What hostile devices did, all of the process.
struct HostileTally {
    std::uint64_t descriptors = 0;  // status and size written
    std::uint64_t words = 0;        // other words of descriptors
    std::uint64_t counts = 0;       // queue counters that were not true
    std::uint64_t registers = 0;    // other register values that were not true

    [[nodiscard]] std::uint64_t all() const { return descriptors + words + counts + registers; }
};

class HostileDevice final : public vfio::Device {
  public:
    /// The device that was opened last; null after it was closed.
    static inline HostileDevice* last = nullptr;
    static inline HostileTally tally;
    /// Of the next one.
    static inline std::uint64_t seed = 1;

    static Result<std::unique_ptr<vfio::Device>> make(vfio::DmaSpace& dma,
                                                      const vfio::ModelArgs& args);

    HostileDevice(const HostileDevice&) = delete;
    HostileDevice& operator=(const HostileDevice&) = delete;

    ~HostileDevice() override { last = nullptr; }

    [[nodiscard]] std::string describe() const override { return "hostile"; }

    /// Receives, or pretends to, into queues that are enabled; `n` descriptors at most. Returns how
    /// many: 0 again and again when the driver waits for something that will not come.
    unsigned act(unsigned n);

    /// Says the truth about everything from now on, so that a port comes to rest.
    void calm() { lies_ = false; }

    void rage() { lies_ = true; }

    [[nodiscard]] std::uint32_t read(std::uint32_t offset);
    void write(std::uint32_t offset, std::uint32_t value);

  private:
    struct RxRing {
        std::vector<std::uint32_t> buffers;  // by slot, as they were given
        std::uint32_t given = 0;             // next slot to be given
        std::uint32_t index = 0;             // next slot to be filled
        std::uint32_t free = 0;
        std::uint32_t occupied = 0;
        std::vector<std::uint32_t> late;  // slots that are counted and not written
    };

    struct TxRing {
        std::uint32_t pending = 0;
        std::uint32_t sent = 0;
    };

    explicit HostileDevice(vfio::DmaSpace& dma);

    [[nodiscard]] std::uint32_t& word(std::uint32_t offset) { return words_.at(offset / 4); }

    [[nodiscard]] bool one_in(int n) { return lies_ && dice_.one_in(n); }

    [[nodiscard]] bool enabled(std::uint32_t command, unsigned queue) {
        return (word(command) & (1U << queue)) != 0;
    }

    [[nodiscard]] neta::RxDescriptor* descriptor(unsigned queue, std::uint32_t slot);
    void give(unsigned queue, std::uint32_t n);
    [[nodiscard]] bool fill(unsigned queue);
    void complete(neta::RxDescriptor& descriptor);
    void settle(unsigned queue);
    void scribble(unsigned queue);
    [[nodiscard]] std::uint32_t status();
    [[nodiscard]] std::uint32_t size();
    [[nodiscard]] std::uint32_t rx_status(unsigned queue);
    [[nodiscard]] std::uint32_t tx_status(unsigned queue);
    [[nodiscard]] std::uint32_t near(std::uint32_t count);

    Dice dice_;
    bool lies_ = true;
    std::array<std::uint32_t, neta::kRegionBytes / 4> words_{};
    std::array<RxRing, neta::kQueues> rx_;
    std::array<TxRing, neta::kQueues> tx_;
};

}  // namespace crema::test::fuzz
