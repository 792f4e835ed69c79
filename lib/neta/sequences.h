// SPDX-License-Identifier: BSD-3-Clause
//
// Sequences on the registers of a port that need nothing else: take-over of a port in any state
// (hardware page 5.2), rest (5.5), frame size (2.3.11), link (5.6). For the driver and for tools
// that test a device. All wait where the chip needs time, and none is for the packet path.
//
// The interface mode is left as the boot firmware or the board set it (5.6, last paragraph): the
// MAC is only taken out of reset and its link is forced.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "lib/vfio/registers.h"

namespace crema::neta {

/// Polls until (register & mask) == want and returns the register; nothing when it was not, the
/// last time after `patience`.
std::optional<std::uint32_t> read_until(const vfio::Registers& registers,
                                        std::uint32_t offset,
                                        std::uint32_t mask,
                                        std::uint32_t want,
                                        std::chrono::microseconds patience);

/// As read_until(), for 100 ms.
bool wait_for(const vfio::Registers& registers,
              std::uint32_t offset,
              std::uint32_t mask,
              std::uint32_t want);

/// 5.5 steps 1-4: queues disabled, FIFO empty and transmitter idle. False when one of them did not
/// come to rest.
bool quiet_queues(const vfio::Registers& registers);

void disable_mac(const vfio::Registers& registers);

/// Queue counters and indexes start again, queues are off; configuration stays.
void reset_dma(const vfio::Registers& registers);

void silence_interrupts(const vfio::Registers& registers);

/// Tokens for frames of this size, so that nothing is shaped.
void open_shaper(const vfio::Registers& registers, std::uint32_t frame_bytes);

/// Link forced up, with or without pause frames, at 10, 100 or 1000 Mb/s; or down.
void force_link(const vfio::Registers& registers,
                bool up,
                bool pause,
                std::uint32_t mbps = 1000,
                bool full_duplex = true);

/// What becomes of the address windows (2.3.12): one over all of memory, as the 3700 has it, or
/// those that whoever had the port before left, as the older chips need it: a window for each DRAM
/// chip, with target and attribute of a bus that only its own driver knows.
enum class Windows : std::uint8_t { open, keep };

/// Is there a window through which the port may read and write?
bool any_window_open(const vfio::Registers& registers);

/// Memory reachable, everything else that drivers before may have set as at power-on, link forced
/// down, MAC out of reset, queues off. Counters that reading clears are left.
void take_over(const vfio::Registers& registers, Windows windows = Windows::open);

}  // namespace crema::neta
