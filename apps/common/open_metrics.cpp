// SPDX-License-Identifier: BSD-3-Clause
#include "apps/common/open_metrics.h"

#include <fmt/format.h>
#include <iterator>
#include <string_view>

namespace crema::app {
namespace {

/// name="value", with what must be escaped.
std::string label(std::string_view name, std::string_view value) {
    std::string text = fmt::format("{}=\"", name);
    for (const char letter : value) {
        if (letter == '\\' || letter == '"') {
            text += '\\';
            text += letter;
        } else if (letter == '\n') {
            text += "\\n";
        } else {
            // Bytes that are no letters cannot come from names that bpf(2) accepts; from a path
            // they can, and Prometheus wants UTF-8.
            text += static_cast<unsigned char>(letter) < 0x20 ||
                            static_cast<unsigned char>(letter) >= 0x7f
                        ? '?'
                        : letter;
        }
    }
    return text + '"';
}

std::string label(std::string_view name, std::uint64_t value) {
    return fmt::format("{}=\"{}\"", name, value);
}

class Text {
  public:
    explicit Text(MetricsForm form) : form_(form) {}

    /// A counter; its samples follow. name: without _total.
    void counter(std::string_view name, std::string_view help, std::string_view unit = {}) {
        name_ = fmt::format("{}_total", name);
        begin(form_ == MetricsForm::open_metrics ? name : std::string_view(name_), "counter", help,
              unit);
    }

    void gauge(std::string_view name, std::string_view help, std::string_view unit = {}) {
        name_ = name;
        begin(name, "gauge", help, unit);
    }

    template <typename Value, typename... Labels>
    void sample(Value value, const Labels&... labels) {
        std::string all;
        (static_cast<void>(all += (all.empty() ? "" : ",") + std::string(labels)), ...);
        fmt::format_to(std::back_inserter(out_), "{}{}{}{} {}\n", name_, all.empty() ? "" : "{",
                       all, all.empty() ? "" : "}", value);
    }

    [[nodiscard]] std::string end() {
        if (form_ == MetricsForm::open_metrics) {
            out_ += "# EOF\n";
        }
        return std::move(out_);
    }

  private:
    void begin(std::string_view name,
               std::string_view type,
               std::string_view help,
               std::string_view unit) {
        fmt::format_to(std::back_inserter(out_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name,
                       type);
        if (form_ == MetricsForm::open_metrics && !unit.empty()) {
            fmt::format_to(std::back_inserter(out_), "# UNIT {} {}\n", name, unit);
        }
    }

    MetricsForm form_;
    std::string name_;
    std::string out_;
};

std::string of_port(const PortSnapshot& port) {
    return label("port", port.name) + "," + label("ifindex", port.ifindex);
}

/// One value of every port.
template <typename Value>
void per_port(Text& text, const Snapshot& all, Value value) {
    for (const PortSnapshot& port : all.ports) {
        text.sample(value(port), of_port(port));
    }
}

void add_ports(Text& text, const Snapshot& all) {
    using Port = const PortSnapshot&;
    text.gauge("crema_port_up", "1 while the port has link.");
    per_port(text, all, [](Port port) { return port.link_up ? 1 : 0; });
    text.gauge("crema_port_mtu_bytes", "MTU.", "bytes");
    per_port(text, all, [](Port port) { return port.mtu; });
    text.counter("crema_port_rx_packets", "Frames received.");
    per_port(text, all, [](Port port) { return port.ethdev.ipackets; });
    text.counter("crema_port_rx_bytes", "Bytes received.", "bytes");
    per_port(text, all, [](Port port) { return port.ethdev.ibytes; });
    text.counter("crema_port_rx_missed", "Frames the port had no descriptor for.");
    per_port(text, all, [](Port port) { return port.ethdev.imissed; });
    text.counter("crema_port_rx_errors", "Frames received with errors.");
    per_port(text, all, [](Port port) { return port.ethdev.ierrors; });
    text.counter("crema_port_tx_packets", "Frames sent.");
    per_port(text, all, [](Port port) { return port.ethdev.opackets; });
    text.counter("crema_port_tx_bytes", "Bytes sent.", "bytes");
    per_port(text, all, [](Port port) { return port.ethdev.obytes; });
    text.counter("crema_port_tx_errors", "Frames that could not be sent.");
    per_port(text, all, [](Port port) { return port.ethdev.oerrors; });
    text.counter("crema_port_xdp_xmit_packets", "Frames sent for redirects.");
    per_port(text, all, [](Port port) { return port.tx_xdp_xmit; });
    text.counter("crema_port_xdp_xmit_errors", "Frames of redirects that the port did not take.");
    per_port(text, all, [](Port port) { return port.tx_xdp_xmit_errors; });
    text.counter("crema_port_redirect_refused", "Redirected frames that were refused here.");
    per_port(text, all, [](Port port) { return port.redirect.refused; });
}

void add_verdicts(Text& text, const Snapshot& all) {
    text.counter("crema_xdp_frames", "Frames through XDP by what became of them.");
    for (const PortSnapshot& port : all.ports) {
        for (std::size_t queue = 0; queue < port.queues.size(); ++queue) {
            const xdp::VerdictCounters& own = port.queues[queue];
            const auto add = [&](std::string_view verdict, std::uint64_t value) {
                text.sample(value, of_port(port), label("queue", queue), label("verdict", verdict));
            };
            add("pass", own.pass);
            add("drop", own.drop);
            add("tx", own.tx);
            add("tx_error", own.tx_errors);
            add("redirect", own.redirect);
            add("redirect_error", own.redirect_errors);
            add("aborted", own.aborted);
        }
    }
    text.gauge("crema_xdp_attached", "Programs on the port.");
    per_port(text, all, [](const PortSnapshot& port) { return port.programs.size(); });
}

void add_programs(Text& text, const Snapshot& all) {
    const auto who = [](const LoadedSnapshot& program) {
        return label("program_id", program.id) + "," + label("program", program.name);
    };
    text.counter("crema_program_runs",
                 "Runs, while somebody counts them (kernel.bpf_stats_enabled, BPF_ENABLE_STATS).");
    for (const LoadedSnapshot& program : all.programs) {
        text.sample(program.runs, who(program));
    }
    text.counter("crema_program_run_seconds", "Time of these runs.", "seconds");
    for (const LoadedSnapshot& program : all.programs) {
        text.sample(fmt::format("{:.9f}", static_cast<double>(program.run_ns) / 1e9), who(program));
    }
    text.gauge("crema_program_last_error_timestamp_seconds",
               "When a frame of the program was last lost to an exception or a failed redirect.",
               "seconds");
    for (const LoadedSnapshot& program : all.programs) {
        if (program.last_error) {
            text.sample(
                fmt::format("{:.3f}", static_cast<double>(program.last_error->unix_ns) / 1e9),
                who(program));
        }
    }
}

template <typename Value>
void per_entry(Text& text, const Snapshot& all, bool cpumaps, Value value) {
    for (const MapSnapshot& map : all.maps) {
        if (cpumaps && map.type != "cpumap") {
            continue;
        }
        for (const redirect::EntryStatistics& entry : map.entries) {
            text.sample(value(entry), label("map_id", map.id), label("map", map.name),
                        label("type", map.type), label("key", entry.key), label("to", entry.to));
        }
    }
}

void add_maps(Text& text, const Snapshot& all) {
    using Entry = const redirect::EntryStatistics&;
    text.counter("crema_map_entry_packets", "Frames that the target of the entry took.");
    per_entry(text, all, false, [](Entry entry) { return entry.packets; });
    text.counter("crema_map_entry_drops", "Frames for the entry that its target did not take.");
    per_entry(text, all, false, [](Entry entry) { return entry.drops; });
    text.counter("crema_cpumap_entry_received_packets", "Frames that the CPU took from the queue.");
    per_entry(text, all, true, [](Entry entry) { return entry.received.received; });
    text.counter("crema_cpumap_entry_pass_packets",
                 "Of these, frames that went to the application.");
    per_entry(text, all, true, [](Entry entry) { return entry.received.pass; });
}

void add_redirects(Text& text, const Snapshot& all) {
    text.counter("crema_redirect_errors", "Redirected frames that reached no target, by why.");
    for (const RedirectSnapshot& way : all.redirects) {
        const auto add = [&](std::string_view reason, std::uint64_t value) {
            text.sample(value, label("via", way.via), label("reason", reason));
        };
        add("no_target", way.errors.no_target);
        add("no_port", way.errors.no_port);
        add("down", way.errors.down);
        add("too_long", way.errors.too_long);
        add("no_headroom", way.errors.no_headroom);
        add("no_memory", way.errors.no_memory);
        add("later", way.errors.later);
    }
    text.counter("crema_broadcast_frames", "Frames that were sent to all slots of a map.");
    text.sample(all.broadcast.frames);
    text.counter("crema_broadcast_copies", "Copies that were made for that.");
    text.sample(all.broadcast.copies);
}

void add_pools(Text& text, const Snapshot& all) {
    const auto each = [&](auto value, const auto&... more) {
        for (const PoolSnapshot& pool : all.pools) {
            text.sample(value(pool.stats), label("pool", pool.name), more...);
        }
    };
    using Stats = const page_pool::Stats&;
    text.gauge("crema_page_pool_pages", "Pages of the pool.");
    each([](Stats own) { return own.pages; });
    text.gauge("crema_page_pool_in_flight_pages", "Pages that are taken.");
    each([](Stats own) { return own.in_flight; });
    text.counter("crema_page_pool_alloc", "Pages taken, by where from; and what came in the way.");
    each([](Stats own) { return own.alloc_fast; }, label("how", "fast"));
    each([](Stats own) { return own.alloc_slow; }, label("how", "slow"));
    each([](Stats own) { return own.alloc_slow_high_order; }, label("how", "slow_high_order"));
    each([](Stats own) { return own.alloc_empty; }, label("how", "empty"));
    each([](Stats own) { return own.alloc_refill; }, label("how", "refill"));
    each([](Stats own) { return own.alloc_waive; }, label("how", "waive"));
    text.counter("crema_page_pool_recycle", "Pages that came home, by where to.");
    each([](Stats own) { return own.recycle_cached; }, label("how", "cached"));
    each([](Stats own) { return own.recycle_cache_full; }, label("how", "cache_full"));
    each([](Stats own) { return own.recycle_ring; }, label("how", "ring"));
    each([](Stats own) { return own.recycle_ring_full; }, label("how", "ring_full"));
    each([](Stats own) { return own.recycle_released_ref; }, label("how", "released_refcnt"));
}

void add_workers(Text& text, const Snapshot& all) {
    const auto each = [&](auto value) {
        for (const WorkerSnapshot& worker : all.workers) {
            text.sample(value(worker.counters), label("lcore", worker.lcore),
                        label("cpu", worker.cpu));
        }
    };
    using Own = const datapath::WorkerCounters&;
    text.counter("crema_worker_rounds", "Rounds of the worker's loop.");
    each([](Own own) { return own.rounds; });
    text.counter("crema_worker_idle_rounds", "Rounds in which nothing came.");
    each([](Own own) { return own.idle_rounds; });
    text.counter("crema_worker_forwarded_packets", "Passed frames that a port took.");
    each([](Own own) { return own.forwarded; });
    text.counter("crema_worker_tx_dropped_packets", "Passed frames that no port took.");
    each([](Own own) { return own.tx_dropped; });
}

}  // namespace

std::string to_metrics(const Snapshot& snapshot, MetricsForm form) {
    Text text(form);
    add_ports(text, snapshot);
    add_verdicts(text, snapshot);
    add_programs(text, snapshot);
    add_maps(text, snapshot);
    add_redirects(text, snapshot);
    add_pools(text, snapshot);
    add_workers(text, snapshot);
    return text.end();
}

}  // namespace crema::app
