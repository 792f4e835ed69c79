// SPDX-License-Identifier: BSD-3-Clause
//
// A NETA port in loopback on bare registers: one ring each way, buffers in one piece of memory,
// frames that come back. For the self-test, which must decide about every cache line itself; the
// driver is not used. The port is taken over, and left with its queues off and its link down.
//
// Caches are always maintained, by what the device calls non-coherent, except where a caller
// leaves it out on purpose.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/neta/descriptors.h"
#include "lib/neta/sequences.h"
#include "lib/vfio/device.h"

namespace crema::command {

/// Memory that the device reaches: hugepages where there are some, else pages of a file.
class DeviceMemory {
  public:
    static constexpr std::size_t kBytes = std::size_t{2} << 20U;

    /// Errors: ENOMEM, and what the device's transport says.
    static Result<std::unique_ptr<DeviceMemory>> make(vfio::DmaSpace& dma);

    DeviceMemory(const DeviceMemory&) = delete;
    DeviceMemory& operator=(const DeviceMemory&) = delete;
    ~DeviceMemory();

    [[nodiscard]] std::uint8_t* at(std::size_t offset) const { return start_ + offset; }

    [[nodiscard]] std::uint32_t iova(std::size_t offset) const;

    [[nodiscard]] bool huge() const { return huge_; }

  private:
    explicit DeviceMemory(vfio::DmaSpace& dma) : dma_(dma) {}

    vfio::DmaSpace& dma_;
    UniqueFd file_;
    std::uint8_t* start_ = nullptr;
    bool mapped_ = false;
    bool huge_ = false;
};

class NetaLoopback {
  public:
    static constexpr unsigned kSlots = 64;  // descriptors each way, and the most frames on the way
    static constexpr std::size_t kBufferBytes = 2048;
    static constexpr std::uint32_t kFrameMax = 1514;

    /// Takes the port over. Errors: EIO it does not come to rest or out of reset; and what memory
    /// says.
    static Result<std::unique_ptr<NetaLoopback>> start(vfio::Device& device, neta::Windows windows);

    NetaLoopback(const NetaLoopback&) = delete;
    NetaLoopback& operator=(const NetaLoopback&) = delete;
    ~NetaLoopback();

    /// Where the next frame to send is written, kBufferBytes of it.
    [[nodiscard]] std::uint8_t* next_tx() const { return tx_buffer(tx_at_); }

    /// Where the next frame will arrive: its first byte, behind the Marvell header.
    [[nodiscard]] std::uint8_t* next_rx() const { return rx_buffer(rx_at_) + neta::kMarvellHeader; }

    /// Puts next_tx() in the ring; with `clean` its bytes are brought to memory first.
    void queue(std::uint32_t bytes, bool clean = true);

    /// Sends what was queued.
    void send();

    struct Frame {
        std::uint8_t* data = nullptr;  // valid until give_back()
        std::uint32_t bytes = 0;
        std::uint32_t status = 0;  // the descriptor's
    };

    /// Waits for `count` frames, an even number, and looks at memory anew for each; with `drop`
    /// false the frames' own bytes are left as the CPU may have them. Errors: ETIMEDOUT names what
    /// came.
    Result<std::vector<Frame>> receive(unsigned count, bool drop = true);

    /// Descriptors of received frames go back to the device.
    void give_back();

    [[nodiscard]] bool huge_memory() const { return memory_->huge(); }

  private:
    explicit NetaLoopback(vfio::Device& device) : device_(device) {}

    [[nodiscard]] std::uint8_t* tx_buffer(unsigned slot) const;
    [[nodiscard]] std::uint8_t* rx_buffer(unsigned slot) const;
    [[nodiscard]] std::uint32_t read(std::uint32_t offset) const;
    void write(std::uint32_t offset, std::uint32_t value) const;
    Status set_up(neta::Windows windows);

    vfio::Device& device_;
    std::unique_ptr<DeviceMemory> memory_;
    neta::RxDescriptor* rx_ring_ = nullptr;
    neta::TxDescriptor* tx_ring_ = nullptr;
    unsigned tx_at_ = 0;
    unsigned queued_ = 0;
    unsigned rx_at_ = 0;
    unsigned received_ = 0;  // and not given back
};

}  // namespace crema::command
