// SPDX-License-Identifier: BSD-3-Clause
//
// crema stats: everything a running data path counts, once or again and again with what it is per
// second. JSON is the document that crema-testpmd --json prints.
#include <chrono>
#include <cmath>
#include <poll.h>

#include "apps/common/exit_code.h"
#include "apps/common/signals.h"
#include "apps/crema/rates.h"
#include "apps/crema/remote_output.h"
#include "apps/crema/verbs.h"
#include "apps/crema/watch_client.h"

namespace crema::command {
namespace {

using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

std::string shown_rate(double per_second) {
    return per_second == 0 ? std::string() : fmt::format("{:.0f}/s", per_second);
}

/// Counters of an object that are not 0, one line each.
void add_counters(std::string& out,
                  const ordered_json& now,
                  const ordered_json* rates,
                  std::string_view prefix) {
    for (const auto& [name, value] : now.items()) {
        if (!value.is_number_integer() || !is_counter(name) || value == 0) {
            continue;
        }
        const double rate = rates != nullptr ? (*rates)[name].get<double>() : 0;
        fmt::format_to(std::back_inserter(out), "  {:<34} {:>16} {:>14}\n",
                       fmt::format("{}{}", prefix, name), value.get<std::uint64_t>(),
                       shown_rate(rate));
    }
}

const ordered_json* part(const ordered_json* document, std::string_view name) {
    return document != nullptr ? &(*document)[name] : nullptr;
}

const ordered_json* item(const ordered_json* list, std::size_t i) {
    return list != nullptr ? &(*list)[i] : nullptr;
}

void add_port(std::string& out, const ordered_json& port, const ordered_json* rates) {
    const ordered_json& xdp = port["xdp"];
    fmt::format_to(std::back_inserter(out), "port {} {} (ifindex {}, {}, link {}): {}\n",
                   port["port"].get<int>(), port["name"].get<std::string>(),
                   port["ifindex"].get<int>(), xdp["mode"].get<std::string>(),
                   port["link"]["up"].get<bool>() ? "up" : "down",
                   xdp["program"].is_string() ? xdp["program"].get<std::string>() : "no program");
    add_counters(out, port["ethdev"], part(rates, "ethdev"), "");
    add_counters(out, xdp, part(rates, "xdp"), "");
    add_counters(out, port["redirect"], part(rates, "redirect"), "redirect_");
    if (port.contains("generic")) {
        add_counters(out, port["generic"], part(rates, "generic"), "generic_");
    }
    const ordered_json& queues = port["queues"];
    for (std::size_t i = 0; queues.size() > 1 && i < queues.size(); ++i) {
        add_counters(out, queues[i], item(part(rates, "queues"), i), fmt::format("queue {} ", i));
    }
}

void add_program(std::string& out, const ordered_json& program, const ordered_json* rates) {
    const auto runs = program["run_cnt"].get<std::uint64_t>();
    const auto ns = program["run_time_ns"].get<std::uint64_t>();
    fmt::format_to(std::back_inserter(out), "program {} {} tag {}", program["id"].get<int>(),
                   program["name"].get<std::string>(), program["tag"].get<std::string>());
    if (runs != 0) {
        fmt::format_to(std::back_inserter(out), ": {} runs, {:.1f} ns each", runs,
                       static_cast<double>(ns) / static_cast<double>(runs));
    }
    const double per_second = rates != nullptr ? (*rates)["run_cnt"].get<double>() : 0;
    out += per_second != 0 ? ", " + shown_rate(per_second) + "\n" : "\n";
    if (program["last_error"].is_object()) {
        const auto age =
            std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
                .count() -
            program["last_error"]["unix_ns"].get<double>() / 1e9;
        fmt::format_to(std::back_inserter(out), "  last error, {:.0f} s ago: {}\n",
                       std::max(0.0, age), program["last_error"]["text"].get<std::string>());
    }
}

void add_map(std::string& out, const ordered_json& map, const ordered_json* rates) {
    const ordered_json& entries = map["entries"];
    if (entries.empty()) {
        return;
    }
    fmt::format_to(std::back_inserter(out), "map {} {} ({})\n", map["id"].get<int>(),
                   map["name"].get<std::string>(), map["type"].get<std::string>());
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const ordered_json& entry = entries[i];
        const bool is_cpu = entry.contains("cpu");
        const std::string prefix =
            fmt::format("[{}] {} {} ", entry["key"].get<std::uint32_t>(),
                        is_cpu ? "CPU" : "ifindex", entry[is_cpu ? "cpu" : "ifindex"].get<int>());
        add_counters(out, entry, item(part(rates, "entries"), i), prefix);
    }
}

template <typename Add>
void add_each(std::string& out,
              const ordered_json& now,
              const ordered_json* rates,
              const char* name,
              Add add) {
    const ordered_json& list = now[name];
    for (std::size_t i = 0; i < list.size(); ++i) {
        add(out, list[i], item(part(rates, name), i));
    }
}

bool wants(const StatsOptions& options, std::string_view what) {
    return options.what.empty() || std::ranges::find(options.what, what) != options.what.end();
}

/// A section that is a list of objects with a name.
auto plain(const char* title, const char* identity) {
    return [title, identity](std::string& out, const ordered_json& each,
                             const ordered_json* rates) {
        std::string lines;
        add_counters(lines, each, rates, "");
        if (!lines.empty()) {
            const ordered_json& id = each[identity];
            out +=
                fmt::format("{} {}\n", title, id.is_string() ? id.get<std::string>() : id.dump());
            out += lines;
        }
    };
}

std::string text_of(const StatsOptions& options,
                    const ordered_json& now,
                    const ordered_json* rates) {
    std::string out = fmt::format("--- {:.1f} s\n", now["seconds"].get<double>());
    if (wants(options, "ports")) {
        add_each(out, now, rates, "ports", add_port);
    }
    if (wants(options, "programs")) {
        add_each(out, now, rates, "programs", add_program);
    }
    if (wants(options, "maps")) {
        add_each(out, now, rates, "maps", add_map);
    }
    if (wants(options, "redirects")) {
        add_each(out, now, rates, "redirect_errors", plain("redirect errors via", "via"));
    }
    if (wants(options, "cpumap")) {
        add_each(out, now, rates, "cpumap", plain("cpumap CPU", "cpu"));
    }
    if (wants(options, "workers")) {
        add_each(out, now, rates, "workers", plain("worker lcore", "lcore"));
    }
    if (wants(options, "pools")) {
        add_each(out, now, rates, "page_pools", plain("page_pool", "name"));
    }
    return out;
}

/// The sections that were asked for.
ordered_json selected(const StatsOptions& options, const ordered_json& all) {
    if (options.what.empty()) {
        return all;
    }
    ordered_json some = {{"type", all["type"]}, {"seconds", all["seconds"]}};
    for (const std::string& what : options.what) {
        const std::string name = what == "pools"       ? "page_pools"
                                 : what == "redirects" ? "redirect_errors"
                                                       : what;
        some[name] = all[name];
    }
    return some;
}

/// Waits for the next document's time. False: a signal asked for the end.
bool wait_for(double seconds) {
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    while (app::end_signal() == 0 && Clock::now() < end) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
        (void)::poll(nullptr, 0, static_cast<int>(std::clamp<long>(left, 1, 100)));
    }
    return app::end_signal() == 0;
}

Result<ordered_json> ask_for_statistics(WatchClient& client) {
    auto document = client.ask({{"ask", "stats"}});
    if (document && !document->contains("ports")) {
        return fail(EPROTO, "what answers there is no data path of this version");
    }
    return document;
}

Status show(const StatsOptions& options) {
    auto client = WatchClient::join(options.to);
    if (!client) {
        return forward_error(client);
    }
    if (options.count_runs) {
        if (const auto counting = client->ask({{"ask", "count_runs"}}); !counting) {
            return forward_error(counting);
        }
    }
    ordered_json before;
    std::uint64_t shown = 0;
    for (;;) {
        auto now = ask_for_statistics(*client);
        if (!now) {
            return forward_error(now);
        }
        ordered_json document = selected(options, *now);
        if (options.interval_s == 0) {
            print_either(options, document, text_of(options, *now, nullptr));
            return {};
        }
        if (!before.is_null()) {
            const double seconds =
                std::max(1e-3, (*now)["seconds"].get<double>() - before["seconds"].get<double>());
            const ordered_json rates = rates_of(before, *now, seconds);
            document["interval_s"] = seconds;
            document["rates"] = selected(options, rates);
            print_either(options, document, text_of(options, *now, &rates));
            (void)std::fflush(stdout);
            if (++shown == options.count) {
                return {};
            }
        }
        before = std::move(*now);
        if (std::ferror(stdout) != 0) {
            return fail(EPIPE, "what is printed goes nowhere");
        }
        if (!wait_for(options.interval_s)) {
            return {};
        }
    }
}

}  // namespace

int run_verb(const StatsOptions& options) {
    app::catch_end_signals();
    if (const Status done = show(options); !done) {
        say_error(done.error().message);
        return app::kFailed;
    }
    return app::kDone;
}

}  // namespace crema::command
