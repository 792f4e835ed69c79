// SPDX-License-Identifier: BSD-3-Clause
//
// The NETA block as data, part 2: RX and TX descriptors in enhanced mode, 32 bytes each, eight
// little-endian words (DESC_SWAP = 0, the only mode served here). There is no ownership bit:
// queue counters say who owns a descriptor.
// Source: hardware page 3.2 (RX), 3.5 (TX), 4.5 (poison).
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "lib/neta/registers.h"

namespace crema::neta {

struct RxDescriptor {
    std::uint32_t status;      // word 0, by hardware
    std::uint16_t pnc_info;    // word 1, by hardware
    std::uint16_t data_size;   // marvell header + frame + FCS, of the whole frame; 0 is never valid
    std::uint32_t buf_addr;    // word 2, by software; survives reception
    std::uint32_t pnc_flow;    // word 3, by hardware
    std::uint32_t cookie;      // word 4, by software; survives reception
    std::uint16_t prefetch;    // word 5, by hardware
    std::uint16_t csum_l4;     // word 5, by hardware
    std::uint32_t pnc_extra;   // word 6, by hardware
    std::uint32_t hw_command;  // word 7, by hardware
};

struct TxDescriptor {
    std::uint32_t command;     // word 0
    std::uint16_t csum_l4;     // word 1
    std::uint16_t data_size;   // bytes in this buffer, no Marvell header, no FCS
    std::uint32_t buf_addr;    // word 2, any alignment
    std::uint32_t hw_command;  // word 3, 0 by software
    std::uint32_t cookie[4];   // words 4-7, not read by hardware
};

inline constexpr std::size_t kDescriptorBytes = 32;
static_assert(sizeof(RxDescriptor) == kDescriptorBytes && std::is_trivial_v<RxDescriptor>);
static_assert(sizeof(TxDescriptor) == kDescriptorBytes && std::is_trivial_v<TxDescriptor>);
static_assert(offsetof(RxDescriptor, data_size) == 6 && offsetof(RxDescriptor, buf_addr) == 8);
static_assert(offsetof(RxDescriptor, cookie) == 16 && offsetof(RxDescriptor, hw_command) == 28);
static_assert(offsetof(TxDescriptor, data_size) == 6 && offsetof(TxDescriptor, buf_addr) == 8);
static_assert(offsetof(TxDescriptor, hw_command) == 12 && offsetof(TxDescriptor, cookie) == 16);

// 3.2 RX status word.
inline constexpr Field kRxBmPool{13, 2};
inline constexpr std::uint32_t kRxError = bit(16);
inline constexpr Field kRxErrorCode{17, 2};  // valid with kRxError
inline constexpr std::uint32_t kRxErrorCrc = 0;
inline constexpr std::uint32_t kRxErrorOverrun = 1;
inline constexpr std::uint32_t kRxErrorTooLong = 2;
inline constexpr std::uint32_t kRxErrorResource = 3;
inline constexpr std::uint32_t kRxVlan = bit(19);
inline constexpr std::uint32_t kRxBpdu = bit(20);
inline constexpr Field kRxL4Type{21, 2};
inline constexpr std::uint32_t kRxL4Tcp = 0;  // also 0: look at the L3 type first
inline constexpr std::uint32_t kRxL4Udp = 1;
inline constexpr std::uint32_t kRxL4Other = 2;
inline constexpr std::uint32_t kRxEthernet2 = bit(23);
inline constexpr Field kRxL3Type{24, 2};
inline constexpr std::uint32_t kRxL3None = 0;
inline constexpr std::uint32_t kRxL3Ipv4Bad = 1;
inline constexpr std::uint32_t kRxL3Ipv6 = 2;
inline constexpr std::uint32_t kRxL3Ipv4Good = 3;
inline constexpr std::uint32_t kRxLast = bit(26);
inline constexpr std::uint32_t kRxFirst = bit(27);
inline constexpr std::uint32_t kRxUnknownDa = bit(28);
inline constexpr std::uint32_t kRxL4CsumOk = bit(30);
inline constexpr std::uint32_t kRxIpv4Frag = bit(31);

// 3.5 TX command word.
inline constexpr Field kTxL3Offset{0, 7};
inline constexpr Field kTxIpHlen{8, 5};  // words
inline constexpr Field kTxBmPool{13, 2};
inline constexpr std::uint32_t kTxL4Udp = bit(16);
inline constexpr std::uint32_t kTxL3Ipv6 = bit(17);
inline constexpr std::uint32_t kTxIpCsum = bit(18);
inline constexpr std::uint32_t kTxZeroPad = bit(19);
inline constexpr std::uint32_t kTxLast = bit(20);
inline constexpr std::uint32_t kTxFirst = bit(21);
inline constexpr std::uint32_t kTxBmRelease = bit(22);
inline constexpr Field kTxPktOffset{23, 7};
inline constexpr Field kTxL4Csum{30, 2};
inline constexpr std::uint32_t kTxL4CsumPartial = 0;
inline constexpr std::uint32_t kTxL4CsumFull = 1;
inline constexpr std::uint32_t kTxL4CsumNone = 2;
inline constexpr std::uint32_t kTxL4CsumReserved = 3;

/// One buffer, one frame, no checksum: the command of nearly every frame.
inline constexpr std::uint32_t kTxSingle =
    kTxL4Csum.of(kTxL4CsumNone) | kTxFirst | kTxLast | kTxZeroPad;
static_assert(kTxSingle == 0x80380000);

// 3.5 TX word 3, written back on errors when PORT_CONFIG.TX_NO_ERR_SUM = 0.
inline constexpr std::uint32_t kTxHwError = bit(0);
inline constexpr Field kTxHwErrorCode{1, 2};
inline constexpr std::uint32_t kTxHwErrorUnderrun = 1;
inline constexpr Field kTxHwMarvellHeader{4, 4};  // by software: 0 none, n + 1: TX_MH register n

}  // namespace crema::neta
