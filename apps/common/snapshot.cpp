// SPDX-License-Identifier: BSD-3-Clause
#include "apps/common/snapshot.h"

#include <algorithm>
#include <array>

#include <rte_mempool.h>

#include "lib/ebpf/maps/type_names.h"
#include "lib/ebpf/syscall/object_ids.h"
#include "lib/ebpf/syscall/object_info.h"
#include "lib/xdp/attach.h"

namespace crema::app {
namespace {

std::vector<std::pair<std::string, std::uint64_t>> xstats_of(std::uint16_t port_id) {
    std::vector<std::pair<std::string, std::uint64_t>> result;
    const int n = rte_eth_xstats_get(port_id, nullptr, 0);
    if (n <= 0) {
        return result;
    }
    const auto count = static_cast<unsigned>(n);
    std::vector<rte_eth_xstat> values(count);
    std::vector<rte_eth_xstat_name> names(count);
    if (rte_eth_xstats_get(port_id, values.data(), count) != n ||
        rte_eth_xstats_get_names(port_id, names.data(), count) != n) {
        return result;
    }
    for (const rte_eth_xstat& value : values) {
        result.emplace_back(names[value.id].name, value.value);
    }
    return result;
}

std::uint64_t named(const std::vector<std::pair<std::string, std::uint64_t>>& xstats,
                    std::string_view name) {
    for (const auto& [key, value] : xstats) {
        if (key == name) {
            return value;
        }
    }
    return 0;
}

template <typename... Args>
void line(std::string& out, fmt::format_string<Args...> text, Args&&... args) {
    fmt::format_to(std::back_inserter(out), text, std::forward<Args>(args)...);
    out += '\n';
}

void port_table(std::string& out, const PortSnapshot& port) {
    line(out, "port {} {} (XDP {}{}{}), link {}, MTU {}", port.port_id, port.name, port.mode,
         port.program.empty() ? "" : ": ", port.program, port.link_up ? "up" : "down", port.mtu);
    line(out, "  rx packets {:>12} bytes {:>14} missed {} errors {} nombuf {}",
         port.ethdev.ipackets, port.ethdev.ibytes, port.ethdev.imissed, port.ethdev.ierrors,
         port.ethdev.rx_nombuf);
    line(out, "  tx packets {:>12} bytes {:>14} errors {}", port.ethdev.opackets,
         port.ethdev.obytes, port.ethdev.oerrors);
    const xdp::VerdictCounters& xdp = port.verdicts;
    line(out,
         "  rx_xdp_pass {} drop {} tx {} tx_errors {} redirect {} redirect_errors {} "
         "aborted {}",
         xdp.pass, xdp.drop, xdp.tx, xdp.tx_errors, xdp.redirect, xdp.redirect_errors, xdp.aborted);
    line(out, "  tx_xdp_xmit {} errors {}; redirected here: refused {} program drop {} aborted {}",
         port.tx_xdp_xmit, port.tx_xdp_xmit_errors, port.redirect.refused,
         port.redirect.program_drop, port.redirect.program_aborted);
    if (port.mode == "generic") {
        line(out, "  generic: copied {} too_long {} no_page {}", port.generic.copied,
             port.generic.too_long, port.generic.no_page);
    }
}

}  // namespace

PortSnapshot snapshot_of_port(std::uint16_t port_id, const datapath::GenericPort* generic) {
    PortSnapshot port;
    port.port_id = port_id;
    port.ifindex = xdp::ifindex_of(port_id);
    std::array<char, RTE_ETH_NAME_MAX_LEN> name{};
    if (rte_eth_dev_get_name_by_port(port_id, name.data()) == 0) {
        port.name = name.data();
    }
    for (const xdp::ChainedProgram& each : xdp::attachment(port_id).programs) {
        port.programs.push_back({.id = each.program->id,
                                 .name = std::string(ebpf::full_name_of(each.program->program)),
                                 .priority = each.config.priority,
                                 .actions = ebpf::actions_text(each.config.actions)});
    }
    rte_eth_link link{};
    if (rte_eth_link_get_nowait(port_id, &link) == 0) {
        port.link_up = link.link_status == RTE_ETH_LINK_UP;
        port.link_mbps = link.link_speed;
    }
    (void)rte_eth_dev_get_mtu(port_id, &port.mtu);
    (void)rte_eth_stats_get(port_id, &port.ethdev);
    port.xstats = xstats_of(port_id);
    port.queues = xdp::queue_verdicts(port_id);
    port.verdicts = xdp::verdicts(port_id);
    port.redirect = redirect::device_counters(port_id);
    if (generic != nullptr) {
        port.mode = "generic";
        port.generic = generic->counters();
        port.tx_xdp_xmit = port.generic.tx_xdp_xmit;
        port.tx_xdp_xmit_errors = port.generic.tx_xdp_errors;
    } else {
        port.mode = "native";
        port.tx_xdp_xmit = named(port.xstats, "tx_xdp_xmit");
        port.tx_xdp_xmit_errors = named(port.xstats, "tx_xdp_xmit_errors");
    }
    return port;
}

std::vector<PoolSnapshot> snapshot_of_pools() {
    std::vector<PoolSnapshot> pools;
    rte_mempool_walk(
        [](rte_mempool* pool, void* arg) {
            if (page_pool::is_page_pool(pool)) {
                static_cast<std::vector<PoolSnapshot>*>(arg)->push_back(
                    {pool->name, page_pool::stats(pool)});
            }
        },
        &pools);
    return pools;
}

std::vector<LoadedSnapshot> snapshot_of_programs() {
    std::vector<LoadedSnapshot> all;
    for (const auto& program : ebpf::syscall::object_ids::living().programs) {
        LoadedSnapshot own{.id = program->id,
                           .name = std::string(ebpf::full_name_of(program->program)),
                           .tag = ebpf::syscall::tag_text(program->tag),
                           .runs = program->stats.runs(),
                           .run_ns = program->stats.ns(),
                           .map_ids = {},
                           .last_error = xdp::last_error_of(program->id)};
        for (const auto& map : program->program.maps) {
            own.map_ids.push_back(map->id());
        }
        all.push_back(std::move(own));
    }
    std::ranges::sort(all, {}, &LoadedSnapshot::id);
    return all;
}

std::vector<MapSnapshot> snapshot_of_maps() {
    std::vector<MapSnapshot> all;
    for (const auto& map : ebpf::syscall::object_ids::living().maps) {
        const ebpf::maps::MapSpec& spec = map->spec();
        all.push_back(
            {.id = map->id(),
             .name = spec.name,
             .type = std::string(ebpf::maps::type_name(static_cast<std::uint32_t>(spec.type))),
             .key_bytes = spec.key_size,
             .value_bytes = spec.value_size,
             .max_entries = spec.max_entries,
             .entries = redirect::entries_of(*map)});
    }
    std::ranges::sort(all, {}, &MapSnapshot::id);
    return all;
}

std::vector<RedirectSnapshot> snapshot_of_redirects() {
    constexpr std::array<const char*, redirect::kVias> kNames = {"nothing", "ifindex", "devmap",
                                                                 "devmap_hash", "cpumap"};
    std::vector<RedirectSnapshot> all;
    for (std::size_t via = 0; via < kNames.size(); ++via) {
        all.push_back({.via = kNames[via],
                       .errors = redirect::redirect_errors(static_cast<redirect::Via>(via))});
    }
    return all;
}

std::string to_table(const Snapshot& snapshot) {
    std::string out;
    line(out, "--- {} statistics after {:.1f} s", snapshot.type, snapshot.seconds);
    for (const PortSnapshot& port : snapshot.ports) {
        port_table(out, port);
    }
    for (const CpuSnapshot& cpu : snapshot.cpus) {
        const redirect::CpumapCounters& own = cpu.cpumap;
        if (own.received + own.enqueue_drops != 0) {
            line(out,
                 "cpumap CPU {}: received {} pass {} drop {} redirect {} redirect_errors {} "
                 "aborted {} enqueue_drops {}",
                 cpu.cpu, own.received, own.pass, own.drop, own.redirect, own.redirect_errors,
                 own.aborted, own.enqueue_drops);
        }
    }
    for (const WorkerSnapshot& worker : snapshot.workers) {
        const datapath::WorkerCounters& own = worker.counters;
        line(out, "worker lcore {} CPU {}: passed {} from cpumap {} forwarded {} tx dropped {}",
             worker.lcore, worker.cpu, own.received, own.from_cpus, own.forwarded, own.tx_dropped);
    }
    for (const PoolSnapshot& pool : snapshot.pools) {
        const page_pool::Stats& own = pool.stats;
        line(out,
             "page_pool {}: pages {} in flight {} alloc fast {} slow {} empty {} refill {} "
             "recycle cached {} cache_full {} ring {}",
             pool.name, own.pages, own.in_flight, own.alloc_fast, own.alloc_slow, own.alloc_empty,
             own.alloc_refill, own.recycle_cached, own.recycle_cache_full, own.recycle_ring);
    }
    if (snapshot.buffers_missing >= 0) {
        line(out, "buffers that did not come home: {}", snapshot.buffers_missing);
    }
    return out;
}

}  // namespace crema::app
