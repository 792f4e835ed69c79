// SPDX-License-Identifier: BSD-3-Clause
//
// The JSON form of a snapshot; the only file that sees the JSON library, which may throw (only when
// out of memory here: nothing is parsed).
#include <nlohmann/json.hpp>

#include "apps/common/snapshot.h"
#include "lib/xdp/event_text.h"

namespace crema::app {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
Json list(const std::vector<T>& items, Json (*to)(const T&)) {
    Json array = Json::array();
    for (const T& item : items) {
        array.push_back(to(item));
    }
    return array;
}

Json program_json(const ProgramSnapshot& program) {
    return {{"id", program.id},
            {"name", program.name},
            {"prio", program.priority},
            {"chain_call_actions", program.actions}};
}

Json xdp_json(const PortSnapshot& port) {
    const xdp::VerdictCounters& own = port.verdicts;
    return {{"mode", port.mode},
            {"program", port.program.empty() ? Json(nullptr) : Json(port.program)},
            {"programs", list(port.programs, program_json)},
            {"rx_xdp_pass", own.pass},
            {"rx_xdp_drop", own.drop},
            {"rx_xdp_tx", own.tx},
            {"rx_xdp_tx_errors", own.tx_errors},
            {"rx_xdp_redirect", own.redirect},
            {"rx_xdp_redirect_errors", own.redirect_errors},
            {"rx_xdp_aborted", own.aborted},
            {"tx_xdp_xmit", port.tx_xdp_xmit},
            {"tx_xdp_xmit_errors", port.tx_xdp_xmit_errors}};
}

Json queue_json(const xdp::VerdictCounters& own) {
    return {{"rx_xdp_pass", own.pass},
            {"rx_xdp_drop", own.drop},
            {"rx_xdp_tx", own.tx},
            {"rx_xdp_tx_errors", own.tx_errors},
            {"rx_xdp_redirect", own.redirect},
            {"rx_xdp_redirect_errors", own.redirect_errors},
            {"rx_xdp_aborted", own.aborted}};
}

Json port_json(const PortSnapshot& port) {
    Json json = {{"port", port.port_id},
                 {"name", port.name},
                 {"ifindex", port.ifindex},
                 {"link", {{"up", port.link_up}, {"speed_mbps", port.link_mbps}}},
                 {"mtu", port.mtu},
                 {"ethdev",
                  {{"ipackets", port.ethdev.ipackets},
                   {"opackets", port.ethdev.opackets},
                   {"ibytes", port.ethdev.ibytes},
                   {"obytes", port.ethdev.obytes},
                   {"imissed", port.ethdev.imissed},
                   {"ierrors", port.ethdev.ierrors},
                   {"oerrors", port.ethdev.oerrors},
                   {"rx_nombuf", port.ethdev.rx_nombuf}}},
                 {"xdp", xdp_json(port)},
                 {"redirect",
                  {{"refused", port.redirect.refused},
                   {"program_drop", port.redirect.program_drop},
                   {"program_aborted", port.redirect.program_aborted},
                   {"broadcast_copies", port.redirect.broadcast_copies}}}};
    if (port.mode == "generic") {
        json["generic"] = {{"copied", port.generic.copied},
                           {"too_long", port.generic.too_long},
                           {"no_page", port.generic.no_page}};
    }
    json["queues"] = list(port.queues, queue_json);
    Json& xstats = json["xstats"] = Json::object();
    for (const auto& [name, value] : port.xstats) {
        xstats[name] = value;
    }
    return json;
}

Json pool_json(const PoolSnapshot& pool) {
    const page_pool::Stats& own = pool.stats;
    return {{"name", pool.name},
            {"pages", own.pages},
            {"in_flight", own.in_flight},
            {"rx_pp_alloc_fast", own.alloc_fast},
            {"rx_pp_alloc_slow", own.alloc_slow},
            {"rx_pp_alloc_slow_ho", own.alloc_slow_high_order},
            {"rx_pp_alloc_empty", own.alloc_empty},
            {"rx_pp_alloc_refill", own.alloc_refill},
            {"rx_pp_alloc_waive", own.alloc_waive},
            {"rx_pp_recycle_cached", own.recycle_cached},
            {"rx_pp_recycle_cache_full", own.recycle_cache_full},
            {"rx_pp_recycle_ring", own.recycle_ring},
            {"rx_pp_recycle_ring_full", own.recycle_ring_full},
            {"rx_pp_recycle_released_ref", own.recycle_released_ref}};
}

Json cpu_json(const CpuSnapshot& cpu) {
    return {{"cpu", cpu.cpu},
            {"received", cpu.cpumap.received},
            {"pass", cpu.cpumap.pass},
            {"drop", cpu.cpumap.drop},
            {"aborted", cpu.cpumap.aborted},
            {"redirect", cpu.cpumap.redirect},
            {"redirect_errors", cpu.cpumap.redirect_errors},
            {"enqueue_drops", cpu.cpumap.enqueue_drops}};
}

Json worker_json(const WorkerSnapshot& worker) {
    return {{"lcore", worker.lcore},
            {"cpu", worker.cpu},
            {"received", worker.counters.received},
            {"from_cpumap", worker.counters.from_cpus},
            {"forwarded", worker.counters.forwarded},
            {"tx_dropped", worker.counters.tx_dropped},
            {"rounds", worker.counters.rounds},
            {"idle_rounds", worker.counters.idle_rounds},
            {"interrupts", worker.counters.interrupts}};
}

Json error_json(const xdp::LastError& last) {
    const xdp::Event& event = last.event;
    return {{"what", xdp::name_of(event.kind)},
            {"text", xdp::text_of(event, {})},
            {"act", event.act},
            {"err", event.err},
            {"ifindex", event.ifindex},
            {"queue", event.queue},
            {"unix_ns", last.unix_ns}};
}

Json loaded_json(const LoadedSnapshot& program) {
    return {{"id", program.id},
            {"name", program.name},
            {"tag", program.tag},
            {"run_cnt", program.runs},
            {"run_time_ns", program.run_ns},
            {"map_ids", program.map_ids},
            {"last_error", program.last_error ? error_json(*program.last_error) : Json(nullptr)}};
}

Json entry_json(const redirect::EntryStatistics& entry, bool is_cpumap) {
    Json json = {{"key", entry.key},
                 {is_cpumap ? "cpu" : "ifindex", entry.to},
                 {"program_id", entry.program_id},
                 {"packets", entry.packets},
                 {"drops", entry.drops}};
    if (is_cpumap) {
        json["queue_size"] = entry.queue_size;
        json["received"] = entry.received.received;
        json["pass"] = entry.received.pass;
        json["drop"] = entry.received.drop;
        json["aborted"] = entry.received.aborted;
        json["redirect"] = entry.received.redirect;
        json["redirect_errors"] = entry.received.redirect_errors;
    }
    return json;
}

Json redirect_json(const RedirectSnapshot& redirect) {
    return {{"via", redirect.via},
            {"no_target", redirect.errors.no_target},
            {"no_port", redirect.errors.no_port},
            {"down", redirect.errors.down},
            {"too_long", redirect.errors.too_long},
            {"no_headroom", redirect.errors.no_headroom},
            {"no_memory", redirect.errors.no_memory},
            {"later", redirect.errors.later}};
}

Json map_json(const MapSnapshot& map) {
    Json entries = Json::array();
    for (const redirect::EntryStatistics& entry : map.entries) {
        entries.push_back(entry_json(entry, map.type == "cpumap"));
    }
    return {{"id", map.id},
            {"name", map.name},
            {"type", map.type},
            {"key_bytes", map.key_bytes},
            {"value_bytes", map.value_bytes},
            {"max_entries", map.max_entries},
            {"entries", std::move(entries)}};
}

}  // namespace

std::string to_json(const Snapshot& snapshot) {
    Json json = {{"type", snapshot.type}, {"seconds", snapshot.seconds}};
    json["ports"] = list(snapshot.ports, port_json);
    json["workers"] = list(snapshot.workers, worker_json);
    json["cpumap"] = list(snapshot.cpus, cpu_json);
    json["page_pools"] = list(snapshot.pools, pool_json);
    json["programs"] = list(snapshot.programs, loaded_json);
    json["maps"] = list(snapshot.maps, map_json);
    json["redirect_errors"] = list(snapshot.redirects, redirect_json);
    json["broadcast"] = {{"frames", snapshot.broadcast.frames},
                         {"to_nobody", snapshot.broadcast.to_nobody},
                         {"copies", snapshot.broadcast.copies},
                         {"later", snapshot.broadcast.later}};
    if (snapshot.buffers_missing >= 0) {
        json["buffers_missing"] = snapshot.buffers_missing;
    }
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace crema::app
