// SPDX-License-Identifier: BSD-3-Clause
//
// Endpoints of DPDK's telemetry socket. Each answers on a thread of its own, from counters that any
// thread may read. A list endpoint names things, the same endpoint with a parameter tells of one.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <rte_mempool.h>
#include <rte_telemetry.h>

#include "lib/ebpf/maps/type_names.h"
#include "lib/ebpf/program/run_config.h"
#include "lib/ebpf/syscall/object_ids.h"
#include "lib/ebpf/syscall/object_info.h"
#include "lib/page_pool/page_pool.h"
#include "lib/redirect/counters.h"
#include "lib/redirect/cpu_poller.h"
#include "lib/redirect/entries.h"
#include "lib/xdp/attach.h"
#include "lib/xdp/event_log.h"
#include "lib/xdp/event_text.h"
#include "lib/xdp/port_info.h"

namespace crema::telemetry {
namespace {

using ebpf::syscall::object_ids::living;

/// The parameter as a number; none: there is no parameter, or it is none.
std::optional<std::uint32_t> number_of(const char* parameter) {
    std::uint32_t number = 0;
    if (parameter == nullptr) {
        return std::nullopt;
    }
    const char* const end = parameter + std::strlen(parameter);
    const auto [stop, error] = std::from_chars(parameter, end, number);
    return error == std::errc{} && stop == end && stop != parameter ? std::optional(number)
                                                                    : std::nullopt;
}

bool has_parameter(const char* parameter) {
    return parameter != nullptr && *parameter != '\0';
}

/// An array of numbers, as far as there is room.
void list_numbers(rte_tel_data* data, const std::vector<std::uint64_t>& numbers) {
    rte_tel_data_start_array(data, RTE_TEL_U64_VAL);
    for (const std::uint64_t number : numbers) {
        if (rte_tel_data_add_array_u64(data, number) != 0) {
            return;
        }
    }
}

using Data = std::unique_ptr<rte_tel_data, decltype(&rte_tel_data_free)>;

/// A part of another answer, which takes it.
Data part() {
    return {rte_tel_data_alloc(), rte_tel_data_free};
}

void put(rte_tel_data* data, const char* name, std::uint64_t value) {
    (void)rte_tel_data_add_dict_u64(data, name, value);
}

void put(rte_tel_data* data, const char* name, const std::string& value) {
    (void)rte_tel_data_add_dict_string(data, name, value.c_str());
}

void put(rte_tel_data* data, const char* name, Data value) {
    if (value != nullptr && rte_tel_data_add_dict_container(data, name, value.get(), 0) == 0) {
        (void)value.release();
    }
}

void put_verdicts(rte_tel_data* data, const xdp::VerdictCounters& own) {
    put(data, "rx_xdp_pass", own.pass);
    put(data, "rx_xdp_drop", own.drop);
    put(data, "rx_xdp_tx", own.tx);
    put(data, "rx_xdp_tx_errors", own.tx_errors);
    put(data, "rx_xdp_redirect", own.redirect);
    put(data, "rx_xdp_redirect_errors", own.redirect_errors);
    put(data, "rx_xdp_aborted", own.aborted);
}

std::vector<std::uint64_t> port_ids() {
    std::vector<std::uint64_t> ids;
    for (const auto& port : xdp::list_ports()) {
        ids.push_back(xdp::port_id_of(port.ifindex));
    }
    return ids;
}

int on_ports(const char* /*command*/, const char* parameter, rte_tel_data* data) {
    if (!has_parameter(parameter)) {
        list_numbers(data, port_ids());
        return 0;
    }
    const auto id = number_of(parameter);
    for (const auto& port : xdp::list_ports()) {
        if (!id || xdp::port_id_of(port.ifindex) != *id) {
            continue;
        }
        rte_tel_data_start_dict(data);
        put(data, "name", port.name);
        put(data, "ifindex", port.ifindex);
        put(data, "mtu", port.mtu);
        put(data, "up", port.is_up ? 1 : 0);
        put(data, "carrier", port.has_carrier ? 1 : 0);
        put(data, "rx_queues", port.rx_queues);
        put(data, "tx_queues", port.tx_queues);
        return 0;
    }
    return -EINVAL;
}

int on_xdp(const char* /*command*/, const char* parameter, rte_tel_data* data) {
    if (!has_parameter(parameter)) {
        list_numbers(data, port_ids());
        return 0;
    }
    const auto id = number_of(parameter);
    if (!id || *id >= xdp::kPortsMax ||
        xdp::port_by_ifindex(xdp::ifindex_of(static_cast<std::uint16_t>(*id))) == nullptr) {
        return -EINVAL;
    }
    const auto port_id = static_cast<std::uint16_t>(*id);
    rte_tel_data_start_dict(data);
    if (Data programs = part(); programs != nullptr) {
        std::vector<std::uint64_t> ids;
        for (const auto& program : xdp::all_attached(port_id)) {
            ids.push_back(program->id);
        }
        list_numbers(programs.get(), ids);
        put(data, "programs", std::move(programs));
    }
    put_verdicts(data, xdp::verdicts(port_id));
    const redirect::DeviceCounters device = redirect::device_counters(port_id);
    put(data, "redirect_refused", device.refused);
    put(data, "redirect_program_drop", device.program_drop);
    put(data, "redirect_program_aborted", device.program_aborted);
    std::size_t number = 0;
    for (const xdp::VerdictCounters& queue : xdp::queue_verdicts(port_id)) {
        if (Data own = part(); own != nullptr) {
            rte_tel_data_start_dict(own.get());
            put_verdicts(own.get(), queue);
            put(data, ("queue_" + std::to_string(number++)).c_str(), std::move(own));
        }
    }
    return 0;
}

int on_programs(const char* /*command*/, const char* parameter, rte_tel_data* data) {
    const auto wanted = number_of(parameter);
    std::vector<std::uint64_t> ids;
    for (const auto& program : living().programs) {
        ids.push_back(program->id);
        if (!wanted || program->id != *wanted) {
            continue;
        }
        rte_tel_data_start_dict(data);
        put(data, "name", std::string(ebpf::full_name_of(program->program)));
        put(data, "tag", ebpf::syscall::tag_text(program->tag));
        put(data, "run_cnt", program->stats.runs());
        put(data, "run_time_ns", program->stats.ns());
        if (const auto last = xdp::last_error_of(program->id)) {
            put(data, "last_error", xdp::text_of(last->event, {}));
            put(data, "last_error_unix_ns", last->unix_ns);
        }
        return 0;
    }
    if (has_parameter(parameter)) {
        return -EINVAL;
    }
    std::ranges::sort(ids);
    list_numbers(data, ids);
    return 0;
}

Data entry_data(const redirect::EntryStatistics& entry, bool is_cpumap) {
    Data own = part();
    if (own == nullptr) {
        return own;
    }
    rte_tel_data_start_dict(own.get());
    put(own.get(), is_cpumap ? "cpu" : "ifindex", entry.to);
    put(own.get(), "program", entry.program_id);
    put(own.get(), "packets", entry.packets);
    put(own.get(), "drops", entry.drops);
    if (is_cpumap) {
        put(own.get(), "received", entry.received.received);
        put(own.get(), "pass", entry.received.pass);
    }
    return own;
}

int on_maps(const char* /*command*/, const char* parameter, rte_tel_data* data) {
    const auto wanted = number_of(parameter);
    std::vector<std::uint64_t> ids;
    for (const auto& map : living().maps) {
        ids.push_back(map->id());
        if (!wanted || map->id() != *wanted) {
            continue;
        }
        const ebpf::maps::MapSpec& spec = map->spec();
        const std::string type(ebpf::maps::type_name(static_cast<std::uint32_t>(spec.type)));
        rte_tel_data_start_dict(data);
        put(data, "name", spec.name);
        put(data, "type", type);
        put(data, "key_bytes", spec.key_size);
        put(data, "value_bytes", spec.value_size);
        put(data, "max_entries", spec.max_entries);
        // A dictionary has room for some hundred entries; those behind are left out.
        for (const redirect::EntryStatistics& entry : redirect::entries_of(*map)) {
            put(data, ("entry_" + std::to_string(entry.key)).c_str(),
                entry_data(entry, type == "cpumap"));
        }
        return 0;
    }
    if (has_parameter(parameter)) {
        return -EINVAL;
    }
    std::ranges::sort(ids);
    list_numbers(data, ids);
    return 0;
}

struct FoundPools {
    const char* wanted;  // null: all
    rte_tel_data* data;
    bool is_found = false;
};

void add_pool(rte_mempool* pool, void* arg) {
    auto& found = *static_cast<FoundPools*>(arg);
    if (!page_pool::is_page_pool(pool)) {
        return;
    }
    if (found.wanted == nullptr) {
        (void)rte_tel_data_add_array_string(found.data, pool->name);
        return;
    }
    if (found.is_found || std::strcmp(found.wanted, pool->name) != 0) {
        return;
    }
    found.is_found = true;
    const page_pool::Stats own = page_pool::stats(pool);
    rte_tel_data_start_dict(found.data);
    put(found.data, "pages", own.pages);
    put(found.data, "in_flight", own.in_flight);
    put(found.data, "rx_pp_alloc_fast", own.alloc_fast);
    put(found.data, "rx_pp_alloc_slow", own.alloc_slow);
    put(found.data, "rx_pp_alloc_slow_ho", own.alloc_slow_high_order);
    put(found.data, "rx_pp_alloc_empty", own.alloc_empty);
    put(found.data, "rx_pp_alloc_refill", own.alloc_refill);
    put(found.data, "rx_pp_alloc_waive", own.alloc_waive);
    put(found.data, "rx_pp_recycle_cached", own.recycle_cached);
    put(found.data, "rx_pp_recycle_cache_full", own.recycle_cache_full);
    put(found.data, "rx_pp_recycle_ring", own.recycle_ring);
    put(found.data, "rx_pp_recycle_ring_full", own.recycle_ring_full);
    put(found.data, "rx_pp_recycle_released_ref", own.recycle_released_ref);
}

int on_page_pool(const char* /*command*/, const char* parameter, rte_tel_data* data) {
    FoundPools found{.wanted = has_parameter(parameter) ? parameter : nullptr, .data = data};
    if (found.wanted == nullptr) {
        rte_tel_data_start_array(data, RTE_TEL_STRING_VAL);
    }
    rte_mempool_walk(add_pool, &found);
    return found.wanted == nullptr || found.is_found ? 0 : -EINVAL;
}

int on_cpumap(const char* /*command*/, const char* parameter, rte_tel_data* data) {
    if (!has_parameter(parameter)) {
        std::vector<std::uint64_t> cpus;
        for (const std::uint32_t cpu : ebpf::maps::possible_cpu_ids()) {
            const redirect::CpumapCounters own = redirect::cpumap_counters(cpu);
            if (own.received + own.enqueue_drops != 0) {
                cpus.push_back(cpu);
            }
        }
        list_numbers(data, cpus);
        return 0;
    }
    const auto cpu = number_of(parameter);
    if (!cpu || !ebpf::maps::cpu_is_possible(*cpu)) {
        return -EINVAL;
    }
    const redirect::CpumapCounters own = redirect::cpumap_counters(*cpu);
    rte_tel_data_start_dict(data);
    put(data, "received", own.received);
    put(data, "pass", own.pass);
    put(data, "drop", own.drop);
    put(data, "aborted", own.aborted);
    put(data, "redirect", own.redirect);
    put(data, "redirect_errors", own.redirect_errors);
    put(data, "enqueue_drops", own.enqueue_drops);
    return 0;
}

[[gnu::constructor]] void install() {
    struct {
        const char* command;
        telemetry_cb function;
        const char* help;
    } const all[] = {
        {"/crema/ports", on_ports, "Ports that programs can be on. Parameter: port id"},
        {"/crema/xdp", on_xdp,
         "Programs and verdicts of a port, by queue, too. Parameter: port id"},
        {"/crema/programs", on_programs, "Loaded programs. Parameter: program id"},
        {"/crema/maps", on_maps, "Maps, and counters of entries that redirect. Parameter: map id"},
        {"/crema/cpumap", on_cpumap, "CPUs that frames were redirected to. Parameter: CPU"},
        {"/crema/page_pool", on_page_pool, "Pools of frames. Parameter: name"},
    };

    for (const auto& each : all) {
        (void)rte_telemetry_register_cmd(each.command, each.function, each.help);
    }
}

}  // namespace
}  // namespace crema::telemetry
