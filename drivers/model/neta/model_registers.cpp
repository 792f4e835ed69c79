// SPDX-License-Identifier: BSD-3-Clause
//
// Register accesses and their side effects. Status reads and doorbells of the queues take no lock
// (they are what a driver does per burst); every other write stops the engines for its duration,
// so that no engine sees half a change.
// Source: hardware page 2.2, 2.3, 4, appendix B point 1.
#include <algorithm>
#include <limits>

#include "drivers/model/neta/flow_control.h"
#include "drivers/model/neta/gmac.h"
#include "drivers/model/neta/interrupts.h"
#include "drivers/model/neta/model.h"
#include "drivers/model/neta/register_map.h"

namespace crema::neta::model {
namespace {

// A read of RXQ_STATUS brings the queue up to this many frames and no further: frames that the
// driver has not asked for stay on the wire, as if they had not arrived yet.
constexpr std::uint32_t kInlineBurst = RxEngine::kBurst;
constexpr std::uint32_t kNoLimit = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t kUpdateReserved =
    ~(kRxqUpdateProcessed.mask() | kRxqUpdateNew.mask());  // TX: same layout

unsigned queue_of(std::uint32_t offset) {
    return (offset / 4) % kQueues;
}

/// UNIT_CAUSE and GMAC_CAUSE: bit 0 says that the mask behind it lets one of the others through.
std::uint32_t with_summary(const Chip& chip, std::uint32_t offset) {
    const std::uint32_t cause = chip.reg(offset);
    return cause | ((cause & chip.reg(offset + 4)) != 0 ? bit(0) : 0);
}

void note_no_register(Chip& chip, std::uint32_t offset) {
    chip.diagnostics.report(Diagnostic::unknown_register, offset);
    chip.set_reg(kUnitIntAddrErr, kUnitIntAddrErrOffset.of(offset));
    chip.set_reg(kPortIntAddrErr, kPortIntAddrErrOffset.of(offset));
    chip.latch(kUnitCause, kUnitCauseInternalAddr);
    chip.latch(kIntrMiscCause, kIntrMiscInternalAddr);
}

}  // namespace

std::uint32_t NetaModel::read_fn(void* self, std::uint32_t offset) {
    return static_cast<NetaModel*>(self)->read(offset);
}

void NetaModel::write_fn(void* self, std::uint32_t offset, std::uint32_t value) {
    static_cast<NetaModel*>(self)->write(offset, value);
}

std::uint32_t NetaModel::read(std::uint32_t offset) {
    switch (register_kind(offset)) {
        case RegisterKind::rxq_status:
            poll_rx(queue_of(offset));
            return chip_.rx[queue_of(offset)].counters.word();
        case RegisterKind::rxq_index:
            return chip_.rx[queue_of(offset)].index.load(std::memory_order_relaxed);
        case RegisterKind::txq_status:
            resume_tx();
            return chip_.tx[queue_of(offset)].counters.word();
        case RegisterKind::txq_sent:
            return chip_.tx[queue_of(offset)].counters.word() & kTxqStatusSent.mask();
        case RegisterKind::txq_index:
            return chip_.tx[queue_of(offset)].index.load(std::memory_order_relaxed);
        case RegisterKind::counter:
            return chip_.mib.read_clear(offset);
        case RegisterKind::special:
            return read_special(offset);
        case RegisterKind::interrupt:
            return read_interrupt(offset);
        case RegisterKind::storage:
        case RegisterKind::read_only:
            return chip_.reg(offset);
        case RegisterKind::clear_by_zero:
            return with_summary(chip_, offset);
        case RegisterKind::none:
            note_no_register(chip_, offset);
            return 0;
        case RegisterKind::zero:
        case RegisterKind::rxq_update:
        case RegisterKind::txq_update:
            break;
    }
    return 0;
}

std::uint32_t NetaModel::read_special(std::uint32_t offset) {
    switch (offset) {
        case kPortStatus:
            return kPortStatusTxFifoEmpty | kPortStatusRxFifoEmpty;  // 10.17: idle at once
        case kRxqCmd:
        case kTxqCmd:
            return kQueueCmdEnable.get(chip_.reg(offset));
        case kGmacStatus: {
            // The wire may have changed since; its carrier is the engine's to ask for.
            lock_.lock();
            follow_link();
            const std::uint32_t status =
                gmac_status(chip_, wire_->link()) | flow_control_status(chip_, now_ns());
            release();
            return status;
        }
        default:
            return chip_.reg(offset);
    }
}

std::uint32_t NetaModel::read_interrupt(std::uint32_t offset) {
    if (offset == kIntrNewCause || offset == kIntrOldCause || offset == kIntrMiscCause) {
        lock_.lock();
        follow_link();
        if (!engine_.threaded) {
            rx_.run(active_wire(), kInlineBurst);
        }
        release();
    }
    return read_interrupt_register(chip_, caller_cpu(), offset);
}

void NetaModel::write(std::uint32_t offset, std::uint32_t value) {
    switch (register_kind(offset)) {
        case RegisterKind::rxq_update:
            update_rx(queue_of(offset), value);
            return;
        case RegisterKind::txq_update:
            update_tx(queue_of(offset), value);
            return;
        case RegisterKind::storage:
        case RegisterKind::special:
        case RegisterKind::clear_by_zero:
        case RegisterKind::interrupt:
            write_control(offset, value);
            return;
        case RegisterKind::none:
            note_no_register(chip_, offset);
            return;
        case RegisterKind::zero:
        case RegisterKind::read_only:
        case RegisterKind::counter:
        case RegisterKind::rxq_status:
        case RegisterKind::rxq_index:
        case RegisterKind::txq_status:
        case RegisterKind::txq_index:
        case RegisterKind::txq_sent:
            return;
    }
}

void NetaModel::update_rx(unsigned queue, std::uint32_t value) {
    const std::uint32_t processed = kRxqUpdateProcessed.get(value);
    const std::uint32_t fresh = kRxqUpdateNew.get(value);
    if ((value & kUpdateReserved) != 0) {
        chip_.diagnostics.report(Diagnostic::update_reserved_bits, value);
    }
    QueueState& state = chip_.rx[queue];
    bool excess = false;
    bool overflow = false;
    const auto now = state.counters.update([&](CounterPair::Value pair) {
        excess = processed > pair.low;
        overflow = pair.high + fresh > kRingMax;
        return CounterPair::Value{pair.low - std::min(processed, pair.low),
                                  std::min(pair.high + fresh, kRingMax)};
    });
    if (excess) {
        chip_.diagnostics.report(Diagnostic::rx_processed_excess, queue);
    }
    if (overflow) {
        chip_.diagnostics.report(Diagnostic::counter_overflow, queue);
    }
    const std::uint32_t size = kRxqSizeDescNum.get(chip_.reg(rxq_size(queue)));
    if (size == 0 && fresh != 0) {
        chip_.diagnostics.report(Diagnostic::ring_unconfigured, queue);
    } else if (now.low + now.high > size) {
        chip_.diagnostics.report(Diagnostic::rx_overcommitted, queue);
    }
    if (processed != 0 && now.low != 0 && chip_.reg(rxq_time_coal(queue)) != 0) {
        state.since_ns.store(now_ns(), std::memory_order_relaxed);
    }
}

void NetaModel::update_tx(unsigned queue, std::uint32_t value) {
    const std::uint32_t added = kTxqUpdateAddPending.get(value);
    const std::uint32_t released = kTxqUpdateDecSent.get(value);
    if ((value & kUpdateReserved) != 0) {
        chip_.diagnostics.report(Diagnostic::update_reserved_bits, value);
    }
    bool excess = false;
    bool overflow = false;
    const auto now = chip_.tx[queue].counters.update([&](CounterPair::Value pair) {
        excess = released > pair.high;
        overflow = pair.low + added > kRingMax;
        return CounterPair::Value{std::min(pair.low + added, kRingMax),
                                  pair.high - std::min(released, pair.high)};
    });
    if (excess) {
        chip_.diagnostics.report(Diagnostic::tx_dec_sent_excess, queue);
    }
    if (overflow) {
        chip_.diagnostics.report(Diagnostic::counter_overflow, queue);
    }
    if (added == 0) {
        return;
    }
    const std::uint32_t size = kTxqSizeDescNum.get(chip_.reg(txq_size(queue)));
    if (size == 0) {
        chip_.diagnostics.report(Diagnostic::ring_unconfigured, queue);
    } else if (now.low + now.high > size) {
        chip_.diagnostics.report(Diagnostic::tx_overcommitted, queue);
    }
    if ((chip_.reg(kTxqCmd) & bit(queue)) == 0) {
        chip_.diagnostics.report(Diagnostic::doorbell_disabled, queue);
    }
    if (!engine_.threaded) {
        tick_cache();
        lock_.kick();
        if (lock_.try_lock()) {
            release();
        }
    }
}

// Gives the lock back and serves the doorbells that found it taken (or are ours).
void NetaModel::release() {
    for (;;) {
        if (lock_.kicked()) {
            lock_.take_kick();
            follow_link();
            tx_.run(active_wire(), kNoLimit);
        }
        show_line();
        lock_.unlock();
        if (engine_.threaded || !lock_.kicked() || !lock_.try_lock()) {
            return;
        }
    }
}

// What a pause or a lack of tokens held back goes when the driver looks whether it went.
void NetaModel::resume_tx() {
    if (!engine_.threaded && tx_.held_until_ns() != 0 && lock_.try_lock()) {
        lock_.kick();
        release();
    }
}

void NetaModel::poll_rx(unsigned queue) {
    if (engine_.threaded) {
        return;
    }
    const std::uint32_t occupied = chip_.rx[queue].counters.load().low;
    if ((occupied >= kInlineBurst && !chip_.faults.active()) || !lock_.try_lock()) {
        return;
    }
    rx_.settle(false);
    follow_link();
    tick_cache();
    rx_.run(active_wire(), kInlineBurst - std::min(occupied, kInlineBurst));
    tick_cache();
    if (tx_.held_until_ns() != 0) {
        lock_.kick();
    }
    release();
}

void NetaModel::write_control(std::uint32_t offset, std::uint32_t value) {
    lock_.lock();
    switch (register_kind(offset)) {
        case RegisterKind::clear_by_zero:
            chip_.regs[offset / 4].fetch_and(value, std::memory_order_relaxed);
            break;
        case RegisterKind::interrupt:
            write_interrupt_register(chip_, caller_cpu(), offset, value);
            chip_.faults.line_armed();
            if (watching_.load(std::memory_order_relaxed)) {
                wake_watcher();
            }
            break;
        case RegisterKind::special:
            write_special(offset, value);
            break;
        default:
            chip_.set_reg(offset, value);
            break;
    }
    // Queue enable, link or port change: pending descriptors may go now.
    if (!engine_.threaded) {
        lock_.kick();
    }
    release();
}

void NetaModel::write_special(std::uint32_t offset, std::uint32_t value) {
    switch (offset) {
        case kRxqCmd:
        case kTxqCmd:
            write_queue_command(offset, value);
            return;
        case kRxReset:
        case kTxReset:
            chip_.set_reg(offset, value & kResetHold);
            if ((value & kResetHold) != 0) {
                rx_.settle(true);
                chip_.set_reg(offset == kRxReset ? kRxqCmd : kTxqCmd, 0);
                for (QueueState& state : offset == kRxReset ? chip_.rx : chip_.tx) {
                    state.counters.reset();
                    state.index.store(0, std::memory_order_relaxed);
                }
                if (cache_ != nullptr) {
                    cache_->forget();  // from here on the memory may get another use
                }
            }
            return;
        case kSmi:
            serve_smi(chip_, value, wire_->link());
            return;
        case kUnitControl:
            chip_.set_reg(offset, value | kUnitControlRamInitDone);
            return;
        case kGmacCtrl0:
        case kGmacCtrl1:
        case kGmacCtrl2:
        case kGmacAutoneg:
            write_gmac(offset, value);
            return;
        case kPortStatus:
        case kGmacStatus:
            return;
        default:
            write_ring(offset, value);
            return;
    }
}

void NetaModel::write_queue_command(std::uint32_t offset, std::uint32_t value) {
    const std::uint32_t enable = kQueueCmdEnable.get(value);
    const std::uint32_t disable = kQueueCmdDisable.get(value);
    const std::uint32_t state = (kQueueCmdEnable.get(chip_.reg(offset)) | enable) & ~disable;
    for (unsigned q = 0; q < kQueues; ++q) {
        const std::uint32_t size = chip_.reg(offset == kRxqCmd ? rxq_size(q) : txq_size(q));
        if ((enable & ~disable & bit(q)) != 0 && kRxqSizeDescNum.get(size) == 0) {
            chip_.diagnostics.report(Diagnostic::ring_unconfigured, q);
        }
    }
    chip_.set_reg(offset, state);
    if (offset == kRxqCmd && disable != 0) {
        rx_.settle(true);  // idle means that all of it is in memory
    }
}

void NetaModel::write_gmac(std::uint32_t offset, std::uint32_t value) {
    const bool was_enabled = (chip_.reg(kGmacCtrl0) & kGmacCtrl0PortEn) != 0;
    check_mode_change(chip_, offset, value);
    if (offset == kGmacAutoneg) {
        write_autoneg(chip_, value, wire_->link());
    } else {
        chip_.set_reg(offset, offset == kGmacCtrl2 ? value & ~kGmacCtrl2PortReset : value);
    }
    follow_link();
    Wire& wire = active_wire();
    if (!was_enabled && (chip_.reg(kGmacCtrl0) & kGmacCtrl0PortEn) != 0 && !wire.patient()) {
        // What was sent to a port that was off is gone. Bounded: a busy wire never runs dry.
        std::array<WireFrame, RxEngine::kBurst> late;
        for (unsigned burst = 0; burst < 1024 && wire.receive(late) != 0; ++burst) {
        }
    }
}

void NetaModel::write_ring(std::uint32_t offset, std::uint32_t value) {
    const bool rx = offset < kRxReset;
    const unsigned q = queue_of(offset);
    if (chip_.reg(offset) != value && (chip_.reg(rx ? kRxqCmd : kTxqCmd) & bit(q)) != 0) {
        chip_.diagnostics.report(Diagnostic::running_reconfigured, offset);
    }
    if ((chip_.reg(rx ? kRxReset : kTxReset) & kResetHold) != 0) {
        chip_.diagnostics.report(Diagnostic::write_in_reset, offset);
    }
    chip_.set_reg(offset, value);
}

}  // namespace crema::neta::model
