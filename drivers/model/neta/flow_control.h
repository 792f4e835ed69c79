// SPDX-License-Identifier: BSD-3-Clause
//
// Pause frames (802.3 annex 31B) of the MAC, both ways, on links whose GMAC_STATUS says so.
// What a partner asks for holds the transmitter, for as many units of 512 bit times as it says. The
// partner is asked for silence while a running RX queue has fewer free descriptors than its
// threshold says (at least one), or while software forces it; again when half of the time is over;
// and told when it is over. When hardware asks, is not documented: the page names its FIFO filling
// up, which descriptors that are there keep empty. The MAC's own frames wait for nobody.
// Source: hardware page 2.3.5, 2.3.6 (FC_TIMER), 2.3.13, 4.3.
#pragma once

#include <array>
#include <cstdint>

#include "drivers/model/neta/chip.h"
#include "drivers/model/neta/wires/wire.h"

namespace crema::neta::model {

/// Bits 6 and 7 of GMAC_STATUS.
[[nodiscard]] std::uint32_t flow_control_status(const Chip& chip, std::int64_t now);

/// A good pause frame has come.
void obey_pause(Chip& chip, std::uint32_t quanta);

/// The partner's wish holds at this moment. Forgets one that is over; engine lock held.
[[nodiscard]] inline bool transmit_paused(Chip& chip) {
    const auto until = chip.paused_until_ns.load(std::memory_order_relaxed);
    if (until == 0) [[likely]] {
        return false;
    }
    if (now_ns() < until) {
        return true;
    }
    chip.paused_until_ns.store(0, std::memory_order_relaxed);
    return false;
}

class PauseSender {
  public:
    explicit PauseSender(Chip& chip) : chip_(chip) {}

    /// After each burst of a port that receives. True: `delta` counts a frame that was sent.
    bool look(Wire& wire, MibDelta& delta);

  private:
    [[nodiscard]] bool wanted() const;
    void send(Wire& wire, MibDelta& delta, std::uint32_t quanta);

    Chip& chip_;
    std::array<std::uint8_t, kMinFrame> frame_{};
};

}  // namespace crema::neta::model
