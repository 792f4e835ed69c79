// SPDX-License-Identifier: BSD-3-Clause
//
// The NETA block as data, part 1: register offsets and fields. The driver and the device model
// share these numbers and nothing else, so an error here is visible to neither of them: each
// group names the section of the hardware page (docs, "Marvell NETA Ethernet controller") it was
// taken from, and unit tests compare composed values with the page's examples.
// Offsets are bytes from the register base of one port. `Field` picks bit ranges, `kXxxYyy` of
// type u32 are single-bit masks. What no driver or model here touches is left out.
#pragma once

#include <cstdint>

namespace crema::neta {

/// A bit range of a 32-bit register or descriptor word.
struct Field {
    unsigned shift = 0;
    unsigned width = 32;

    [[nodiscard]] constexpr std::uint32_t max() const {
        return width >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << width) - 1;
    }

    [[nodiscard]] constexpr std::uint32_t mask() const { return max() << shift; }

    [[nodiscard]] constexpr std::uint32_t get(std::uint32_t word) const {
        return (word >> shift) & max();
    }

    /// The field holding `value` (cut to the field), all other bits 0.
    [[nodiscard]] constexpr std::uint32_t of(std::uint32_t value) const {
        return (value & max()) << shift;
    }

    /// `word` with the field replaced.
    [[nodiscard]] constexpr std::uint32_t set(std::uint32_t word, std::uint32_t value) const {
        return (word & ~mask()) | of(value);
    }
};

[[nodiscard]] constexpr std::uint32_t bit(unsigned n) {
    return std::uint32_t{1} << n;
}

// 1.1, 1.3, 4.2: sizes of the block.
inline constexpr std::uint32_t kRegionBytes = 0x4000;
inline constexpr unsigned kQueues = 8;              // RX queues and TX queues
inline constexpr std::uint32_t kUpdateMax = 255;    // per field and write of a status update
inline constexpr std::uint32_t kRingMax = 16383;    // 14-bit descriptor counts
inline constexpr std::uint32_t kRingAlign = 32;     // 1.4
inline constexpr std::uint32_t kMarvellHeader = 2;  // bytes in front of a received frame, 3.3
inline constexpr std::uint32_t kFcsBytes = 4;
inline constexpr std::uint32_t kMinFrame = 60;  // without FCS, 3.5

// 2.3.1 RX queue registers.
constexpr std::uint32_t rxq_config(unsigned q) {
    return 0x1400 + 4 * q;
}

constexpr std::uint32_t rxq_snoop(unsigned q) {
    return 0x1420 + 4 * q;
}

constexpr std::uint32_t rxq_base(unsigned q) {
    return 0x1480 + 4 * q;
}

constexpr std::uint32_t rxq_size(unsigned q) {
    return 0x14a0 + 4 * q;
}

constexpr std::uint32_t rxq_threshold(unsigned q) {
    return 0x14c0 + 4 * q;
}

constexpr std::uint32_t rxq_status(unsigned q) {
    return 0x14e0 + 4 * q;
}

constexpr std::uint32_t rxq_status_update(unsigned q) {
    return 0x1500 + 4 * q;
}

constexpr std::uint32_t rxq_index(unsigned q) {
    return 0x1520 + 4 * q;
}

inline constexpr std::uint32_t kRxqConfigHwBufAlloc = bit(0);
inline constexpr Field kRxqConfigShortPool{4, 2};
inline constexpr Field kRxqConfigLongPool{6, 2};
inline constexpr Field kRxqConfigPktOffset{8, 4};  // units of 8 bytes
inline constexpr Field kRxqSizeDescNum{0, 14};
inline constexpr Field kRxqSizeBufSize{19, 13};  // units of 8 bytes, includes PKT_OFFSET
inline constexpr Field kRxqThresholdOccupied{0, 14};
inline constexpr Field kRxqThresholdNonOccupied{16, 14};
inline constexpr Field kRxqStatusOccupied{0, 14};
inline constexpr Field kRxqStatusNonOccupied{16, 14};
inline constexpr Field kRxqUpdateProcessed{0, 8};
inline constexpr Field kRxqUpdateNew{16, 8};
inline constexpr Field kRxqIndexValue{0, 14};

// 2.3.2 Buffers of the buffer manager's pools, and RX DMA reset: bit 0 holds the engine, not
// self-clearing.
constexpr std::uint32_t pool_buf_size(unsigned pool) {
    return 0x1700 + 4 * pool;
}

inline constexpr std::uint32_t kPoolBufSizeMask = 0xfff8;  // bytes
inline constexpr std::uint32_t kRxReset = 0x1cc0;
inline constexpr std::uint32_t kResetHold = bit(0);

// 2.3.3 Unit registers.
inline constexpr std::uint32_t kPhyAddr = 0x2000;
inline constexpr std::uint32_t kSmi = 0x2004;
inline constexpr Field kSmiData{0, 16};
inline constexpr Field kSmiPhy{16, 5};
inline constexpr Field kSmiReg{21, 5};
inline constexpr std::uint32_t kSmiOpRead = bit(26);
inline constexpr std::uint32_t kSmiReadValid = bit(27);
inline constexpr std::uint32_t kSmiBusy = bit(28);
inline constexpr std::uint32_t kMbusRetry = 0x2010;
inline constexpr std::uint32_t kMbusRetryCycles = 0x20;  // the value every driver writes
inline constexpr std::uint32_t kUnitCause = 0x2080;
inline constexpr std::uint32_t kUnitMask = 0x2084;
inline constexpr std::uint32_t kUnitErrAddr = 0x2094;
inline constexpr std::uint32_t kUnitIntAddrErr = 0x2098;
inline constexpr Field kUnitIntAddrErrOffset{0, 9};
inline constexpr std::uint32_t kUnitCauseSummary = bit(0);
inline constexpr std::uint32_t kUnitCauseAddrViolation = bit(2);
inline constexpr std::uint32_t kUnitCauseNoWindow = bit(3);
inline constexpr std::uint32_t kUnitCauseSmiDone = bit(4);
inline constexpr std::uint32_t kUnitCauseCounterWrap = bit(5);
inline constexpr std::uint32_t kUnitCauseInternalAddr = bit(7);
inline constexpr std::uint32_t kUnitControl = 0x20b0;
inline constexpr std::uint32_t kUnitControlPhyPolling = bit(1);
inline constexpr std::uint32_t kUnitControlRamInitDone = bit(25);

// 2.3.12 Address windows.
inline constexpr unsigned kWindows = 6;
inline constexpr unsigned kWindowRemaps = 4;

constexpr std::uint32_t win_base(unsigned w) {
    return 0x2200 + 8 * w;
}

inline constexpr Field kWinBaseTarget{0, 4};
inline constexpr Field kWinBaseAttribute{8, 8};
inline constexpr std::uint32_t kTargetMemory = 0;

constexpr std::uint32_t win_size(unsigned w) {
    return 0x2204 + 8 * w;
}

constexpr std::uint32_t win_remap(unsigned w) {
    return 0x2280 + 4 * w;
}

inline constexpr std::uint32_t kBaseAddrEnable = 0x2290;  // bit w: 1 = disabled
inline constexpr std::uint32_t kAccessProtect = 0x2294;   // 2 bits per window: 0 none, 1 ro, 3 rw
inline constexpr std::uint32_t kWinSizeFull = 0xffff0000;
inline constexpr std::uint32_t kBaseAddrEnableWindow0 = 0x3e;
inline constexpr std::uint32_t kAccessProtectWindow0 = 0x3;
inline constexpr std::uint32_t kWindowAccessFull = 0x3;

// 2.3.4 Port configuration, filters, steering.
inline constexpr std::uint32_t kPortConfig = 0x2400;
inline constexpr std::uint32_t kPortConfigUpm = bit(0);
inline constexpr Field kPortConfigRxqDef{1, 3};
inline constexpr Field kPortConfigRxqArp{4, 3};
inline constexpr std::uint32_t kPortConfigRejectBcastOther = bit(7);
inline constexpr std::uint32_t kPortConfigRejectBcastIp = bit(8);
inline constexpr std::uint32_t kPortConfigRejectBcastArp = bit(9);
inline constexpr std::uint32_t kPortConfigTxNoErrSum = bit(12);
inline constexpr std::uint32_t kPortConfigTcpCapture = bit(14);
inline constexpr std::uint32_t kPortConfigUdpCapture = bit(15);
inline constexpr Field kPortConfigRxqTcp{16, 3};
inline constexpr Field kPortConfigRxqUdp{19, 3};
inline constexpr Field kPortConfigRxqBpdu{22, 3};
inline constexpr std::uint32_t kPortConfigRxCsumPseudo = bit(25);

/// Standard PORT_CONFIG with every class of frames to one queue.
constexpr std::uint32_t port_config_default(unsigned q) {
    return 0x02001000 + q * 0x00490012;
}

inline constexpr std::uint32_t kPortConfigExt = 0x2404;
inline constexpr std::uint32_t kPortConfigExtSpan = bit(1);
inline constexpr std::uint32_t kPortConfigExtTxCrcDisable = bit(3);
inline constexpr std::uint32_t kVlanEthertype = 0x2410;
inline constexpr std::uint32_t kMacLow = 0x2414;   // 15:8 byte 4, 7:0 byte 5
inline constexpr std::uint32_t kMacHigh = 0x2418;  // 31:24 byte 0 ... 7:0 byte 3
inline constexpr std::uint32_t kSdmaConfig = 0x241c;
inline constexpr std::uint32_t kSdmaConfigLittleEndian = 0x01000038;
inline constexpr std::uint32_t kSdmaConfigDescSwap = bit(6);

constexpr std::uint32_t dscp_to_rxq(unsigned n) {
    return 0x2420 + 4 * n;
}  // n 0-6

inline constexpr unsigned kDscpRegisters = 7;
inline constexpr std::uint32_t kVlanPrioToRxq = 0x2440;  // 3 bits per priority
inline constexpr std::uint32_t kMarvellHeaderReg = 0x2454;
inline constexpr std::uint32_t kMarvellHeaderEn = bit(0);
inline constexpr Field kMarvellHeaderDsa{10, 2};
inline constexpr std::uint32_t kRxMinFrame = 0x247c;
inline constexpr std::uint32_t kRxMinFrameDefault = 64;
inline constexpr std::uint32_t kTypePrio = 0x24bc;
inline constexpr std::uint32_t kTypePrioEn = bit(0);
inline constexpr std::uint32_t kTypePrioFirst = bit(1);
inline constexpr Field kTypePrioRxq{2, 3};
inline constexpr Field kTypePrioEthertype{5, 16};
inline constexpr std::uint32_t kTypePrioForceUni = bit(21);

// Filter tables: one byte per entry, four entries per register, lowest byte first.
inline constexpr std::uint32_t kDaSpecialMcast = 0x3400;
inline constexpr std::uint32_t kDaOtherMcast = 0x3500;
inline constexpr std::uint32_t kDaUnicast = 0x3600;
inline constexpr unsigned kDaMcastEntries = 256;
inline constexpr unsigned kDaUnicastEntries = 16;
inline constexpr Field kDaEntryPass{0, 1};
inline constexpr Field kDaEntryRxq{1, 3};

constexpr std::uint32_t da_entry_register(std::uint32_t table, unsigned entry) {
    return table + (entry & ~3U);
}

constexpr unsigned da_entry_shift(unsigned entry) {
    return 8 * (entry & 3U);
}

// 2.3.5 Port status and old serial control.
inline constexpr std::uint32_t kPortSerialCtrl0 = 0x243c;
inline constexpr Field kPortSerialCtrl0ForceFc{5, 2};
inline constexpr std::uint32_t kForceFcPause = 1;
inline constexpr std::uint32_t kPortStatus = 0x2444;
inline constexpr std::uint32_t kPortStatusTxInProgress = bit(0);
inline constexpr std::uint32_t kPortStatusTxFifoEmpty = bit(8);
inline constexpr std::uint32_t kPortStatusRxFifoEmpty = bit(16);
inline constexpr std::uint32_t kPortIntAddrErr = 0x2494;
inline constexpr Field kPortIntAddrErrOffset{0, 14};

// 2.3.6 GMAC.
inline constexpr std::uint32_t kGmacCtrl0 = 0x2c00;
inline constexpr std::uint32_t kGmacCtrl0PortEn = bit(0);
inline constexpr std::uint32_t kGmacCtrl0PortType = bit(1);
inline constexpr Field kGmacCtrl0MaxRxSize{2, 13};  // wire size (DA...FCS) / 2
inline constexpr std::uint32_t kGmacCtrl0MibEn = bit(15);
inline constexpr std::uint32_t kGmacCtrl1 = 0x2c04;
inline constexpr std::uint32_t kGmacCtrl1GmiiLoopback = bit(5);
inline constexpr std::uint32_t kGmacCtrl1PcsLoopback = bit(6);
inline constexpr std::uint32_t kGmacCtrl2 = 0x2c08;
inline constexpr std::uint32_t kGmacCtrl2InbandAn = bit(0);
inline constexpr std::uint32_t kGmacCtrl2PcsEn = bit(3);
inline constexpr std::uint32_t kGmacCtrl2RgmiiEn = bit(4);
inline constexpr std::uint32_t kGmacCtrl2PaddingDis = bit(5);
inline constexpr std::uint32_t kGmacCtrl2PortReset = bit(6);
inline constexpr std::uint32_t kGmacAutoneg = 0x2c0c;
inline constexpr std::uint32_t kGmacAutonegForceLinkDown = bit(0);
inline constexpr std::uint32_t kGmacAutonegForceLinkPass = bit(1);
inline constexpr std::uint32_t kGmacAutonegInbandAnEn = bit(2);
inline constexpr std::uint32_t kGmacAutonegBypassEn = bit(3);
inline constexpr std::uint32_t kGmacAutonegRestart = bit(4);
inline constexpr std::uint32_t kGmacAutonegMiiSpeed = bit(5);
inline constexpr std::uint32_t kGmacAutonegGmiiSpeed = bit(6);
inline constexpr std::uint32_t kGmacAutonegAnSpeedEn = bit(7);
inline constexpr std::uint32_t kGmacAutonegFlowCtrl = bit(8);
inline constexpr std::uint32_t kGmacAutonegAdvPause = bit(9);
inline constexpr std::uint32_t kGmacAutonegAnFlowCtrlEn = bit(11);
inline constexpr std::uint32_t kGmacAutonegFullDuplex = bit(12);
inline constexpr std::uint32_t kGmacAutonegAnDuplexEn = bit(13);
// Appendix A, "link up": cleared first, then set (1000 full, link forced).
inline constexpr std::uint32_t kGmacAutonegForceClear = 0x39f5;
inline constexpr std::uint32_t kGmacAutonegForce1000Full = 0x1042;
inline constexpr std::uint32_t kGmacStatus = 0x2c10;
inline constexpr std::uint32_t kGmacStatusLinkUp = bit(0);
inline constexpr std::uint32_t kGmacStatus1000 = bit(1);
inline constexpr std::uint32_t kGmacStatus100 = bit(2);
inline constexpr std::uint32_t kGmacStatusFullDuplex = bit(3);
inline constexpr std::uint32_t kGmacStatusRxFlowCtrl = bit(4);
inline constexpr std::uint32_t kGmacStatusTxFlowCtrl = bit(5);
inline constexpr std::uint32_t kGmacStatusRxPaused = bit(6);   // the partner asked for silence
inline constexpr std::uint32_t kGmacStatusTxPausing = bit(7);  // the partner was asked for silence
inline constexpr std::uint32_t kGmacStatusSyncFailed = bit(10);
inline constexpr std::uint32_t kGmacStatusAnComplete = bit(11);
inline constexpr std::uint32_t kGmacStatusSync = bit(14);
inline constexpr std::uint32_t kGmacCause = 0x2c20;
inline constexpr std::uint32_t kGmacMask = 0x2c24;
inline constexpr std::uint32_t kGmacCauseSummary = bit(0);
inline constexpr std::uint32_t kGmacCauseLinkChange = bit(1);
inline constexpr std::uint32_t kGmacCauseAnCompleted = bit(2);
inline constexpr std::uint32_t kGmacCauseSyncChange = bit(6);
inline constexpr std::uint32_t kGmacCauseMibWrap = bit(15);

/// Pause time that the MAC asks for, in units of 512 bit times: n = 0, 1, 2 for 10, 100, 1000 Mb/s.
constexpr std::uint32_t fc_timer(unsigned n) {
    return 0x2c58 + 4 * n;
}

inline constexpr unsigned kFcTimers = 8;
inline constexpr Field kFcTimerQuanta{0, 16};
inline constexpr std::uint32_t kGmacCtrl4 = 0x2c90;
inline constexpr std::uint32_t kClockDivider = 0x24f4;
inline constexpr std::uint32_t kClockDividerEnable = bit(31);
inline constexpr std::uint32_t kLpiCtrl1 = 0x2cc4;
inline constexpr std::uint32_t kLpiCounter = 0x2cd0;

// 2.3.7 Acceleration mode.
inline constexpr std::uint32_t kAccMode = 0x2500;
inline constexpr Field kAccModeMode{0, 3};
inline constexpr std::uint32_t kAccModeEnhanced = 1;
inline constexpr std::uint32_t kAccModeEnhancedBm = 2;

inline constexpr std::uint32_t kBmAddress = 0x2504;
inline constexpr std::uint32_t kBmAddressMask = 0xfffff800;

// 2.3.8 Interrupts.
constexpr std::uint32_t cpu_map(unsigned cpu) {
    return 0x2540 + 4 * cpu;
}

inline constexpr unsigned kCpuMaps = 4;
inline constexpr std::uint32_t kCpuMapAll = 0xffff;

constexpr std::uint32_t rxq_time_coal(unsigned q) {
    return 0x2580 + 4 * q;
}

inline constexpr Field kRxqTimeCoalCycles{0, 24};
inline constexpr std::uint32_t kIntrNewCause = 0x25a0;
inline constexpr std::uint32_t kIntrNewMask = 0x25a4;
inline constexpr std::uint32_t kIntrOldCause = 0x25a8;
inline constexpr std::uint32_t kIntrOldMask = 0x25ac;
inline constexpr Field kIntrTxq{0, 8};       // same layout in NEW and OLD
inline constexpr Field kIntrRxq{8, 8};       // NEW: threshold or time; OLD: packet received
inline constexpr Field kIntrRxqFree{16, 8};  // NEW: free below threshold; OLD: no descriptor
inline constexpr std::uint32_t kIntrOtherSummary = bit(29);
inline constexpr std::uint32_t kIntrTxErrorSummary = bit(30);
inline constexpr std::uint32_t kIntrMiscSummary = bit(31);
inline constexpr std::uint32_t kIntrMiscCause = 0x25b0;
inline constexpr std::uint32_t kIntrMiscMask = 0x25b4;
inline constexpr std::uint32_t kIntrMiscPhyStatus = bit(0);
inline constexpr std::uint32_t kIntrMiscLinkChange = bit(1);
inline constexpr std::uint32_t kIntrMiscInternalAddr = bit(7);
inline constexpr std::uint32_t kIntrMiscRxOverrun = bit(8);
inline constexpr std::uint32_t kIntrMiscRxCrc = bit(9);
inline constexpr std::uint32_t kIntrMiscRxTooLarge = bit(10);
inline constexpr std::uint32_t kIntrMiscTxUnderrun = bit(11);
inline constexpr std::uint32_t kIntrMiscPcsSync = bit(13);
inline constexpr Field kIntrMiscPoolEmpty{16, 4};  // buffer manager
inline constexpr Field kIntrMiscTxqError{24, 8};
inline constexpr std::uint32_t kIntrEnable = 0x25b8;
inline constexpr std::uint32_t kIntrEnableAll = 0xffff;
inline constexpr std::uint32_t kVersion = 0x25bc;

// 2.3.9 TX queue registers and queue commands.
inline constexpr std::uint32_t kTxqCmd = 0x2448;
inline constexpr std::uint32_t kRxqCmd = 0x2680;
inline constexpr Field kQueueCmdEnable{0, 8};
inline constexpr Field kQueueCmdDisable{8, 8};

constexpr std::uint32_t txq_base(unsigned q) {
    return 0x3c00 + 4 * q;
}

constexpr std::uint32_t txq_size(unsigned q) {
    return 0x3c20 + 4 * q;
}

constexpr std::uint32_t txq_status(unsigned q) {
    return 0x3c40 + 4 * q;
}

constexpr std::uint32_t txq_update(unsigned q) {
    return 0x3c60 + 4 * q;
}

constexpr std::uint32_t txq_index(unsigned q) {
    return 0x3c80 + 4 * q;
}

constexpr std::uint32_t txq_sent(unsigned q) {
    return 0x3ca0 + 4 * q;
}

inline constexpr Field kTxqSizeDescNum{0, 14};
inline constexpr Field kTxqSizeSentThr{16, 14};
inline constexpr Field kTxqStatusPending{0, 14};
inline constexpr Field kTxqStatusSent{16, 14};
inline constexpr Field kTxqUpdateAddPending{0, 8};
inline constexpr Field kTxqUpdateDecSent{16, 8};
inline constexpr Field kTxqIndexValue{0, 14};
inline constexpr std::uint32_t kTxReset = 0x3cf0;

/// Marvell header that a TX descriptor selects by n + 1.
constexpr std::uint32_t tx_marvell_header(unsigned n) {
    return 0x3d44 + 4 * n;
}  // n 0-14

// 2.3.10 MIB counters: cleared by reading; 64-bit pairs low word first.
inline constexpr std::uint32_t kMib = 0x3000;
inline constexpr std::uint32_t kMibBytes = 0x80;
inline constexpr std::uint32_t kMibGoodOctetsRx = kMib + 0x00;  // pair
inline constexpr std::uint32_t kMibBadOctetsRx = kMib + 0x08;
inline constexpr std::uint32_t kMibMacTxErr = kMib + 0x0c;
inline constexpr std::uint32_t kMibGoodFramesRx = kMib + 0x10;
inline constexpr std::uint32_t kMibBadFramesRx = kMib + 0x14;
inline constexpr std::uint32_t kMibBcastRx = kMib + 0x18;
inline constexpr std::uint32_t kMibMcastRx = kMib + 0x1c;
inline constexpr std::uint32_t kMibFrames64 = kMib + 0x20;
inline constexpr std::uint32_t kMibFrames65To127 = kMib + 0x24;
inline constexpr std::uint32_t kMibFrames128To255 = kMib + 0x28;
inline constexpr std::uint32_t kMibFrames256To511 = kMib + 0x2c;
inline constexpr std::uint32_t kMibFrames512To1023 = kMib + 0x30;
inline constexpr std::uint32_t kMibFrames1024ToMax = kMib + 0x34;
inline constexpr std::uint32_t kMibGoodOctetsTx = kMib + 0x38;  // pair
inline constexpr std::uint32_t kMibGoodFramesTx = kMib + 0x40;
inline constexpr std::uint32_t kMibExcessiveCollision = kMib + 0x44;
inline constexpr std::uint32_t kMibMcastTx = kMib + 0x48;
inline constexpr std::uint32_t kMibBcastTx = kMib + 0x4c;
inline constexpr std::uint32_t kMibUnrecMacCtrlRx = kMib + 0x50;
inline constexpr std::uint32_t kMibFcTx = kMib + 0x54;
inline constexpr std::uint32_t kMibGoodFcRx = kMib + 0x58;
inline constexpr std::uint32_t kMibBadFcRx = kMib + 0x5c;
inline constexpr std::uint32_t kMibUndersizeRx = kMib + 0x60;
inline constexpr std::uint32_t kMibFragmentsRx = kMib + 0x64;
inline constexpr std::uint32_t kMibOversizeRx = kMib + 0x68;
inline constexpr std::uint32_t kMibJabberRx = kMib + 0x6c;
inline constexpr std::uint32_t kMibMacRxErr = kMib + 0x70;
inline constexpr std::uint32_t kMibBadCrc = kMib + 0x74;
inline constexpr std::uint32_t kMibCollision = kMib + 0x78;
inline constexpr std::uint32_t kMibLateCollision = kMib + 0x7c;
inline constexpr std::uint32_t kRxDiscardCnt = 0x2484;
inline constexpr std::uint32_t kRxOverrunCnt = 0x2488;
inline constexpr std::uint32_t kTxBadFcsCnt = 0x3cc0;
inline constexpr std::uint32_t kTxDropCnt = 0x3cc4;

// 2.3.11 TX arbiter and shaper, and the old token registers that drivers still write.
inline constexpr std::uint32_t kTxCmd1 = 0x3e00;
inline constexpr std::uint32_t kTxFixedPrio = 0x3e04;
inline constexpr std::uint32_t kTxCmd1NoShaping = bit(0) | bit(3);
inline constexpr std::uint32_t kTxRefillClocks = 0x3e08;  // core cycles of the basic period
inline constexpr Field kTxRefillClocksCycles{0, 16};
inline constexpr std::uint32_t kTxRefillClocksMin = 16;
inline constexpr std::uint32_t kTxMtu = 0x3e0c;  // bits
inline constexpr std::uint32_t kTxMtuMax = 0x3ffff;
inline constexpr std::uint32_t kTxpRefill = 0x3e10;
inline constexpr std::uint32_t kTxpTokenSize = 0x3e14;
inline constexpr std::uint32_t kTxpTokens = 0x3e18;
inline constexpr Field kRefillTokens{0, 19};   // bits; of the port and of the queues
inline constexpr Field kRefillPeriod{20, 10};  // basic periods

constexpr std::uint32_t txq_refill(unsigned q) {
    return 0x3e20 + 4 * q;
}

constexpr std::uint32_t txq_token_size(unsigned q) {
    return 0x3e40 + 4 * q;
}

inline constexpr std::uint32_t kTxqTokenSizeMax = 0x7fffffff;

/// Current tokens (0x2700 is the old arbiter's).
constexpr std::uint32_t txq_tokens(unsigned q) {
    return 0x3e60 + 4 * q;
}

constexpr std::uint32_t txq_wrr(unsigned q) {
    return 0x3e80 + 4 * q;
}

inline constexpr Field kTxqWrrWeight{0, 8};  // units of 256 bytes
inline constexpr Field kTxqWrrCounter{8, 18};
inline constexpr std::uint32_t kTxqCmd1 = 0x24e4;

constexpr std::uint32_t txq_token_count(unsigned q) {
    return 0x2700 + 16 * q;
}

constexpr std::uint32_t txq_token_cfg(unsigned q) {
    return 0x2704 + 16 * q;
}

inline constexpr std::uint32_t kTxqTokenCountMax = 0x3fffffff;
inline constexpr std::uint32_t kTxqTokenCfgMax = 0x03ffffff;

}  // namespace crema::neta
