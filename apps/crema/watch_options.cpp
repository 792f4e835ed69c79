// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/watch_options.h"

#include <CLI/CLI.hpp>

#include "apps/crema/remote_options.h"

namespace crema::command {
namespace {

CLI::App* add_watch(CLI::App& app,
                    const char* name,
                    const char* about,
                    const std::string& example,
                    std::string& to) {
    CLI::App* verb = app.add_subcommand(name, about);
    verb->footer("Example: crema " + example + "\n" + kExits);
    verb->add_option("--to", to, "socket of the running data path (--bpf-socket)")->required();
    return verb;
}

CLI::App* declare_stats(CLI::App& app, StatsOptions& options) {
    CLI::App* verb =
        add_watch(app, "stats", "What a running data path counts, and how fast it grows",
                  "stats ports maps --watch --to bpf.sock", options.to);
    verb->add_option("WHAT", options.what,
                     "ports, programs, maps, redirects, cpumap, workers, pools; default: all")
        ->check(CLI::IsMember(
            {"ports", "programs", "maps", "redirects", "cpumap", "workers", "pools"}));
    CLI::Option* const interval = verb->add_option("-i,--interval", options.interval_s,
                                                   "again and again, every so many seconds")
                                      ->check(CLI::Range(0.01, 86400.0));
    verb->add_flag_callback(
            "-w,--watch", [&options] { options.interval_s = 1; }, "every second")
        ->excludes(interval);
    verb->add_option("-c,--count", options.count, "end after so many; needs an interval")
        ->check(CLI::Range(std::uint64_t{1}, UINT64_MAX));
    verb->add_flag("-r,--runs", options.count_runs,
                   "count runs and time of programs meanwhile, as kernel.bpf_stats_enabled does");
    verb->add_flag("-j,--json", options.json, "one JSON document per line");
    verb->add_flag("-p,--pretty", options.pretty, "the same, indented");
    return verb;
}

CLI::App* declare_monitor(CLI::App& app, MonitorOptions& options) {
    CLI::App* verb = add_watch(app, "monitor",
                               "What goes wrong in a running data path, as it happens, and rates",
                               "monitor --to bpf.sock", options.to);
    verb->add_option("-i,--interval", options.interval_s, "seconds between two summaries")
        ->check(CLI::Range(0.1, 86400.0))
        ->capture_default_str();
    verb->add_option("-c,--count", options.count, "end after so many summaries")
        ->check(CLI::Range(std::uint64_t{1}, UINT64_MAX));
    verb->add_flag("-a,--all", options.all_events, "every event, not only the first 20");
    verb->add_flag("-j,--json", options.json, "a JSON document per line: events and summaries");
    return verb;
}

}  // namespace

void WatchVerbs::declare_dump(CLI::App& app) {
    DumpOptions& options = dump_;
    CLI::App* verb = add_watch(
        app, "dump", "Frames as programs of a running data path get and leave them",
        "dump -i net_neta0 --rx-capture entry,exit -w out.pcapng 'udp port 53' --to bpf.sock",
        options.to);
    verb->add_option("-i,--interface", options.port, "port, by name or ifindex; default: all");
    verb->add_flag("-D,--list-interfaces", options.list, "ports and their programs, nothing else");
    verb->add_option("-P,--program-names", options.programs,
                     "these programs, by name or number, wherever they run; default: those that "
                     "are on the port")
        ->delimiter(',');
    verb->add_option("--rx-capture", places_, "entry, exit, or entry,exit")
        ->check(CLI::IsMember({"entry", "exit", "entry,exit", "exit,entry"}))
        ->capture_default_str();
    CLI::Option* const out =
        verb->add_option("-w,--write", options.out, "a pcapng file; - is standard output");
    verb->add_option("-s,--snapshot-length", options.snap_bytes, "bytes of a frame at most")
        ->check(CLI::Range(1U, 262144U))
        ->capture_default_str();
    verb->add_option("-c,--count", options.count, "end after so many packets")
        ->check(CLI::Range(std::uint64_t{1}, UINT64_MAX));
    verb->add_option("--buffer", options.ring_bytes,
                     "bytes per worker for what is not taken yet: a power of two")
        ->check(CLI::Range(std::uint64_t{1} << 16U, std::uint64_t{1} << 28U))
        ->capture_default_str();
    verb->add_flag("-x,--hex", options.hex, "bytes of each packet, too")->excludes(out);
    verb->add_flag("-j,--json", options.json, "a JSON document per packet")->excludes(out);
    verb->add_flag("-p,--pretty", options.pretty, "of -D: JSON, indented")->excludes(out);
    verb->add_option("FILTER", filter_words_, "which frames, as in pcap-filter(7)");
    dump_verb_ = verb;
}

void WatchVerbs::declare(CLI::App& app) {
    stats_verb_ = declare_stats(app, stats_);
    monitor_verb_ = declare_monitor(app, monitor_);
    declare_dump(app);
}

std::optional<Verb> WatchVerbs::named(const CLI::App& verb) {
    if (&verb == stats_verb_) {
        return stats_;
    }
    if (&verb == monitor_verb_) {
        return monitor_;
    }
    if (&verb == dump_verb_) {
        dump_.at_entry = places_.find("entry") != std::string::npos;
        dump_.at_exit = places_.find("exit") != std::string::npos;
        for (const std::string& word : filter_words_) {
            dump_.filter += (dump_.filter.empty() ? "" : " ") + word;
        }
        return dump_;
    }
    return std::nullopt;
}

}  // namespace crema::command
