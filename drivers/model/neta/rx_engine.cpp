// SPDX-License-Identifier: BSD-3-Clause
//
// See rx_engine.h.
#include "drivers/model/neta/rx_engine.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "drivers/model/neta/checksum.h"
#include "lib/neta/crc8.h"

namespace crema::neta::model {
namespace {

using vfio::DmaRights;

constexpr std::uint32_t kEtherHeader = 14;
constexpr std::uint16_t kTypeMacControl = 0x8808;
constexpr std::uint16_t kOpcodePause = 1;
constexpr MacAddress kPauseAddress{0x01, 0x80, 0xc2, 0, 0, 0x01};
constexpr std::uint32_t kBufferSlack = 66;  // header, smallest frame, FCS
constexpr std::uint32_t kMinFramePlain = 0x28;
constexpr std::uint32_t kRxFaultWays = 6;          // those of Spoilt that a descriptor shows
constexpr std::uint32_t kSizesBeyondAll = 0x4400;  // of no frame that the MAC lets in
constexpr std::uint32_t kLateLooks = 4;

// 10.11: small values are an offset to 40, others plain bytes.
std::uint32_t min_frame_of(std::uint32_t reg) {
    const std::uint32_t value = reg & 0x7cU;
    return value >= kMinFramePlain ? value : 40 + value;
}

}  // namespace

void write_back(RxDescriptor& descriptor, std::uint32_t status, std::uint32_t data_size) {
    descriptor.pnc_flow = 0;
    descriptor.prefetch = 0;
    descriptor.csum_l4 = 0;
    descriptor.pnc_extra = 0;
    descriptor.hw_command = 0;
    descriptor.pnc_info = 0;
    descriptor.data_size = static_cast<std::uint16_t>(data_size);
    descriptor.status = status;
}

void RxEngine::Stored::copy(std::uint8_t* to, std::uint32_t from, std::uint32_t bytes) const {
    const std::array pieces{std::span(header.data(), header.size()), std::span(data, data_bytes),
                            std::span(fcs.data(), fcs_bytes)};
    for (const auto& piece : pieces) {
        const auto size = static_cast<std::uint32_t>(piece.size());
        const std::uint32_t skipped = std::min(from, size);
        const std::uint32_t part = std::min(size - skipped, bytes);
        std::memcpy(to, piece.data() + skipped, part);
        to += part;
        bytes -= part;
        from -= skipped;
    }
}

RxEngine::RxEngine(Chip& chip, const vfio::DmaReach& reach)
    : chip_(chip), ring_dma_(chip, reach), data_dma_(chip, reach), filter_(chip), pause_(chip) {}

bool RxEngine::ready() const {
    if ((chip_.reg(kGmacCtrl0) & kGmacCtrl0PortEn) == 0 ||
        (chip_.reg(kGmacCtrl2) & kGmacCtrl2PortReset) != 0 ||
        (chip_.reg(kRxReset) & kResetHold) != 0 || !chip_.link_up()) {
        return false;
    }
    if (!chip_.mode_is_modelled()) {
        chip_.diagnostics.report(Diagnostic::unsupported_mode, chip_.reg(kAccMode));
        return false;
    }
    return true;
}

std::uint32_t RxEngine::room_for_patient() const {
    const std::uint32_t enabled = kQueueCmdEnable.get(chip_.reg(kRxqCmd));
    std::uint32_t room = enabled == 0 ? 0 : kRingMax;
    for (unsigned q = 0; q < kQueues; ++q) {
        if ((enabled & bit(q)) != 0) {
            room = std::min(room, chip_.rx[q].counters.load().high);
        }
    }
    return room;
}

std::uint32_t RxEngine::run(Wire& wire, std::uint32_t budget) {
    const bool receiving = ready();
    if (wire.patient()) {
        budget = receiving ? std::min(budget, room_for_patient()) : 0;
    }
    if (budget == 0) {
        return 0;
    }
    const std::uint32_t count = wire.receive(std::span(frames_).first(std::min(budget, kBurst)));
    if (!receiving) {
        if (chip_.faults.link_is_down()) {
            chip_.faults.count(Spoilt::unheard, count);
        }
        return count;  // a port that is down hears nothing
    }
    if (count == 0) {
        if (pause_.look(wire, delta_)) {
            chip_.count(delta_);
        }
        return 0;
    }
    ring_dma_.refresh();
    data_dma_.refresh();
    filter_.refresh();
    loaded_ = 0;
    wire_max_ = 2 * kGmacCtrl0MaxRxSize.get(chip_.reg(kGmacCtrl0));
    wire_min_ = min_frame_of(chip_.reg(kRxMinFrame));
    with_header_ = (chip_.reg(kMarvellHeaderReg) & kMarvellHeaderEn) != 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        one(frames_[i]);
    }
    publish();
    if (pause_.look(wire, delta_)) {
        chip_.count(delta_);
    }
    return count;
}

bool RxEngine::is_pause(const WireFrame& frame, const FrameFacts& facts, bool good) {
    if (facts.ethertype != kTypeMacControl || frame.bytes < kEtherHeader + 4) {
        return false;
    }
    if (load_be16(frame.data + kEtherHeader) == kOpcodePause &&
        std::memcmp(frame.data, kPauseAddress.data(), kPauseAddress.size()) == 0) {
        delta_.add(mib_index(good ? kMibGoodFcRx : kMibBadFcRx));
        if (good) {
            obey_pause(chip_, load_be16(frame.data + kEtherHeader + 2));
        }
        return true;
    }
    delta_.add(mib_index(kMibUnrecMacCtrlRx));
    return false;
}

void RxEngine::one(const WireFrame& frame) {
    if (with_header_) [[unlikely]] {
        one_with_header(frame);
        return;
    }
    FrameFacts own_facts;
    FrameFacts& facts = frame.facts != nullptr ? *frame.facts : own_facts;
    if (facts.vlan_type != filter_.vlan_type() || facts.vlan_type == 0) {
        facts = parse_frame(frame.data, frame.bytes, filter_.vlan_type());
    }
    judge(frame, facts, {});
}

// Two bytes from a switch lie in front of the frame and under the FCS; sizes leave them out.
void RxEngine::one_with_header(const WireFrame& frame) {
    WireFrame rest = frame;
    rest.facts = nullptr;
    HeaderBytes header{};
    if (frame.bytes >= kMarvellHeader) {
        std::memcpy(header.data(), frame.data, header.size());
        rest.data += kMarvellHeader;
        rest.bytes -= kMarvellHeader;
    }
    FrameFacts facts = parse_frame(rest.data, rest.bytes, filter_.vlan_type());
    facts.fcs = fcs_of(frame.data, frame.bytes);
    judge(rest, facts, header);
}

void RxEngine::judge(const WireFrame& frame, const FrameFacts& facts, const HeaderBytes& header) {
    Stored stored{header, frame.data, frame.bytes, {}, kFcsBytes};
    std::memcpy(stored.fcs.data(), &facts.fcs, kFcsBytes);
    bool fcs_ok = true;
    if (frame.has_fcs) {
        fcs_ok = std::memcmp(frame.data + frame.bytes, stored.fcs.data(), kFcsBytes) == 0;
        std::memcpy(stored.fcs.data(), frame.data + frame.bytes, kFcsBytes);
    }
    const std::uint32_t wire_bytes = frame.bytes + kFcsBytes;
    const bool too_long = wire_bytes > wire_max_;
    const bool too_short = wire_bytes < wire_min_ || frame.bytes < kEtherHeader;
    const bool good = fcs_ok && !too_long && !too_short;
    static constexpr std::uint8_t kNoAddress[6] = {};
    delta_.add_rx(frame.bytes < kEtherHeader ? kNoAddress : frame.data, wire_bytes, good);
    if (too_short) {
        delta_.add(mib_index(fcs_ok ? kMibUndersizeRx : kMibFragmentsRx));
        return;
    }
    std::uint32_t status = facts.status;
    if (!filter_.pseudo_header()) {
        status &= ~kRxL4CsumOk;
    }
    if (too_long) {
        delta_.add(mib_index(fcs_ok ? kMibOversizeRx : kMibJabberRx));
        chip_.latch(kIntrMiscCause, kIntrMiscRxTooLarge);
        status |= kRxError | kRxErrorCode.of(kRxErrorTooLong);
        stored.data_bytes = std::min(frame.bytes, wire_max_);
        stored.fcs_bytes = wire_max_ - stored.data_bytes;
    } else if (!fcs_ok) {
        delta_.add(mib_index(kMibBadCrc));
        chip_.latch(kIntrMiscCause, kIntrMiscRxCrc);
        status |= kRxError | kRxErrorCode.of(kRxErrorCrc);
    }
    if (is_pause(frame, facts, good)) {
        return;
    }
    const Steering steering = filter_.steer(frame.data, facts);
    if (steering.accept) {
        status |= steering.unknown_da ? kRxUnknownDa : 0;
        deliver(steering.queue, status, stored);
    }
}

RxEngine::Ring& RxEngine::ring(std::uint32_t queue) {
    Ring& ring = rings_[queue];
    if ((loaded_ & bit(queue)) != 0) {
        return ring;
    }
    loaded_ |= bit(queue);
    ring = {};
    if ((chip_.reg(kRxqCmd) & bit(queue)) == 0) {
        return ring;
    }
    const std::uint32_t size_reg = chip_.reg(rxq_size(queue));
    const std::uint32_t config = chip_.reg(rxq_config(queue));
    ring.size = kRxqSizeDescNum.get(size_reg);
    ring.buffer_bytes = 8 * kRxqSizeBufSize.get(size_reg);
    ring.offset = 8 * kRxqConfigPktOffset.get(config);
    ring.free = chip_.rx[queue].counters.load().high;
    if (ring.size == 0) {
        chip_.diagnostics.report(Diagnostic::ring_unconfigured, queue);
        return ring;
    }
    if ((config & kRxqConfigHwBufAlloc) != 0) {
        if (!reaches_buffer_manager()) {
            chip_.diagnostics.report(Diagnostic::unsupported_mode, config);
            return ring;
        }
        set_up_pools(ring, queue, config);
    }
    if (ring.buffer_bytes < ring.offset + kBufferSlack) {
        chip_.diagnostics.report(Diagnostic::rx_buffer_too_small, queue);
        if (ring.buffer_bytes <= ring.offset) {
            return ring;
        }
    }
    ring.index = chip_.rx[queue].index.load(std::memory_order_relaxed) % ring.size;
    const std::uint32_t base = chip_.reg(rxq_base(queue));
    if (base % kRingAlign != 0) {
        chip_.diagnostics.report(Diagnostic::ring_misaligned, base);
    }
    const auto bytes = static_cast<std::uint32_t>(ring.size * kDescriptorBytes);
    ring.base = base & ~(kRingAlign - 1);
    ring.descriptors =
        reinterpret_cast<RxDescriptor*>(ring_dma_.at(ring.base, bytes, DmaRights::both));
    return ring;
}

void RxEngine::discard(std::uint32_t queue, bool no_descriptor) {
    delta_.add(drop_rx_discard);
    if (no_descriptor) {
        chip_.latch(kIntrOldCause, kIntrRxqFree.of(bit(queue)));
    }
}

void RxEngine::deliver(std::uint32_t queue, std::uint32_t status, const Stored& stored) {
    Ring& to = ring(queue);
    if (to.descriptors == nullptr || to.free == 0) {
        discard(queue, to.descriptors != nullptr);
        return;
    }
    if (to.pooled) [[unlikely]] {
        deliver_pooled(queue, status, stored);
        return;
    }
    const std::uint32_t total = stored.total();
    if (to.offset + total > to.buffer_bytes) {
        if (to.offset + total > to.buffer_bytes * std::uint64_t{to.free}) {
            discard(queue, true);  // and what fits is still closed with an error below
        }
        scatter(to, status, stored);
        return;
    }
    const std::uint32_t slot = to.index;
    const RxDescriptor& descriptor = to.take();
    std::uint8_t* at = buffer_at(descriptor.buf_addr + to.offset, total);
    status |= kRxFirst | kRxLast;
    if (at == nullptr) {
        delta_.add(drop_rx_discard);
        status = kRxErrorCode.set(status | kRxError, kRxErrorResource);
        complete(to, slot, status, total, lateness());
        return;
    }
    std::memcpy(at, stored.header.data(), kMarvellHeader);
    std::memcpy(at + kMarvellHeader, stored.data, stored.data_bytes);
    std::memcpy(at + kMarvellHeader + stored.data_bytes, stored.fcs.data(), stored.fcs_bytes);
    std::uint32_t data_size = total;
    spoil(status, data_size);
    complete(to, slot, status, data_size, lateness());
}

std::uint8_t* RxEngine::buffer_at(std::uint32_t iova, std::uint32_t bytes) {
    if (chip_.faults.strikes(Fault::dma)) {
        chip_.latch(kUnitCause, kUnitCauseAddrViolation);
        chip_.set_reg(kUnitErrAddr, iova);
        return nullptr;
    }
    return data_dma_.at(iova, bytes, DmaRights::write);
}

// A good frame gets one of the faults that a driver can see, and by whose name it counts it.
void RxEngine::spoil(std::uint32_t& status, std::uint32_t& data_size) {
    Faults& faults = chip_.faults;
    if (!faults.active() || (status & kRxError) != 0 || !faults.strikes(Fault::status)) {
        return;
    }
    const auto way = static_cast<Spoilt>(faults.number(kRxFaultWays));
    faults.count(way);
    if (way == Spoilt::size) {
        data_size = faults.number(2) == 0 ? faults.number(kMarvellHeader + kFcsBytes + kEtherHeader)
                                          : kSizesBeyondAll + faults.number(0x400);
    } else if (way == Spoilt::fragment) {
        status &= faults.number(2) == 0 ? ~kRxFirst : ~kRxLast;
    } else {
        status = kRxErrorCode.set(status | kRxError, static_cast<std::uint32_t>(way));
    }
}

std::uint32_t RxEngine::lateness() {
    return chip_.faults.strikes(Fault::late) ? 1 + chip_.faults.number(kLateLooks) : 0;
}

void RxEngine::complete(const Ring& ring,
                        std::uint32_t slot,
                        std::uint32_t status,
                        std::uint32_t data_size,
                        std::uint32_t late_by) {
    if (late_by == 0) [[likely]] {
        write_back(ring.descriptors[slot], status, data_size);
        return;
    }
    const auto at = static_cast<std::uint32_t>(ring.base + slot * kDescriptorBytes);
    late_.push_back({at, status, data_size, late_by});
}

void RxEngine::settle(bool all) {
    if (late_.empty()) [[likely]] {
        return;
    }
    ring_dma_.refresh();
    std::erase_if(late_, [&](Late& late) {
        if (!all && --late.looks != 0) {
            return false;
        }
        auto* const descriptor = reinterpret_cast<RxDescriptor*>(
            ring_dma_.at(late.at, kDescriptorBytes, DmaRights::both));
        if (descriptor != nullptr) {
            write_back(*descriptor, late.status, late.data_size);
        }
        return true;
    });
}

// A frame over several buffers: filled to the end each, PKT_OFFSET and Marvell header in the first
// only, the whole length in the first descriptor. Out of descriptors or memory on the way: what
// was used is closed with "resource error".
void RxEngine::scatter(Ring& to, std::uint32_t status, const Stored& stored) {
    const std::uint32_t first_index = to.index;
    std::uint32_t left = stored.total();
    std::uint32_t used = 0;
    bool failed = false;
    while (left > 0 && !failed) {
        const std::uint32_t offset = used == 0 ? to.offset : 0;
        const std::uint32_t room = std::min(to.buffer_bytes - offset, left);
        const RxDescriptor& descriptor = to.take();
        ++used;
        std::uint8_t* at = buffer_at(descriptor.buf_addr + offset, room);
        failed = at == nullptr || (to.free == 0 && room < left);
        if (at != nullptr) {
            stored.copy(at, stored.total() - left, room);
        }
        left -= room;
    }
    if (failed) {
        status |= kRxError;
        status = kRxErrorCode.set(status, kRxErrorResource);
    }
    const std::uint32_t late_by = lateness();
    for (std::uint32_t i = 0; i < used; ++i) {
        const std::uint32_t place = (i == 0 ? kRxFirst : 0) | (i + 1 == used ? kRxLast : 0);
        complete(to, (first_index + i) % to.size, status | place, i == 0 ? stored.total() : 0,
                 late_by);
    }
}

// Makes the burst visible: counters last (release, in CounterPair), then the latched causes.
void RxEngine::publish() {
    std::uint32_t received = 0;
    for (std::uint32_t queues = loaded_; queues != 0; queues &= queues - 1) {
        const auto q = static_cast<unsigned>(std::countr_zero(queues));
        const Ring& ring = rings_[q];
        if (ring.filled == 0) {
            continue;
        }
        received |= bit(q);
        QueueState& state = chip_.rx[q];
        state.index.store(ring.index, std::memory_order_relaxed);
        if (chip_.reg(rxq_time_coal(q)) != 0 && state.counters.load().low == 0) {
            state.since_ns.store(now_ns(), std::memory_order_relaxed);
        }
        state.counters.update([&](CounterPair::Value value) {
            return CounterPair::Value{std::min(value.low + ring.filled, kRingMax),
                                      value.high - std::min(value.high, ring.filled)};
        });
    }
    const std::uint32_t gated = kIntrRxq.of(received & chip_.reg(kIntrEnable));
    if (gated != 0) {
        chip_.latch(kIntrOldCause, gated);
    }
    chip_.count(delta_);
}

}  // namespace crema::neta::model
