// SPDX-License-Identifier: BSD-3-Clause
//
// What a driver did that hardware would not forgive: counted by kind, and said once per kind and
// device. The model goes on in the most harmless way; tests demand that all counts stay 0.
// Source: hardware page, appendix B point 5.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

namespace crema::neta::model {

enum class Diagnostic : std::uint8_t {
    rx_overcommitted,     // FREE + OCC above the ring size
    rx_processed_excess,  // PROCESSED above OCC
    rx_buffer_too_small,  // BUF_SIZE below PKT_OFFSET + 66
    tx_overcommitted,     // PENDING + SENT above the ring size
    tx_dec_sent_excess,   // DEC_SENT above SENT
    tx_frame_without_first,
    tx_frame_restarted,  // FIRST inside a frame
    tx_frame_unusable,   // empty, too long, or checksum fields outside the frame
    tx_checksum_limit,   // longer than hardware sums; sent without
    counter_overflow,    // a 14-bit counter would have wrapped
    ring_misaligned,
    ring_unconfigured,  // doorbell or enable with ring size 0
    doorbell_disabled,  // TX doorbell for a disabled queue
    dma_unmapped,       // memory that was not mapped for the device
    dma_rights,         // memory that was mapped for the other direction only
    dma_no_window,      // outside every address window, or without access right
    update_reserved_bits,
    running_reconfigured,  // ring registers of an enabled queue written
    write_in_reset,        // ring registers written while the DMA engine was held in reset
    mode_with_link,        // a mode bit changed while the link was not forced down
    unsupported_mode,  // ACC_MODE, byte swapping, switch tags, a buffer manager that is not there
    unknown_register,
    kinds
};

class Diagnostics {
  public:
    explicit Diagnostics(std::string instance) : instance_(std::move(instance)) {}

    /// Counts one; the first of its kind also becomes a warning line. `detail`: the offending
    /// number (queue, address, offset).
    void report(Diagnostic kind, std::uint32_t detail);

    [[nodiscard]] std::uint64_t count(Diagnostic kind) const {
        return counts_[static_cast<std::size_t>(kind)].load(std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t total() const;

  private:
    std::string instance_;
    std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Diagnostic::kinds)> counts_{};
};

}  // namespace crema::neta::model
