// SPDX-License-Identifier: BSD-3-Clause
//
// See hostile_device.h.
#include "tests/fuzz/hostile_device.h"

#include <algorithm>
#include <cstring>

#include "lib/page_pool/page.h"

namespace crema::test::fuzz {
namespace {

using namespace neta;

constexpr std::uint32_t kGood = kRxFirst | kRxLast | kRxEthernet2;

}  // namespace

Result<std::unique_ptr<vfio::Device>> HostileDevice::make(vfio::DmaSpace& dma,
                                                          const vfio::ModelArgs& /*args*/) {
    return std::unique_ptr<vfio::Device>(new HostileDevice(dma));
}

HostileDevice::HostileDevice(vfio::DmaSpace& dma) : dice_(seed) {
    dma_ = &dma;
    registers_ = vfio::registers_by_calls(*this);
    last = this;
}

RxDescriptor* HostileDevice::descriptor(unsigned queue, std::uint32_t slot) {
    const auto at = static_cast<std::uint32_t>(word(rxq_base(queue)) + slot * kDescriptorBytes);
    return reinterpret_cast<RxDescriptor*>(dma_->va_of(at, kDescriptorBytes));
}

// What is in a descriptor is only believed at the moment when it is given.
void HostileDevice::give(unsigned queue, std::uint32_t n) {
    RxRing& ring = rx_.at(queue);
    const std::uint32_t ring_size = kRxqSizeDescNum.get(word(rxq_size(queue)));
    if (ring_size == 0) {
        return;
    }
    ring.buffers.resize(ring_size);
    for (; n != 0; --n) {
        const RxDescriptor* const given = descriptor(queue, ring.given);
        ring.buffers.at(ring.given) = given != nullptr ? given->buf_addr : 0;
        ring.given = (ring.given + 1) % ring_size;
        ++ring.free;
    }
}

std::uint32_t HostileDevice::status() {
    const auto any = static_cast<std::uint32_t>(dice_.bits());
    switch (dice_.below(8)) {
        case 0:
            return any;
        case 1:
            return kGood ^ (1U << any % 32);
        case 2:
            return kGood | kRxError | kRxErrorCode.of(any % 4);
        case 3:
            return any & (kRxFirst | kRxLast);
        case 4:
            return static_cast<std::uint32_t>(dice_.number());
        default:
            return kGood | (any & 0x43e80000U);  // types and sums
    }
}

std::uint32_t HostileDevice::size() {
    static constexpr std::uint32_t kEdges[] = {0,
                                               1,
                                               5,
                                               6,
                                               19,
                                               20,
                                               21,
                                               66,
                                               1524,
                                               1525,
                                               0x7fff,
                                               0x8000,
                                               0xffff,
                                               0xdead,
                                               page_pool::kDmaBytes,
                                               page_pool::kDmaBytes + 1,
                                               2 * page_pool::kDmaBytes,
                                               2 * page_pool::kDmaBytes + 3};
    switch (dice_.below(4)) {
        case 0:
            return static_cast<std::uint32_t>(dice_.bits() & 0xffffU);
        case 1:
            return dice_.pick(kEdges);
        default:
            return static_cast<std::uint32_t>(dice_.between(66, 1524));
    }
}

void HostileDevice::complete(RxDescriptor& descriptor) {
    descriptor.status = lies_ ? status() : kGood;
    descriptor.pnc_info = static_cast<std::uint16_t>(dice_.bits());
    descriptor.data_size = static_cast<std::uint16_t>(lies_ ? size() : 66);
    ++tally.descriptors;
}

bool HostileDevice::fill(unsigned queue) {
    RxRing& ring = rx_.at(queue);
    RxDescriptor* const filled = descriptor(queue, ring.index);
    if (ring.free == 0 || filled == nullptr) {
        return false;
    }
    if (auto* const buffer = dma_->va_of(ring.buffers.at(ring.index), page_pool::kDmaBytes)) {
        std::memset(buffer, static_cast<int>(dice_.bits() & 0xffU),
                    static_cast<std::size_t>(dice_.one_in(64) ? page_pool::kDmaBytes : 128));
    }
    if (one_in(16)) {
        ring.late.push_back(ring.index);
    } else {
        complete(*filled);
    }
    ring.index = (ring.index + 1) % static_cast<std::uint32_t>(ring.buffers.size());
    --ring.free;
    ++ring.occupied;
    return true;
}

void HostileDevice::settle(unsigned queue) {
    std::vector<std::uint32_t>& late = rx_.at(queue).late;
    if (late.empty() || (lies_ && !dice_.one_in(4))) {
        return;
    }
    if (RxDescriptor* const written = descriptor(queue, late.front()); written != nullptr) {
        complete(*written);
    }
    late.erase(late.begin());
}

// Any word of any descriptor of the ring, whoever has it.
void HostileDevice::scribble(unsigned queue) {
    const RxRing& ring = rx_.at(queue);
    if (ring.buffers.empty()) {
        return;
    }
    const auto slot =
        static_cast<std::uint32_t>(dice_.below(static_cast<int>(ring.buffers.size())));
    if (auto* const words = reinterpret_cast<std::uint32_t*>(descriptor(queue, slot))) {
        words[dice_.below(8)] = static_cast<std::uint32_t>(dice_.number());
        ++tally.words;
    }
}

unsigned HostileDevice::act(unsigned n) {
    unsigned done = 0;
    for (unsigned i = 0; i < n; ++i) {
        const auto queue = static_cast<unsigned>(dice_.below(dice_.one_in(4) ? 8 : 2));
        if (!enabled(kRxqCmd, queue) || word(rxq_base(queue)) == 0) {
            continue;
        }
        settle(queue);
        if (fill(queue)) {
            ++done;
            if (one_in(32)) {
                scribble(queue);
            }
        }
    }
    return done;
}

std::uint32_t HostileDevice::near(std::uint32_t count) {
    ++tally.counts;
    switch (dice_.below(4)) {
        case 0:
            return static_cast<std::uint32_t>(dice_.bits());
        case 1:
            return static_cast<std::uint32_t>(dice_.number());
        default:
            return count + static_cast<std::uint32_t>(dice_.between(-3, 3));
    }
}

std::uint32_t HostileDevice::rx_status(unsigned queue) {
    const RxRing& ring = rx_.at(queue);
    const std::uint32_t occupied = one_in(8) ? near(ring.occupied) : ring.occupied;
    const std::uint32_t free = one_in(32) ? near(ring.free) : ring.free;
    const std::uint32_t junk = one_in(16) ? 0xc000c000U : 0;
    return kRxqStatusOccupied.of(occupied & kRxqStatusOccupied.max()) |
           kRxqStatusNonOccupied.of(free & kRxqStatusNonOccupied.max()) | junk;
}

std::uint32_t HostileDevice::tx_status(unsigned queue) {
    TxRing& ring = tx_.at(queue);
    if (!one_in(4)) {
        ring.sent += ring.pending;
        ring.pending = 0;
    }
    const std::uint32_t sent = one_in(8) ? near(ring.sent) : ring.sent;
    const std::uint32_t pending = one_in(16) ? near(ring.pending) : ring.pending;
    return kTxqStatusSent.of(sent & kTxqStatusSent.max()) |
           kTxqStatusPending.of(pending & kTxqStatusPending.max());
}

std::uint32_t HostileDevice::read(std::uint32_t offset) {
    if (offset >= rxq_status(0) && offset < rxq_status(8)) {
        return rx_status((offset - rxq_status(0)) / 4);
    }
    if (offset >= txq_status(0) && offset < txq_status(8)) {
        return tx_status((offset - txq_status(0)) / 4);
    }
    std::uint32_t truth = word(offset);
    // Waits for these take long, so they are wrong seldom.
    int seldom = 4;
    if (offset == kPortStatus) {
        truth = kPortStatusTxFifoEmpty | kPortStatusRxFifoEmpty;
        seldom = 2000;
    } else if (offset == kRxqCmd || offset == kTxqCmd) {
        seldom = 2000;
    } else if (offset == kGmacStatus) {
        truth = kGmacStatusLinkUp | kGmacStatus1000 | kGmacStatusFullDuplex;
    } else if (offset == kUnitControl) {
        truth |= kUnitControlRamInitDone;
        seldom = 2000;
    }
    if (!one_in(seldom)) {
        return truth;
    }
    ++tally.registers;
    return static_cast<std::uint32_t>(dice_.number());
}

void HostileDevice::write(std::uint32_t offset, std::uint32_t value) {
    if (offset >= rxq_status_update(0) && offset < rxq_status_update(8)) {
        const unsigned queue = (offset - rxq_status_update(0)) / 4;
        RxRing& ring = rx_.at(queue);
        ring.occupied -= std::min(ring.occupied, kRxqUpdateProcessed.get(value));
        give(queue, kRxqUpdateNew.get(value));
        return;
    }
    if (offset >= txq_update(0) && offset < txq_update(8)) {
        TxRing& ring = tx_.at((offset - txq_update(0)) / 4);
        ring.sent -= std::min(ring.sent, kTxqUpdateDecSent.get(value));
        ring.pending += kTxqUpdateAddPending.get(value);
        return;
    }
    if (offset == kRxqCmd || offset == kTxqCmd) {
        word(offset) = (word(offset) | kQueueCmdEnable.get(value)) & ~kQueueCmdDisable.get(value);
        return;
    }
    if (offset == kRxReset && value != 0) {
        rx_ = {};
        word(kRxqCmd) = 0;
    }
    if (offset == kTxReset && value != 0) {
        tx_ = {};
        word(kTxqCmd) = 0;
    }
    word(offset) = value;
}

}  // namespace crema::test::fuzz
