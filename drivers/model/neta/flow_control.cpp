// SPDX-License-Identifier: BSD-3-Clause
//
// See flow_control.h.
#include "drivers/model/neta/flow_control.h"

#include <algorithm>

namespace crema::neta::model {
namespace {

constexpr std::array<std::uint8_t, 6> kPauseAddress{0x01, 0x80, 0xc2, 0, 0, 0x01};
constexpr std::array<std::uint8_t, 4> kTypeAndOpcode{0x88, 0x08, 0x00, 0x01};
constexpr std::int64_t kBitsOfQuantum = 512;

/// Which FC_TIMER; also 10 to the power of it are 10 Mb/s.
unsigned speed_number(const Chip& chip) {
    const std::uint32_t status = chip.link_status.load(std::memory_order_relaxed);
    return (status & kGmacStatus1000) != 0 ? 2 : (status & kGmacStatus100) != 0 ? 1 : 0;
}

std::int64_t ns_of_quanta(const Chip& chip, std::uint32_t quanta) {
    constexpr std::array<std::int64_t, 3> kNsOfBit{100, 10, 1};
    return kBitsOfQuantum * kNsOfBit[speed_number(chip)] * quanta;
}

}  // namespace

std::uint32_t flow_control_status(const Chip& chip, std::int64_t now) {
    const bool paused = now < chip.paused_until_ns.load(std::memory_order_relaxed);
    const bool pausing = now < chip.pausing_until_ns.load(std::memory_order_relaxed);
    return (paused ? kGmacStatusRxPaused : 0) | (pausing ? kGmacStatusTxPausing : 0);
}

void obey_pause(Chip& chip, std::uint32_t quanta) {
    if ((chip.link_status.load(std::memory_order_relaxed) & kGmacStatusRxFlowCtrl) != 0) {
        const std::int64_t until = quanta == 0 ? 0 : now_ns() + ns_of_quanta(chip, quanta);
        chip.paused_until_ns.store(until, std::memory_order_relaxed);
    }
}

bool PauseSender::wanted() const {
    if (kPortSerialCtrl0ForceFc.get(chip_.reg(kPortSerialCtrl0)) == kForceFcPause) {
        return true;
    }
    const std::uint32_t enabled = kQueueCmdEnable.get(chip_.reg(kRxqCmd));
    for (unsigned q = 0; q < kQueues; ++q) {
        const std::uint32_t least = kRxqThresholdNonOccupied.get(chip_.reg(rxq_threshold(q)));
        if ((enabled & bit(q)) != 0 && kRxqSizeDescNum.get(chip_.reg(rxq_size(q))) != 0 &&
            chip_.rx[q].counters.load().high < std::max(least, 1U)) {
            return true;
        }
    }
    return false;
}

void PauseSender::send(Wire& wire, MibDelta& delta, std::uint32_t quanta) {
    const std::uint32_t high = chip_.reg(kMacHigh);
    const std::uint32_t low = chip_.reg(kMacLow);
    std::copy(kPauseAddress.begin(), kPauseAddress.end(), frame_.begin());
    for (unsigned i = 0; i < 4; ++i) {
        frame_[6 + i] = static_cast<std::uint8_t>(high >> (24 - 8 * i));
    }
    frame_[10] = static_cast<std::uint8_t>(low >> 8U);
    frame_[11] = static_cast<std::uint8_t>(low);
    std::copy(kTypeAndOpcode.begin(), kTypeAndOpcode.end(), frame_.begin() + 12);
    frame_[16] = static_cast<std::uint8_t>(quanta >> 8U);
    frame_[17] = static_cast<std::uint8_t>(quanta);
    const WireFrame frame{frame_.data(), kMinFrame, false, nullptr};
    wire.send({&frame, 1});
    delta.add(mib_index(kMibFcTx));
}

bool PauseSender::look(Wire& wire, MibDelta& delta) {
    const bool enabled =
        (chip_.link_status.load(std::memory_order_relaxed) & kGmacStatusTxFlowCtrl) != 0;
    const std::int64_t until = chip_.pausing_until_ns.load(std::memory_order_relaxed);
    if (!enabled && until == 0) [[likely]] {
        return false;
    }
    const std::int64_t now = now_ns();
    if (enabled && wanted()) {
        const std::uint32_t quanta = kFcTimerQuanta.get(chip_.reg(fc_timer(speed_number(chip_))));
        const std::int64_t time = ns_of_quanta(chip_, quanta);
        if (until - now > time / 2) {
            return false;
        }
        chip_.pausing_until_ns.store(now + time, std::memory_order_relaxed);
        send(wire, delta, quanta);
        return true;
    }
    chip_.pausing_until_ns.store(0, std::memory_order_relaxed);
    if (!enabled || until <= now) {
        return false;
    }
    send(wire, delta, 0);
    return true;
}

}  // namespace crema::neta::model
