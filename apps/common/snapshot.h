// SPDX-License-Identifier: BSD-3-Clause
//
// All statistics of a data path at one moment, as plain data, and their two outer forms: a table
// for people, one JSON document per line for programs (schema: apps/testpmd/README.md). Names are
// the ecosystem's: ethtool's for XDP and page_pool, ethdev's for the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <rte_ethdev.h>

#include "lib/datapath/generic_port.h"
#include "lib/datapath/worker.h"
#include "lib/page_pool/page_pool.h"
#include "lib/redirect/counters.h"
#include "lib/redirect/cpu_poller.h"
#include "lib/redirect/entries.h"
#include "lib/xdp/event_log.h"
#include "lib/xdp/hook.h"

namespace crema::app {

/// A program on a port, and its place there.
struct ProgramSnapshot {
    std::uint32_t id = 0;
    std::string name;  // in full
    std::uint32_t priority = 0;
    std::string actions;  // "XDP_PASS,..."
};

struct PortSnapshot {
    xdp::VerdictCounters verdicts;
    std::uint16_t port_id = 0;
    std::uint16_t mtu = 0;
    std::uint32_t ifindex = 0;
    std::uint32_t link_mbps = 0;
    bool link_up = false;
    std::string name;
    std::string mode;                       // native, generic
    std::string program;                    // OBJECT:PROGRAM, ...; or empty
    std::vector<ProgramSnapshot> programs;  // in the order they run
    rte_eth_stats ethdev{};
    std::vector<xdp::VerdictCounters> queues;  // the same by RX queue
    std::uint64_t tx_xdp_xmit = 0;
    std::uint64_t tx_xdp_xmit_errors = 0;
    redirect::DeviceCounters redirect;
    datapath::GenericCounters generic;
    std::vector<std::pair<std::string, std::uint64_t>> xstats;
};

struct PoolSnapshot {
    std::string name;
    page_pool::Stats stats;
};

/// A loaded program. Runs and time are counted while somebody wants them (BPF_ENABLE_STATS).
struct LoadedSnapshot {
    std::uint32_t id = 0;
    std::string name;
    std::string tag;
    std::uint64_t runs = 0;
    std::uint64_t run_ns = 0;
    std::vector<std::uint32_t> map_ids;
    std::optional<xdp::LastError> last_error;
};

struct MapSnapshot {
    std::uint32_t id = 0;
    std::string name;
    std::string type;
    std::uint32_t key_bytes = 0;
    std::uint32_t value_bytes = 0;
    std::uint32_t max_entries = 0;
    std::vector<redirect::EntryStatistics> entries;  // of maps that redirect
};

/// Why frames that were redirected in one way reached no target.
struct RedirectSnapshot {
    std::string via;  // "ifindex", "devmap" ...; "nothing": the program asked for none
    redirect::RedirectErrors errors;
};

struct CpuSnapshot {
    std::uint32_t cpu = 0;
    redirect::CpumapCounters cpumap;
};

struct WorkerSnapshot {
    unsigned lcore = 0;
    std::uint32_t cpu = 0;
    datapath::WorkerCounters counters;
};

struct Snapshot {
    const char* type = "periodic";  // or "final"
    double seconds = 0;             // since forwarding began
    std::vector<PortSnapshot> ports;
    std::vector<WorkerSnapshot> workers;
    std::vector<CpuSnapshot> cpus;  // where a worker runs
    std::vector<PoolSnapshot> pools;
    std::vector<LoadedSnapshot> programs;
    std::vector<MapSnapshot> maps;
    std::vector<RedirectSnapshot> redirects;  // every way
    redirect::BroadcastCounters broadcast;
    std::int64_t buffers_missing = -1;  // final only: 0 when every buffer came home
};

/// What ethdev, lib/xdp and lib/redirect know of a port. generic: null when it is native.
[[nodiscard]] PortSnapshot snapshot_of_port(std::uint16_t port_id,
                                            const datapath::GenericPort* generic);

/// Every page_pool of the process.
[[nodiscard]] std::vector<PoolSnapshot> snapshot_of_pools();

/// Every program and map that is loaded.
[[nodiscard]] std::vector<LoadedSnapshot> snapshot_of_programs();
[[nodiscard]] std::vector<MapSnapshot> snapshot_of_maps();

/// What the whole process has redirected in vain.
[[nodiscard]] std::vector<RedirectSnapshot> snapshot_of_redirects();

/// One line, without the newline.
[[nodiscard]] std::string to_json(const Snapshot& snapshot);

[[nodiscard]] std::string to_table(const Snapshot& snapshot);

}  // namespace crema::app
