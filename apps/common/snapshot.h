// SPDX-License-Identifier: BSD-3-Clause
//
// All statistics of a data path at one moment, as plain data, and their two outer forms: a table
// for people, one JSON document per line for programs (schema: apps/testpmd/README.md). Names are
// the ecosystem's: ethtool's for XDP and page_pool, ethdev's for the rest.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <rte_ethdev.h>

#include "lib/datapath/generic_port.h"
#include "lib/datapath/worker.h"
#include "lib/page_pool/page_pool.h"
#include "lib/redirect/counters.h"
#include "lib/redirect/cpu_poller.h"
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
    std::string name;
    std::string mode;                       // native, generic
    std::string program;                    // OBJECT:PROGRAM, ...; or empty
    std::vector<ProgramSnapshot> programs;  // in the order they run
    bool link_up = false;
    std::uint32_t link_mbps = 0;
    std::uint16_t mtu = 0;
    rte_eth_stats ethdev{};
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
    std::int64_t buffers_missing = -1;  // final only: 0 when every buffer came home
};

/// What ethdev, lib/xdp and lib/redirect know of a port. generic: null when it is native.
[[nodiscard]] PortSnapshot snapshot_of_port(std::uint16_t port_id,
                                            const datapath::GenericPort* generic);

/// Every page_pool of the process.
[[nodiscard]] std::vector<PoolSnapshot> snapshot_of_pools();

/// One line, without the newline.
[[nodiscard]] std::string to_json(const Snapshot& snapshot);

[[nodiscard]] std::string to_table(const Snapshot& snapshot);

}  // namespace crema::app
