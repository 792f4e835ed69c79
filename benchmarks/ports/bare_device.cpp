// SPDX-License-Identifier: BSD-3-Clause
#include "benchmarks/ports/bare_device.h"

#include <algorithm>
#include <cstring>

namespace crema::bench {
namespace {

constexpr std::uint32_t kBurst = 64;
constexpr std::uint32_t kFrameBytes = 60;
constexpr std::uint32_t kMarvellHeader = 2;
constexpr std::uint32_t kFcs = 4;

}  // namespace

BareDevice::BareDevice(vfio::DmaSpace& dma) {
    dma_ = &dma;
    registers_ = vfio::registers_by_calls(*this);
    words_[neta::kPortStatus / 4] = neta::kPortStatusTxFifoEmpty | neta::kPortStatusRxFifoEmpty;
    words_[neta::kGmacStatus / 4] =
        neta::kGmacStatusLinkUp | neta::kGmacStatus1000 | neta::kGmacStatusFullDuplex;
    last = this;
}

std::uint32_t BareDevice::read(std::uint32_t offset) {
    if (offset == neta::rxq_status(0)) {
        const std::uint32_t done = done_.rx.load(std::memory_order_acquire);
        return neta::kRxqStatusOccupied.of(done - asked_.rx_processed);
    }
    if (offset == neta::txq_status(0)) {
        const std::uint32_t done = done_.tx.load(std::memory_order_acquire);
        return neta::kTxqStatusSent.of(done - asked_.tx_released);
    }
    return words_.at(offset / 4);
}

void BareDevice::write(std::uint32_t offset, std::uint32_t value) {
    if (offset == neta::rxq_status_update(0)) {
        asked_.rx_processed += neta::kRxqUpdateProcessed.get(value);
        const std::uint32_t given = asked_.rx_given.load(std::memory_order_relaxed);
        asked_.rx_given.store(given + neta::kRxqUpdateNew.get(value), std::memory_order_release);
    } else if (offset == neta::txq_update(0)) {
        asked_.tx_released += neta::kTxqUpdateDecSent.get(value);
        const std::uint32_t posted = asked_.tx_posted.load(std::memory_order_relaxed);
        asked_.tx_posted.store(posted + neta::kTxqUpdateAddPending.get(value),
                               std::memory_order_release);
    } else if (offset == neta::kRxqCmd || offset == neta::kTxqCmd) {
        words_[offset / 4] = neta::kQueueCmdEnable.get(value);
    } else {
        words_.at(offset / 4) = value;
    }
}

std::uint8_t* BareDevice::at(vfio::DmaReach::Window& window, std::uint32_t iova) {
    if (iova - window.iova >= window.bytes) {
        window = dma_->window_at(iova);
    }
    return const_cast<std::uint8_t*>(window.va) + (iova - window.iova);
}

std::uint32_t BareDevice::receive() {
    const std::uint32_t done = done_.rx.load(std::memory_order_relaxed);
    const std::uint32_t ring = neta::kRxqSizeDescNum.get(words_[neta::rxq_size(0) / 4]);
    auto* const descriptors = reinterpret_cast<neta::RxDescriptor*>(
        dma_->va_of(words_[neta::rxq_base(0) / 4], ring * neta::kDescriptorBytes));
    const std::uint32_t n =
        std::min(asked_.rx_given.load(std::memory_order_acquire) - done, kBurst);
    std::array<std::uint8_t, kMarvellHeader + kFrameBytes> frame{};
    frame.fill(0x02);
    for (std::uint32_t i = 0; i < n; ++i) {
        neta::RxDescriptor& descriptor = descriptors[(done + i) % ring];
        std::memcpy(at(rx_window_, descriptor.buf_addr), frame.data(), frame.size());
        descriptor.data_size = kMarvellHeader + kFrameBytes + kFcs;
        descriptor.status = neta::kRxFirst | neta::kRxLast | neta::kRxEthernet2;
    }
    if (n != 0) {
        done_.rx.store(done + n, std::memory_order_release);
    }
    return n;
}

std::uint32_t BareDevice::transmit() {
    const std::uint32_t done = done_.tx.load(std::memory_order_relaxed);
    const std::uint32_t ring = neta::kTxqSizeDescNum.get(words_[neta::txq_size(0) / 4]);
    const auto* const descriptors = reinterpret_cast<const neta::TxDescriptor*>(
        dma_->va_of(words_[neta::txq_base(0) / 4], ring * neta::kDescriptorBytes));
    const std::uint32_t n =
        std::min(asked_.tx_posted.load(std::memory_order_acquire) - done, kBurst);
    for (std::uint32_t i = 0; i < n; ++i) {
        const neta::TxDescriptor& descriptor = descriptors[(done + i) % ring];
        seen_ += *at(tx_window_, descriptor.buf_addr) + descriptor.data_size;
    }
    if (n != 0) {
        done_.tx.store(done + n, std::memory_order_release);
    }
    return n;
}

void BareDevice::serve(const std::atomic<bool>& stop) {
    while (!stop.load(std::memory_order_relaxed)) {
        receive();
        transmit();
    }
}

}  // namespace crema::bench
