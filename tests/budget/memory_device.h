// SPDX-License-Identifier: BSD-3-Clause
//
// A NIC whose registers are plain memory, as those that a transport maps are: an access of the
// driver is one load or store and calls nobody. What the chip would do is done by the program
// between the driver's calls: receive() and settle(). It does what is needed for a port to start
// and for frames to go round, and judges nothing; drivers/model/neta is the one that knows the
// chip.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "lib/neta/descriptors.h"
#include "lib/neta/registers.h"
#include "lib/vfio/device.h"

namespace crema::budget {

class MemoryDevice : public vfio::Device {
  public:
    /// Of the devices that are made next: caches need maintenance around DMA.
    static inline bool needs_sync = false;
    /// In the order in which they were made.
    static inline std::array<MemoryDevice*, 2> all{};
    static inline std::size_t made = 0;

    static Result<std::unique_ptr<vfio::Device>> make(vfio::DmaSpace& dma,
                                                      const vfio::ModelArgs& /*args*/) {
        return std::unique_ptr<vfio::Device>(new MemoryDevice(dma));
    }

    ~MemoryDevice() override { --made; }

    MemoryDevice(const MemoryDevice&) = delete;
    MemoryDevice& operator=(const MemoryDevice&) = delete;
    MemoryDevice(MemoryDevice&&) = delete;
    MemoryDevice& operator=(MemoryDevice&&) = delete;

    [[nodiscard]] std::string describe() const override { return "memory"; }

    [[nodiscard]] volatile std::uint32_t* words() { return words_.data(); }

    /// Puts `n` copies of a frame into the buffers that queue 0 has next. False: it has fewer.
    bool receive(std::uint32_t n, const std::uint8_t* frame, std::uint32_t bytes) {
        constexpr std::uint32_t kMarvellHeader = 2;
        constexpr std::uint32_t kFcs = 4;
        const std::uint32_t ring = neta::kRxqSizeDescNum.get(at(neta::rxq_size(0)));
        if (n > given_) {
            return false;
        }
        for (std::uint32_t i = 0; i < n; ++i) {
            auto& descriptor = *reinterpret_cast<neta::RxDescriptor*>(
                dma_->va_of(at(neta::rxq_base(0)) + 32 * next_, 32));
            const std::uint32_t size = kMarvellHeader + bytes + kFcs;
            std::uint8_t* const buffer = dma_->va_of(descriptor.buf_addr, size);
            std::memcpy(buffer + kMarvellHeader, frame, bytes);
            descriptor.status = neta::kRxFirst | neta::kRxLast | neta::kRxEthernet2;
            descriptor.pnc_info = 0;
            descriptor.data_size = static_cast<std::uint16_t>(size);
            next_ = next_ + 1 == ring ? 0 : next_ + 1;
        }
        given_ -= n;
        occupied_ += n;
        show_rx();
        return true;
    }

    /// Looks at what the driver has written since, which is at most one word per queue and call:
    /// takes buffers, and sends what there is to send. Returns how many frames were sent.
    std::uint32_t settle() {
        const std::uint32_t update = std::exchange(at(neta::rxq_status_update(0)), 0);
        occupied_ -= neta::kRxqUpdateProcessed.get(update);
        given_ += neta::kRxqUpdateNew.get(update);
        show_rx();
        std::uint32_t all_sent = 0;
        for (unsigned queue = 0; queue < neta::kQueues; ++queue) {
            const std::uint32_t word = std::exchange(at(neta::txq_update(queue)), 0);
            const std::uint32_t sent = neta::kTxqUpdateAddPending.get(word);
            sent_[queue] += sent;
            sent_[queue] -= neta::kTxqUpdateDecSent.get(word);
            all_sent += sent;
            at(neta::txq_status(queue)) = neta::kTxqStatusSent.of(sent_[queue]);
        }
        return all_sent;
    }

    /// The buffers that the driver gave before it started the queue: it writes several words then,
    /// of which the last one is left.
    void adopt_ring(std::uint32_t given) {
        at(neta::rxq_status_update(0)) = 0;
        given_ = given;
        show_rx();
    }

  private:
    explicit MemoryDevice(vfio::DmaSpace& dma) {
        dma_ = &dma;
        coherent_ = !needs_sync;
        registers_.mapped = words_.data();
        at(neta::kPortStatus) = neta::kPortStatusTxFifoEmpty | neta::kPortStatusRxFifoEmpty;
        at(neta::kGmacStatus) =
            neta::kGmacStatusLinkUp | neta::kGmacStatus1000 | neta::kGmacStatusFullDuplex;
        all.at(made++) = this;
    }

    std::uint32_t& at(std::uint32_t offset) { return words_.at(offset / 4); }

    void show_rx() {
        at(neta::rxq_status(0)) =
            neta::kRxqStatusOccupied.of(occupied_) | neta::kRxqStatusNonOccupied.of(given_);
    }

    alignas(64) std::array<std::uint32_t, neta::kRegionBytes / 4> words_{};
    std::array<std::uint32_t, neta::kQueues> sent_{};
    std::uint32_t next_ = 0;
    std::uint32_t given_ = 0;
    std::uint32_t occupied_ = 0;
};

}  // namespace crema::budget
