// SPDX-License-Identifier: BSD-3-Clause
//
// A device whose every counter and descriptor a test writes itself: far less than a model of the
// chip, so that it can also lie. It keeps registers, moves the queue counters as the driver's
// writes say, sends whatever is posted at once, and receives only what deliver() puts into a ring.
#pragma once

#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <sys/eventfd.h>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/neta/descriptors.h"
#include "lib/vfio/device.h"

namespace crema::test {

class ScriptedDevice : public vfio::Device {
  public:
    static constexpr std::uint32_t kHonest = ~0U;

    /// The device that was opened last; null after it was closed.
    static inline ScriptedDevice* last = nullptr;
    /// Registers that are not 0 when it is opened.
    static inline std::map<std::uint32_t, std::uint32_t> power_on{};
    /// Makes the next open fail.
    static inline bool absent = false;

    static Result<std::unique_ptr<vfio::Device>> make(vfio::DmaSpace& dma,
                                                      const vfio::ModelArgs& /*args*/) {
        if (absent) {
            return fail(ENODEV, "scripted device is absent");
        }
        return std::unique_ptr<vfio::Device>(new ScriptedDevice(dma));
    }

    ~ScriptedDevice() override { last = nullptr; }

    ScriptedDevice(const ScriptedDevice&) = delete;
    ScriptedDevice& operator=(const ScriptedDevice&) = delete;
    ScriptedDevice(ScriptedDevice&&) = delete;
    ScriptedDevice& operator=(ScriptedDevice&&) = delete;

    [[nodiscard]] std::string describe() const override { return "scripted"; }

    /// Completes the next RX descriptor of queue 0 with `status` and `size`; the frame area is
    /// filled with `fill`. False when the driver gave none.
    bool deliver(std::uint32_t status, std::uint32_t size, std::uint8_t fill = 0) {
        if (free_rx == 0) {
            return false;
        }
        neta::RxDescriptor& descriptor = rx_descriptor(rx_index);
        if (size <= 3200) {
            std::memset(dma_->va_of(descriptor.buf_addr, size), fill, size);
        }
        descriptor.status = status;
        descriptor.pnc_info = 0;
        descriptor.data_size = static_cast<std::uint16_t>(size);
        skip();
        return true;
    }

    /// Counts a descriptor without writing it.
    void skip() {
        --free_rx;
        ++occupied_rx;
        rx_index = (rx_index + 1) % neta::kRxqSizeDescNum.get(at(neta::rxq_size(0)));
    }

    neta::RxDescriptor& rx_descriptor(std::uint32_t index) {
        const std::uint32_t iova = at(neta::rxq_base(0)) + 32 * index;
        return *reinterpret_cast<neta::RxDescriptor*>(dma_->va_of(iova, 32));
    }

    [[nodiscard]] Result<int> enable_interrupt() override {
        if (!interrupts) {
            return vfio::Device::enable_interrupt();
        }
        event = UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
        return event.get();
    }

    void rearm_interrupt() override { ++rearmed; }

    std::uint32_t& at(std::uint32_t offset) { return words_.at(offset / 4); }

    std::uint32_t free_rx = 0;
    std::uint32_t occupied_rx = 0;
    std::uint32_t rx_index = 0;
    std::uint32_t claim_occupied = kHonest;  // instead of occupied_rx
    std::uint32_t claim_sent = kHonest;      // instead of the count of sent descriptors
    bool send = true;                        // false: posted descriptors stay pending
    std::array<std::uint32_t, neta::kQueues> pending{};
    std::array<std::uint32_t, neta::kQueues> sent{};
    std::array<std::uint32_t, neta::kQueues> tx_index{};
    std::vector<std::vector<std::uint8_t>> frames;  // what was sent, assembled
    std::vector<std::uint32_t> commands;            // of each descriptor sent
    std::vector<std::uint32_t> oversized_updates;   // reserved bits set in update registers
    std::array<std::atomic<bool>, neta::kRegionBytes / 4> was_read{};  // by word
    static inline bool interrupts = false;                             // of the next device
    UniqueFd event;  // write to it to raise the line
    std::atomic<std::uint32_t> rearmed{0};
    bool stuck = false;          // true: queues stay enabled whatever is written
    std::uint32_t odd_news = 0;  // NEW counts that split a descriptor pair

    std::uint32_t read(std::uint32_t offset) {
        was_read.at(offset / 4) = true;
        if (offset == neta::rxq_status(0)) {
            const std::uint32_t occupied = claim_occupied == kHonest ? occupied_rx : claim_occupied;
            return neta::kRxqStatusOccupied.of(occupied) | neta::kRxqStatusNonOccupied.of(free_rx);
        }
        if (offset >= neta::txq_status(0) && offset < neta::txq_status(8)) {
            const std::size_t queue = (offset - neta::txq_status(0)) / 4;
            return neta::kTxqStatusPending.of(pending.at(queue)) |
                   neta::kTxqStatusSent.of(claim_sent == kHonest ? sent.at(queue) : claim_sent);
        }
        if (offset >= neta::txq_index(0) && offset < neta::txq_index(8)) {
            return tx_index.at((offset - neta::txq_index(0)) / 4);
        }
        if (offset == neta::kPortStatus) {
            return neta::kPortStatusTxFifoEmpty | neta::kPortStatusRxFifoEmpty;
        }
        if (offset == neta::kGmacStatus) {
            return (at(neta::kGmacAutoneg) & neta::kGmacAutonegForceLinkPass) != 0
                       ? neta::kGmacStatusLinkUp | neta::kGmacStatus1000 |
                             neta::kGmacStatusFullDuplex
                       : 0;
        }
        return at(offset);
    }

    void write(std::uint32_t offset, std::uint32_t value) {
        if (offset == neta::rxq_status_update(0)) {
            check_update(value);
            occupied_rx -= neta::kRxqUpdateProcessed.get(value);
            free_rx += neta::kRxqUpdateNew.get(value);
            odd_news += free_total(neta::kRxqUpdateNew.get(value));
            return;
        }
        if (offset >= neta::txq_update(0) && offset < neta::txq_update(8)) {
            update_tx((offset - neta::txq_update(0)) / 4, value);
            return;
        }
        if (offset == neta::kRxqCmd || offset == neta::kTxqCmd) {
            at(offset) = (at(offset) | neta::kQueueCmdEnable.get(value)) &
                         ~(stuck ? 0 : neta::kQueueCmdDisable.get(value));
            return;
        }
        if (offset == neta::kRxReset && value != 0) {
            free_rx = occupied_rx = rx_index = 0;
        }
        if (offset == neta::kTxReset && value != 0) {
            pending = {};
            sent = {};
            tx_index = {};
        }
        at(offset) = value;
    }

  private:
    explicit ScriptedDevice(vfio::DmaSpace& dma) {
        dma_ = &dma;
        registers_ = vfio::registers_by_calls(*this);
        for (const auto& [offset, value] : power_on) {
            at(offset) = value;
        }
        last = this;
    }

    /// 1 when the sum of all NEW counts of a burst ends inside a pair (255-steps may).
    std::uint32_t free_total(std::uint32_t fresh) {
        news_ += fresh;
        return fresh != 0 && fresh != neta::kUpdateMax && news_ % 2 != 0 ? 1 : 0;
    }

    void check_update(std::uint32_t value) {
        if ((value & 0xff00ff00U) != 0) {
            oversized_updates.push_back(value);
        }
    }

    void update_tx(std::size_t queue, std::uint32_t value) {
        check_update(value);
        sent.at(queue) -= neta::kTxqUpdateDecSent.get(value);
        pending.at(queue) += neta::kTxqUpdateAddPending.get(value);
        if (!send) {
            return;
        }
        for (; pending.at(queue) != 0; --pending.at(queue), ++sent.at(queue)) {
            send_one(static_cast<unsigned>(queue));
        }
    }

    void send_one(unsigned queue) {
        const std::uint32_t iova = at(neta::txq_base(queue)) + 32 * tx_index.at(queue);
        const auto& descriptor =
            *reinterpret_cast<const neta::TxDescriptor*>(dma_->va_of(iova, 32));
        commands.push_back(descriptor.command);
        const std::uint8_t* data = dma_->va_of(descriptor.buf_addr, descriptor.data_size);
        if ((descriptor.command & neta::kTxFirst) != 0) {
            frames.emplace_back();
        }
        frames.back().insert(frames.back().end(), data, data + descriptor.data_size);
        tx_index.at(queue) =
            (tx_index.at(queue) + 1) % neta::kTxqSizeDescNum.get(at(neta::txq_size(queue)));
    }

    std::array<std::uint32_t, neta::kRegionBytes / 4> words_{};
    std::uint32_t news_ = 0;
};

}  // namespace crema::test
