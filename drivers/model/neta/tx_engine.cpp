// SPDX-License-Identifier: BSD-3-Clause
//
// See tx_engine.h.
#include "drivers/model/neta/tx_engine.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "drivers/model/neta/buffer_manager.h"
#include "drivers/model/neta/flow_control.h"
#include "drivers/model/neta/tx_checksum.h"

namespace crema::neta::model {
namespace {

using vfio::DmaRights;

constexpr std::uint32_t kEtherHeader = 14;
constexpr std::uint32_t kScratchBytes = 1U << 16U;
constexpr std::uint32_t kWrrUnit = 256;  // bytes per unit of weight

}  // namespace

TxEngine::TxEngine(Chip& chip, const vfio::DmaReach& reach)
    : chip_(chip),
      ring_dma_(chip, reach),
      data_dma_(chip, reach),
      shaper_(chip),
      scratch_(kScratchBytes) {}

bool TxEngine::ready() const {
    if ((chip_.reg(kGmacCtrl0) & kGmacCtrl0PortEn) == 0 ||
        (chip_.reg(kGmacCtrl2) & kGmacCtrl2PortReset) != 0 ||
        (chip_.reg(kTxReset) & kResetHold) != 0) {
        return false;
    }
    return chip_.mode_is_modelled();
}

void TxEngine::load_ring(unsigned queue) {
    Ring& ring = rings_[queue];
    ring = {};
    ring.size = kTxqSizeDescNum.get(chip_.reg(txq_size(queue)));
    if (ring.size == 0) {
        return;  // reported with the doorbell
    }
    const std::uint32_t base = chip_.reg(txq_base(queue));
    if (base % kRingAlign != 0) {
        chip_.diagnostics.report(Diagnostic::ring_misaligned, base);
    }
    // More pending than the ring holds would read descriptors twice.
    ring.pending = std::min(chip_.tx[queue].counters.load().low, ring.size);
    ring.index = chip_.tx[queue].index.load(std::memory_order_relaxed) % ring.size;
    const auto bytes = static_cast<std::uint32_t>(ring.size * kDescriptorBytes);
    ring.descriptors = reinterpret_cast<TxDescriptor*>(
        ring_dma_.at(base & ~(kRingAlign - 1), bytes, DmaRights::read));
}

std::uint32_t TxEngine::load_rings() {
    std::uint32_t active = 0;
    const std::uint32_t enabled = kQueueCmdEnable.get(chip_.reg(kTxqCmd));
    for (std::uint32_t queues = enabled; queues != 0; queues &= queues - 1) {
        const auto q = static_cast<unsigned>(std::countr_zero(queues));
        if (chip_.tx[q].counters.load().low == 0) {
            continue;
        }
        if (active == 0) {
            ring_dma_.refresh();
            data_dma_.refresh();
        }
        load_ring(q);
        active |= rings_[q].descriptors != nullptr ? bit(q) : 0;
    }
    return active;
}

// Fixed-priority queues first, the highest number wins; the others take turns by weight.
unsigned TxEngine::choose(std::uint32_t active) {
    const std::uint32_t fixed = active & chip_.reg(kTxFixedPrio) & 0xffU;
    if (fixed != 0) {
        return static_cast<unsigned>(std::bit_width(fixed)) - 1;
    }
    if ((active & bit(wrr_queue_)) == 0 || wrr_credit_ <= 0) {
        do {
            wrr_queue_ = (wrr_queue_ + 1) % kQueues;
        } while ((active & bit(wrr_queue_)) == 0);
        const std::uint32_t weight = kTxqWrrWeight.get(chip_.reg(txq_wrr(wrr_queue_)));
        wrr_credit_ = static_cast<std::int32_t>(std::max(weight, 1U) * kWrrUnit);
    }
    return wrr_queue_;
}

TxEngine::Gathered TxEngine::gather(unsigned queue, Ring& ring) {
    Gathered found;
    if ((ring.at(0).command & kTxFirst) == 0) {
        chip_.diagnostics.report(Diagnostic::tx_frame_without_first, queue);
        return {1, 0, true, false, false};
    }
    while (found.descriptors < ring.pending && !found.complete) {
        const TxDescriptor& descriptor = ring.at(found.descriptors);
        if (found.descriptors > 0 && (descriptor.command & kTxFirst) != 0) {
            chip_.diagnostics.report(Diagnostic::tx_frame_restarted, queue);
            return {found.descriptors, 0, true, false, false};
        }
        ++found.descriptors;
        found.bytes += descriptor.data_size;
        found.zero_pad = found.zero_pad || (descriptor.command & kTxZeroPad) != 0;
        found.releases = found.releases || (descriptor.command & kTxBmRelease) != 0;
        found.complete = (descriptor.command & kTxLast) != 0;
    }
    if (found.complete) {
        const bool own_fcs = (chip_.reg(kPortConfigExt) & kPortConfigExtTxCrcDisable) != 0;
        const std::uint32_t least = kEtherHeader + header_bytes() + (own_fcs ? kFcsBytes : 0);
        found.usable = found.bytes >= least && found.bytes <= kWireFrameMax;
        if (!found.usable) {
            chip_.diagnostics.report(Diagnostic::tx_frame_unusable, queue);
        }
    }
    return found;
}

// Copies the pieces of a frame together behind the frames of the batch that were assembled before.
const std::uint8_t* TxEngine::assemble(Ring& ring,
                                       const Gathered& gathered,
                                       std::uint32_t padded,
                                       bool sums) {
    std::uint8_t* const frame = &scratch_[scratch_used_];
    std::uint32_t at = 0;
    for (std::uint32_t i = 0; i < gathered.descriptors; ++i) {
        const TxDescriptor& descriptor = ring.at(i);
        const std::uint32_t bytes = descriptor.data_size;
        if (bytes == 0) {
            continue;
        }
        const std::uint8_t* piece = data_dma_.at(
            descriptor.buf_addr + kTxPktOffset.get(descriptor.command), bytes, DmaRights::read);
        if (piece == nullptr) {
            return nullptr;
        }
        // The descriptor is read once: a driver that changes it meanwhile must not lead us astray.
        if (at + bytes > gathered.bytes) {
            return nullptr;
        }
        std::memcpy(frame + at, piece, bytes);
        at += bytes;
    }
    std::memset(frame + at, 0, padded - at);
    const std::uint32_t header = header_bytes();
    const std::uint32_t selected = kTxHwMarvellHeader.get(ring.at(0).hw_command);
    if (selected != 0 && header != 0) {
        const std::uint32_t value = chip_.reg(tx_marvell_header(selected - 1));
        frame[0] = static_cast<std::uint8_t>(value >> 8U);
        frame[1] = static_cast<std::uint8_t>(value);
    }
    if (sums) {
        const TxDescriptor& first = ring.at(0);
        if (gathered.bytes > chip_.variant.tx_checksum_limit) {
            chip_.diagnostics.report(Diagnostic::tx_checksum_limit, gathered.bytes);
        } else if (!insert_checksums(first.command, first.csum_l4, frame + header,
                                     gathered.bytes - header)) {
            chip_.diagnostics.report(Diagnostic::tx_frame_unusable, first.command);
        }
    }
    scratch_used_ += (padded + 63) & ~63U;
    return frame;
}

std::uint32_t TxEngine::header_bytes() const {
    return (chip_.reg(kMarvellHeaderReg) & kMarvellHeaderEn) != 0 ? kMarvellHeader : 0;
}

void TxEngine::release_buffers(Ring& ring, std::uint32_t descriptors) {
    for (std::uint32_t i = 0; i < descriptors; ++i) {
        const TxDescriptor& descriptor = ring.at(i);
        if ((descriptor.command & kTxBmRelease) == 0) {
            continue;
        }
        if (chip_.buffers == nullptr) {
            chip_.diagnostics.report(Diagnostic::unsupported_mode, descriptor.command);
            return;
        }
        chip_.buffers->put(kTxBmPool.get(descriptor.command), descriptor.buf_addr);
    }
}

void TxEngine::dma_failed(unsigned queue, const Ring& ring) {
    chip_.latch(kIntrMiscCause, kIntrMiscTxqError.of(bit(queue)));
    delta_.add(mib_index(kMibMacTxErr));
    if ((chip_.reg(kPortConfig) & kPortConfigTxNoErrSum) == 0) {
        // The ring was mapped for reading; writing may need more.
        const std::uint32_t ring_at = chip_.reg(txq_base(queue)) & ~(kRingAlign - 1);
        const auto first_at = static_cast<std::uint32_t>(ring_at + ring.index * kDescriptorBytes);
        auto* const first = reinterpret_cast<TxDescriptor*>(
            ring_dma_.at(first_at, kDescriptorBytes, DmaRights::both));
        if (first != nullptr) {
            first->hw_command = kTxHwError | kTxHwErrorCode.of(kTxHwErrorUnderrun);
        }
    }
}

// Adds one complete frame to the batch; false: no room in the scratch area, flush first.
bool TxEngine::stage(unsigned queue, Ring& ring, const Gathered& gathered) {
    const TxDescriptor& first = ring.at(0);
    const bool sums = wants_checksums(first.command);
    const bool pads = gathered.zero_pad || (chip_.reg(kGmacCtrl2) & kGmacCtrl2PaddingDis) == 0;
    const std::uint32_t least = pads ? kMinFrame + header_bytes() : 0;
    const std::uint32_t padded = std::max(gathered.bytes, least);
    const bool selects = kTxHwMarvellHeader.get(first.hw_command) != 0;
    if (selects && header_bytes() == 0) {
        chip_.diagnostics.report(Diagnostic::unsupported_mode, first.hw_command);
    }
    const std::uint8_t* data = nullptr;
    if (gathered.descriptors == 1 && !sums && !selects && padded == gathered.bytes) {
        data = data_dma_.at(first.buf_addr + kTxPktOffset.get(first.command), gathered.bytes,
                            DmaRights::read);
    } else {
        if (scratch_used_ + padded > kScratchBytes) {
            return false;
        }
        data = assemble(ring, gathered, padded, sums);
    }
    if (data != nullptr && chip_.faults.strikes(Fault::dma)) {
        chip_.latch(kUnitCause, kUnitCauseAddrViolation);
        chip_.set_reg(kUnitErrAddr, first.buf_addr);
        chip_.faults.count(Spoilt::unsent);
        data = nullptr;
    }
    if (data == nullptr) {
        dma_failed(queue, ring);
    } else {
        const bool own_fcs = (chip_.reg(kPortConfigExt) & kPortConfigExtTxCrcDisable) != 0;
        batch_[batched_++] = {data, own_fcs ? padded - kFcsBytes : padded, own_fcs, nullptr};
    }
    if (gathered.releases) {
        release_buffers(ring, gathered.descriptors);
    }
    ring.advance(gathered.descriptors);
    wrr_credit_ -= static_cast<std::int32_t>(padded);
    if (shaped_) {
        shaper_.spend(queue, padded + kFcsBytes);
    }
    return true;
}

// Puts the batch on the wire, then gives the descriptors back.
void TxEngine::flush(Wire& wire) {
    const std::uint32_t header = header_bytes();
    if (chip_.link_up()) {
        for (std::uint32_t i = 0; i < batched_; ++i) {
            delta_.add_tx(batch_[i].data + header, batch_[i].bytes - header + kFcsBytes);
        }
        if (batched_ != 0) {
            wire.send(std::span(batch_).first(batched_));
        }
    } else if (batched_ != 0) {
        delta_.add(drop_tx, batched_);
    }
    batched_ = 0;
    scratch_used_ = 0;
    std::uint32_t returned = 0;
    for (unsigned q = 0; q < kQueues; ++q) {
        Ring& ring = rings_[q];
        if (ring.done == 0) {
            continue;
        }
        returned |= bit(q);
        chip_.tx[q].index.store(ring.index, std::memory_order_relaxed);
        chip_.tx[q].counters.update([&](CounterPair::Value value) {
            return CounterPair::Value{value.low - std::min(value.low, ring.done),
                                      std::min(value.high + ring.done, kRingMax)};
        });
        ring.done = 0;
    }
    const std::uint32_t gated = kIntrTxq.of(returned & (chip_.reg(kIntrEnable) >> 8U));
    if (gated != 0) {
        chip_.latch(kIntrOldCause, gated);
    }
    chip_.count(delta_);
}

// Those of the queues whose buckets hold enough; when none does, the time at which one will.
std::uint32_t TxEngine::with_tokens(std::uint32_t active) {
    std::uint32_t open = 0;
    std::int64_t soonest = std::numeric_limits<std::int64_t>::max();
    for (std::uint32_t queues = active; queues != 0; queues &= queues - 1) {
        const auto q = static_cast<unsigned>(std::countr_zero(queues));
        open |= shaper_.allows(q) ? bit(q) : 0;
        soonest = std::min(soonest, shaper_.next_ns(q));
    }
    held_until_ns_.store(open == 0 ? soonest : 0, std::memory_order_relaxed);
    return open;
}

std::uint32_t TxEngine::run(Wire& wire, std::uint32_t budget) {
    held_until_ns_.store(0, std::memory_order_relaxed);
    if (!ready()) {
        return 0;
    }
    std::uint32_t active = load_rings();
    if (active == 0) {
        return 0;
    }
    if (transmit_paused(chip_)) {
        held_until_ns_.store(chip_.paused_until_ns.load(std::memory_order_relaxed),
                             std::memory_order_relaxed);
        return 0;
    }
    shaped_ = shaper_.refresh();
    std::uint32_t frames = 0;
    while (active != 0 && frames < budget) {
        const std::uint32_t open = shaped_ ? with_tokens(active) : active;
        if (open == 0) {
            break;
        }
        const unsigned q = choose(open);
        Ring& ring = rings_[q];
        const Gathered gathered = gather(q, ring);
        if (!gathered.complete) {
            active &= ~bit(q);  // the rest of the frame has not been posted
            continue;
        }
        if (!gathered.usable) {
            delta_.add(mib_index(kMibMacTxErr));
            ring.advance(gathered.descriptors);
        } else if (!stage(q, ring, gathered)) {
            flush(wire);
            continue;
        }
        ++frames;
        if (ring.pending == 0) {
            active &= ~bit(q);
        }
        if (batched_ == kBatch) {
            flush(wire);
        }
    }
    flush(wire);
    return frames;
}

}  // namespace crema::neta::model
