// SPDX-License-Identifier: BSD-3-Clause
//
// The least that can stand at the other end of net_neta: the rings, frames and counters of one
// receive and one transmit queue, served by a thread as fast as it can, and nothing of what a NIC
// does beside that. What the driver costs on it is the driver; what it costs more on the device
// model is the model's registers. Each counter has one writer, so an access of the driver is one
// load or store that the other core shares.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>

#include "lib/neta/descriptors.h"
#include "lib/neta/registers.h"
#include "lib/vfio/device.h"

namespace crema::bench {

class BareDevice : public vfio::Device {
  public:
    /// The one that was opened last; null when none is open.
    static inline BareDevice* last = nullptr;

    static Result<std::unique_ptr<vfio::Device>> make(vfio::DmaSpace& dma,
                                                      const vfio::ModelArgs& /*args*/) {
        return std::unique_ptr<vfio::Device>(new BareDevice(dma));
    }

    ~BareDevice() override { last = nullptr; }

    BareDevice(const BareDevice&) = delete;
    BareDevice& operator=(const BareDevice&) = delete;
    BareDevice(BareDevice&&) = delete;
    BareDevice& operator=(BareDevice&&) = delete;

    [[nodiscard]] std::string describe() const override { return "bare device"; }

    /// The thread of the other end; returns when `stop` is set. The port is started before and
    /// stopped after.
    void serve(const std::atomic<bool>& stop);

    std::uint32_t read(std::uint32_t offset);
    void write(std::uint32_t offset, std::uint32_t value);

  private:
    explicit BareDevice(vfio::DmaSpace& dma);

    std::uint32_t receive();
    std::uint32_t transmit();
    std::uint8_t* at(vfio::DmaReach::Window& window, std::uint32_t iova);

    // By the driver; totals.
    struct alignas(64) Asked {
        std::atomic<std::uint32_t> rx_given{0};
        std::uint32_t rx_processed = 0;
        std::atomic<std::uint32_t> tx_posted{0};
        std::uint32_t tx_released = 0;
    } asked_;

    // By the thread; totals.
    struct alignas(64) Done {
        std::atomic<std::uint32_t> rx{0};
        std::atomic<std::uint32_t> tx{0};
    } done_;

    vfio::DmaReach::Window rx_window_{};
    vfio::DmaReach::Window tx_window_{};
    std::uint64_t seen_ = 0;
    std::array<std::uint32_t, neta::kRegionBytes / 4> words_{};
};

}  // namespace crema::bench
