// SPDX-License-Identifier: BSD-3-Clause
//
// Statistics under the names people know: ethtool's of mvneta (MIB, XDP), page_pool's, DPDK's own.
// The chip's counters are 32 bits wide and cleared by reading: each look adds them up in 64 bits.
// Counters of the path have one writer each, so a reset remembers values instead of clearing them.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <rte_ethdev.h>
#include <rte_string_fns.h>

#include "drivers/net/neta/port.h"
#include "drivers/net/neta/secondary.h"
#include "lib/page_pool/page_pool.h"

namespace crema::neta_pmd {
namespace {

struct MibName {
    const char* name;
    std::uint32_t offset;
};

constexpr std::array kMibNames = {
    MibName{"good_octets_received", neta::kMibGoodOctetsRx},  // 64 bits, as "..._sent"
    MibName{"bad_octets_received", neta::kMibBadOctetsRx},
    MibName{"internal_mac_transmit_err", neta::kMibMacTxErr},
    MibName{"good_frames_received", neta::kMibGoodFramesRx},
    MibName{"bad_frames_received", neta::kMibBadFramesRx},
    MibName{"broadcast_frames_received", neta::kMibBcastRx},
    MibName{"multicast_frames_received", neta::kMibMcastRx},
    MibName{"frames_64_octets", neta::kMibFrames64},
    MibName{"frames_65_to_127_octets", neta::kMibFrames65To127},
    MibName{"frames_128_to_255_octets", neta::kMibFrames128To255},
    MibName{"frames_256_to_511_octets", neta::kMibFrames256To511},
    MibName{"frames_512_to_1023_octets", neta::kMibFrames512To1023},
    MibName{"frames_1024_to_max_octets", neta::kMibFrames1024ToMax},
    MibName{"good_octets_sent", neta::kMibGoodOctetsTx},
    MibName{"good_frames_sent", neta::kMibGoodFramesTx},
    MibName{"excessive_collision", neta::kMibExcessiveCollision},
    MibName{"multicast_frames_sent", neta::kMibMcastTx},
    MibName{"broadcast_frames_sent", neta::kMibBcastTx},
    MibName{"unrec_mac_control_received", neta::kMibUnrecMacCtrlRx},
    MibName{"fc_sent", neta::kMibFcTx},
    MibName{"good_fc_received", neta::kMibGoodFcRx},
    MibName{"bad_fc_received", neta::kMibBadFcRx},
    MibName{"undersize_received", neta::kMibUndersizeRx},
    MibName{"fragments_received", neta::kMibFragmentsRx},
    MibName{"oversize_received", neta::kMibOversizeRx},
    MibName{"jabber_received", neta::kMibJabberRx},
    MibName{"mac_receive_error", neta::kMibMacRxErr},
    MibName{"bad_crc_event", neta::kMibBadCrc},
    MibName{"collision", neta::kMibCollision},
    MibName{"late_collision", neta::kMibLateCollision},
};

constexpr std::array<const char*, kRxFaults> kFaultNames = {
    "rx_error_crc",      "rx_error_overrun",  "rx_error_too_long",
    "rx_error_resource", "rx_error_fragment", "rx_error_size"};

/// One line of the list. Gauges show a state and are not reset.
struct Value {
    const char* name;
    std::uint64_t value;
    bool gauge = false;
};

bool is_pair(std::uint32_t offset) {
    return offset == neta::kMibGoodOctetsRx || offset == neta::kMibGoodOctetsTx;
}

xdp::VerdictCounters sum_verdicts(const Port& port) {
    xdp::VerdictCounters sum;
    for (unsigned i = 0; i < kRxQueuesMax; ++i) {
        xdp::add_to(sum, port.hooks[i].counters);
    }
    return sum;
}

std::uint64_t minus(std::uint64_t all, std::uint64_t part) {
    return all > part ? all - part : 0;
}

void add_hardware(const Port& port, std::vector<Value>& list) {
    for (const MibName& entry : kMibNames) {
        const std::size_t word = (entry.offset - neta::kMib) / 4;
        list.push_back({entry.name, port.hardware.mib.at(word)});
    }
    list.push_back({"rx_discard", port.hardware.rx_discard});
    list.push_back({"rx_overrun", port.hardware.rx_overrun});
    list.push_back({"eee_wakeup_errors", port.hardware.eee_wakeup});
    list.push_back({"tx_bad_fcs", port.hardware.tx_bad_fcs});
    list.push_back({"tx_drop", port.hardware.tx_drop});
}

void add_receive(const Port& port, std::vector<Value>& list) {
    std::array<std::uint64_t, kRxFaults> faults{};
    std::uint64_t refill_short = 0;
    std::uint64_t late = 0;
    for (const RxCounters& queue : port.rx_counters) {
        refill_short += queue.refill_short.get();
        late += queue.late.get();
        for (std::size_t i = 0; i < kRxFaults; ++i) {
            faults.at(i) += queue.faults.at(i).get();
        }
    }
    list.push_back({"refill_error", refill_short});
    list.push_back({"rx_descriptor_late", late});
    for (std::size_t i = 0; i < kRxFaults; ++i) {
        list.push_back({kFaultNames.at(i), faults.at(i)});
    }
}

void add_xdp(const Port& port, std::vector<Value>& list) {
    const xdp::VerdictCounters verdicts = sum_verdicts(port);
    list.push_back({"rx_xdp_redirect", verdicts.redirect});
    list.push_back({"rx_xdp_redirect_errors", verdicts.redirect_errors});
    list.push_back({"rx_xdp_pass", verdicts.pass});
    list.push_back({"rx_xdp_drop", verdicts.drop});
    list.push_back({"rx_xdp_aborted", verdicts.aborted});
    list.push_back({"rx_xdp_tx", verdicts.tx});
    list.push_back({"rx_xdp_tx_errors", verdicts.tx_errors});
    std::uint64_t sent = 0;
    std::uint64_t refused = 0;
    for (std::size_t i = kAppTxQueues; i < port.tx_counters.size(); ++i) {
        sent += port.tx_counters.at(i).packets.get();
        refused += port.tx_counters.at(i).errors.get();
    }
    // What other ports sent through this one: all on the XDP queues, less what its own programs
    // sent back.
    list.push_back({"tx_xdp_xmit", minus(sent, verdicts.tx)});
    list.push_back({"tx_xdp_xmit_errors", minus(refused, verdicts.tx_errors)});
}

void add_transmit(const Port& port, std::vector<Value>& list) {
    std::uint64_t full = 0;
    std::uint64_t errors = 0;
    std::uint64_t lies = 0;
    std::uint64_t software_sums = 0;
    for (std::size_t i = 0; i < port.tx_counters.size(); ++i) {
        const TxCounters& queue = port.tx_counters.at(i);
        lies += queue.lies.get();
        software_sums += queue.software_sums.get();
        if (i < kAppTxQueues) {
            full += queue.full.get();
            errors += queue.errors.get();
        }
    }
    for (const RxCounters& queue : port.rx_counters) {
        lies += queue.lies.get();
    }
    list.push_back({"tx_refused", errors});
    list.push_back({"tx_ring_full", full});
    list.push_back({"tx_csum_software", software_sums});
    list.push_back({"device_count_errors", lies});
}

void add_page_pools(const Port& port, std::vector<Value>& list) {
    page_pool::Stats sum;
    for (const auto& queue : port.rx) {
        if (queue == nullptr || queue->pool == nullptr) {
            continue;
        }
        page_pool::add_to(sum, page_pool::stats(queue->pool));
    }
    list.push_back({"rx_pp_alloc_fast", sum.alloc_fast});
    list.push_back({"rx_pp_alloc_slow", sum.alloc_slow});
    list.push_back({"rx_pp_alloc_slow_ho", sum.alloc_slow_high_order});
    list.push_back({"rx_pp_alloc_empty", sum.alloc_empty});
    list.push_back({"rx_pp_alloc_refill", sum.alloc_refill});
    list.push_back({"rx_pp_alloc_waive", sum.alloc_waive});
    list.push_back({"rx_pp_recycle_cached", sum.recycle_cached});
    list.push_back({"rx_pp_recycle_cache_full", sum.recycle_cache_full});
    list.push_back({"rx_pp_recycle_ring", sum.recycle_ring});
    list.push_back({"rx_pp_recycle_ring_full", sum.recycle_ring_full});
    list.push_back({"rx_pp_recycle_released_ref", sum.recycle_released_ref});
    list.push_back({"rx_pp_pages", sum.pages, true});
    list.push_back({"rx_pp_in_flight", sum.in_flight, true});
}

std::vector<Value> collect(Port& port) {
    counters_collect_hardware(port);
    std::vector<Value> list;
    list.reserve(96);
    add_hardware(port, list);
    add_receive(port, list);
    add_xdp(port, list);
    add_transmit(port, list);
    add_page_pools(port, list);
    return list;
}

/// Everything since the port was opened, as ethdev counts it: frames the driver took from the ring
/// (a program may have dropped them since) and frames it put into one.
rte_eth_stats totals(Port& port) {
    counters_collect_hardware(port);
    rte_eth_stats sum{};
    sum.imissed = port.hardware.rx_discard + port.hardware.rx_overrun;
    for (std::size_t i = 0; i < kRxQueuesMax; ++i) {
        const RxCounters& queue = port.rx_counters.at(i);
        sum.q_ipackets[i] = queue.packets.get();
        sum.q_ibytes[i] = queue.bytes.get();
        sum.ipackets += sum.q_ipackets[i];
        sum.ibytes += sum.q_ibytes[i];
        sum.rx_nombuf += queue.refill_short.get();
        for (const OwnerCounter& fault : queue.faults) {
            sum.q_errors[i] += fault.get();
        }
        sum.ierrors += sum.q_errors[i];
    }
    for (std::size_t i = 0; i < port.tx_counters.size(); ++i) {
        const TxCounters& queue = port.tx_counters.at(i);
        sum.q_opackets[i] = queue.packets.get();
        sum.q_obytes[i] = queue.bytes.get();
        sum.opackets += sum.q_opackets[i];
        sum.obytes += sum.q_obytes[i];
        sum.oerrors += queue.errors.get();
    }
    return sum;
}

int stats_get(rte_eth_dev* ethdev, rte_eth_stats* stats) {
    const auto hold = answers_hold();  // of what a reset writes, here and below
    Port& port = port_of(ethdev);
    const rte_eth_stats now = totals(port);
    const rte_eth_stats& base = port.stats_base;
    stats->ipackets = now.ipackets - base.ipackets;
    stats->opackets = now.opackets - base.opackets;
    stats->ibytes = now.ibytes - base.ibytes;
    stats->obytes = now.obytes - base.obytes;
    stats->imissed = now.imissed - base.imissed;
    stats->ierrors = now.ierrors - base.ierrors;
    stats->oerrors = now.oerrors - base.oerrors;
    stats->rx_nombuf = now.rx_nombuf - base.rx_nombuf;
    for (std::size_t i = 0; i < neta::kQueues; ++i) {
        stats->q_ipackets[i] = now.q_ipackets[i] - base.q_ipackets[i];
        stats->q_opackets[i] = now.q_opackets[i] - base.q_opackets[i];
        stats->q_ibytes[i] = now.q_ibytes[i] - base.q_ibytes[i];
        stats->q_obytes[i] = now.q_obytes[i] - base.q_obytes[i];
        stats->q_errors[i] = now.q_errors[i] - base.q_errors[i];
    }
    return 0;
}

int stats_reset(rte_eth_dev* ethdev) {
    const auto hold = answers_hold();
    Port& port = port_of(ethdev);
    port.stats_base = totals(port);
    return 0;
}

int xstats_get(rte_eth_dev* ethdev, rte_eth_xstat* stats, unsigned room) {
    const auto hold = answers_hold();
    Port& port = port_of(ethdev);
    const std::vector<Value> list = collect(port);
    if (stats == nullptr || room < list.size()) {
        return static_cast<int>(list.size());
    }
    for (std::size_t i = 0; i < list.size(); ++i) {
        const std::uint64_t base =
            list[i].gauge || port.xstats_base.empty() ? 0 : port.xstats_base[i];
        stats[i] = {.id = i, .value = minus(list[i].value, base)};
    }
    return static_cast<int>(list.size());
}

int xstats_names(rte_eth_dev* ethdev, rte_eth_xstat_name* names, unsigned room) {
    const std::vector<Value> list = collect(port_of(ethdev));
    if (names == nullptr || room < list.size()) {
        return static_cast<int>(list.size());
    }
    for (std::size_t i = 0; i < list.size(); ++i) {
        rte_strscpy(static_cast<char*>(names[i].name), list[i].name, sizeof(names[i].name));
    }
    return static_cast<int>(list.size());
}

int xstats_reset(rte_eth_dev* ethdev) {
    const auto hold = answers_hold();
    Port& port = port_of(ethdev);
    port.xstats_base.clear();
    for (const Value& value : collect(port)) {
        port.xstats_base.push_back(value.value);
    }
    return stats_reset(ethdev);
}

}  // namespace

void counters_collect_hardware(Port& port) {
    const vfio::Registers& registers = port.registers();
    rte_spinlock_lock(&port.counters_lock);
    for (std::size_t word = 0; word < kMibWords; ++word) {
        const auto offset = static_cast<std::uint32_t>(neta::kMib + 4 * word);
        std::uint64_t count = registers.read(offset);
        if (is_pair(offset)) {  // low word first
            count |= std::uint64_t{registers.read(offset + 4)} << 32U;
        }
        port.hardware.mib.at(word) += count;
        word += is_pair(offset) ? 1 : 0;
    }
    port.hardware.rx_discard += registers.read(neta::kRxDiscardCnt);
    port.hardware.rx_overrun += registers.read(neta::kRxOverrunCnt);
    port.hardware.eee_wakeup += registers.read(neta::kLpiCounter);
    port.hardware.tx_bad_fcs += registers.read(neta::kTxBadFcsCnt);
    port.hardware.tx_drop += registers.read(neta::kTxDropCnt);
    rte_spinlock_unlock(&port.counters_lock);
}

void counters_add_ops(eth_dev_ops& ops) {
    ops.stats_get = stats_get;
    ops.stats_reset = stats_reset;
    ops.xstats_get = xstats_get;
    ops.xstats_get_names = xstats_names;
    ops.xstats_reset = xstats_reset;
}

}  // namespace crema::neta_pmd
