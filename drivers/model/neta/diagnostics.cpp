// SPDX-License-Identifier: BSD-3-Clause
//
// See diagnostics.h: the words for each kind.
#include "drivers/model/neta/diagnostics.h"

#include "lib/base/log.h"

namespace crema::neta::model {
namespace {

const char* text_of(Diagnostic kind) {
    switch (kind) {
        case Diagnostic::rx_overcommitted:
            return "free + occupied descriptors exceed the ring, RX queue";
        case Diagnostic::rx_processed_excess:
            return "more descriptors processed than occupied, RX queue";
        case Diagnostic::rx_buffer_too_small:
            return "buffer size below packet offset + 66, RX queue";
        case Diagnostic::tx_overcommitted:
            return "pending + sent descriptors exceed the ring, TX queue";
        case Diagnostic::tx_dec_sent_excess:
            return "more sent descriptors released than sent, TX queue";
        case Diagnostic::tx_frame_without_first:
            return "frame without FIRST, TX queue";
        case Diagnostic::tx_frame_restarted:
            return "FIRST inside a frame, TX queue";
        case Diagnostic::tx_frame_unusable:
            return "frame empty, too long or with offsets outside of it, TX queue";
        case Diagnostic::tx_checksum_limit:
            return "frame too long for checksum insertion, bytes";
        case Diagnostic::counter_overflow:
            return "descriptor counter would wrap, queue";
        case Diagnostic::ring_misaligned:
            return "ring not 32-byte aligned, address";
        case Diagnostic::ring_unconfigured:
            return "use of a queue without a ring, queue";
        case Diagnostic::doorbell_disabled:
            return "doorbell for a disabled TX queue";
        case Diagnostic::dma_unmapped:
            return "DMA to memory that is not mapped, address";
        case Diagnostic::dma_rights:
            return "DMA against the rights of the mapping, address";
        case Diagnostic::dma_no_window:
            return "DMA outside the address windows or against their rights, address";
        case Diagnostic::update_reserved_bits:
            return "reserved bits set in a status update, value";
        case Diagnostic::running_reconfigured:
            return "ring registers of an enabled queue changed, offset";
        case Diagnostic::write_in_reset:
            return "ring registers written while DMA is held in reset, offset";
        case Diagnostic::mode_with_link:
            return "interface mode changed while the link was not forced down, offset";
        case Diagnostic::unsupported_mode:
            return "mode that is not modelled (ACC_MODE, swapping, switch tags, buffer manager), "
                   "value";
        case Diagnostic::unknown_register:
            return "access to an offset without a register, offset";
        case Diagnostic::kinds:
            break;
    }
    return "?";
}

}  // namespace

void Diagnostics::report(Diagnostic kind, std::uint32_t detail) {
    auto& count = counts_[static_cast<std::size_t>(kind)];
    if (count.fetch_add(1, std::memory_order_relaxed) == 0) {
        log::warning("{}: driver error: {} {:#x} (said once; the device counts the rest)",
                     instance_, text_of(kind), detail);
    }
}

std::uint64_t Diagnostics::total() const {
    std::uint64_t sum = 0;
    for (const auto& count : counts_) {
        sum += count.load(std::memory_order_relaxed);
    }
    return sum;
}

}  // namespace crema::neta::model
