// SPDX-License-Identifier: BSD-3-Clause
//
// The NETA block as data, part 3: the buffer manager of Armada XP and 38x, one unit beside the
// ports. It has a register block of its own and a window through which CPUs take and give buffers.
// Source: hardware page 6.
#pragma once

#include "lib/neta/registers.h"

namespace crema::neta {

inline constexpr unsigned kBmPools = 4;
inline constexpr std::uint32_t kBmRegionBytes = 0x100;
inline constexpr std::uint32_t kBmRingAlign = 32;

// 6.2 Registers, offsets from the unit's base.
inline constexpr std::uint32_t kBmConfig = 0x00;
inline constexpr Field kBmConfigBurst{17, 2};  // 0 to 3: 32, 24, 16, 8 pointers
inline constexpr std::uint32_t kBmConfigEmptyLimit = bit(19);
inline constexpr std::uint32_t kBmCommand = 0x04;
inline constexpr std::uint32_t kBmCommandStart = bit(0);
inline constexpr std::uint32_t kBmCommandStop = bit(1);
inline constexpr std::uint32_t kBmCommandPause = bit(2);
inline constexpr Field kBmCommandStatus{4, 2};
inline constexpr std::uint32_t kBmIdle = 0;
inline constexpr std::uint32_t kBmActive = 1;
inline constexpr std::uint32_t kBmPaused = 2;

/// Pools 0 and 1, 2 and 3 share a register: targets of the memory that their rings lie in.
constexpr std::uint32_t bm_xbar(unsigned pool) {
    return 0x08 + 4 * (pool / 2);
}

constexpr Field bm_xbar_target(unsigned pool) {
    return {16 * (pool % 2), 4};
}

constexpr std::uint32_t bm_pool_base(unsigned pool) {
    return 0x10 + 16 * pool;
}

constexpr std::uint32_t bm_pool_read(unsigned pool) {
    return 0x14 + 16 * pool;
}

constexpr std::uint32_t bm_pool_write(unsigned pool) {
    return 0x18 + 16 * pool;
}

constexpr std::uint32_t bm_pool_size(unsigned pool) {
    return 0x1c + 16 * pool;
}

inline constexpr std::uint32_t kBmPoolEnable = bit(0);  // of the base; 31:2 are the address
inline constexpr Field kBmPointerSet{2, 14};            // entries; as byte offset 15:2
inline constexpr Field kBmPointerGet{18, 14};
inline constexpr Field kBmPoolEntries{0, 14};
inline constexpr std::uint32_t kBmCause = 0x50;
inline constexpr std::uint32_t kBmMask = 0x54;

constexpr std::uint32_t bm_cause_free_failed(unsigned pool) {
    return bit(6 * pool);
}

constexpr std::uint32_t bm_cause_alloc_failed(unsigned pool) {
    return bit(6 * pool + 1);
}

constexpr std::uint32_t bm_cause_empty(unsigned pool) {
    return bit(6 * pool + 2);
}

constexpr std::uint32_t bm_cause_full(unsigned pool) {
    return bit(6 * pool + 3);
}

inline constexpr std::uint32_t kBmCauseStopped = bit(29);
inline constexpr std::uint32_t kBmCausePaused = bit(30);
inline constexpr std::uint32_t kBmCauseSummary = bit(31);

// 6.1, 6.3: the pointer window, and the port's window that leads to it.
inline constexpr std::uint32_t kTargetBufferManager = 0x0c;
inline constexpr std::uint32_t kAttributeBufferManager = 0x04;

constexpr std::uint32_t bm_pointer(unsigned pool) {
    return pool << 8U;
}

}  // namespace crema::neta
