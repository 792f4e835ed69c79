// SPDX-License-Identifier: BSD-3-Clause
//
// CLI11 throws; no exception leaves this file.
#include "apps/testpmd/options.h"

#include <CLI/CLI.hpp>

#include "apps/common/exit_code.h"

namespace crema::testpmd {
namespace {

constexpr char kAbout[] =
    "crema-testpmd [EAL options] -- [options]\n"
    "Forwards between ethdev ports, with XDP programs on them: native on net_neta, generic on\n"
    "any other driver. What XDP passes is forwarded by --forward-mode.";

constexpr char kFooter[] =
    "Map values: devmap PORT[@PROGRAM], cpumap QSIZE[@PROGRAM], arrays a number.\n"
    "EAL options come before `--`; without hugepages and root: --no-huge -m 256 --no-pci.\n"
    "Exit code: 0 done, 1 failed, 2 wrong usage.";

struct Texts {
    std::string mode = "io";
    std::string topology = "paired";
    std::vector<std::string> programs;
    std::vector<std::string> settings;
    std::vector<std::string> passes;
    std::string rps;
    bool no_promiscuous = false;
};

void declare(CLI::App& app, Options& options, Texts& texts) {
    app.footer(kFooter);
    app.add_option("--forward-mode", texts.mode, "what happens to passed frames")
        ->check(CLI::IsMember({"io", "mac", "macswap", "rxonly"}))
        ->capture_default_str();
    app.add_option("--port-topology", texts.topology, "where they go")
        ->check(CLI::IsMember({"paired", "chained", "loop"}))
        ->capture_default_str();
    app.add_option("--nb-cores", options.workers, "workers; default: every lcore but the main one");
    app.add_option("--rxq", options.rx_queues, "RX queues per port")
        ->check(CLI::Range(1, static_cast<int>(xdp::kRxQueuesMax)))
        ->capture_default_str();
    app.add_option("--burst", options.burst, "frames per burst")
        ->check(CLI::Range(1, static_cast<int>(xdp::kBurstMax)))
        ->capture_default_str();
    app.add_option("--rxd", options.rx_descriptors, "RX descriptors")->capture_default_str();
    app.add_option("--txd", options.tx_descriptors, "TX descriptors")->capture_default_str();
    app.add_option("--total-num-mbufs", options.mbufs, "buffers per port");
    app.add_option("--mtu", options.mtu, "MTU of every port, bytes");
    app.add_option("--idle-sleep-us", options.idle_sleep_us,
                   "sleep when there is nothing to do, instead of spinning");
    app.add_flag("--rx-interrupts", options.rx_interrupts,
                 "sleep until a frame comes, instead of spinning");
    app.add_option("--stats-period", options.stats_period_s, "print statistics every N seconds")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--duration", options.duration_s, "end after N seconds")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--xdp", texts.programs,
                   "[PORT=]OBJECT[:PROGRAM][,prio=N][,chain-call=VERDICT,...]: attach; without "
                   "PORT on every port, maps shared; several on a port run one after the other")
        ->allow_extra_args(false);
    app.add_option("--map", texts.settings,
                   "MAP:KEY=VALUE: set an entry, also in objects loaded later")
        ->allow_extra_args(false);
    app.add_option("--pass", texts.passes,
                   "[PORT=]tap:NAME: what is passed goes to the machine's network stack, by a TAP "
                   "device, and what the stack sends leaves by the port")
        ->allow_extra_args(false);
    app.add_option("--rps", texts.rps,
                   "auto|CPUS[:FRAMES]: spread the flows of every queue over CPUs of workers, by "
                   "the program cpumap_5tuple; FRAMES wait per CPU at most. auto: the workers "
                   "that poll no queue");
    app.add_flag("--no-promiscuous", texts.no_promiscuous, "leave promiscuous mode off");
    app.add_flag("--json", options.json, "statistics as one JSON document per line on stdout");
    app.add_flag("-i,--interactive", options.interactive, "read commands from stdin");
    app.add_flag("-a,--auto-start", options.auto_start, "with -i: forward at once");
    app.add_option("--cmdline-file", options.command_file, "run the commands in this file first");
    app.add_option("--first-ifindex", options.first_ifindex, "ifindex of port 0; others follow")
        ->check(CLI::Range(1, INT32_MAX - static_cast<int>(xdp::kPortsMax)))
        ->capture_default_str();
    app.add_option("--metrics", options.metrics,
                   "[HOST:]PORT or unix:PATH: serve GET /metrics to Prometheus there");
    app.add_option("--bpf-socket", options.bpf_socket,
                   "a new socket: `crema bpf --to` serves commands with programs and maps of here");
    app.set_version_flag("--version", "crema-testpmd 0.1.0");
}

tl::unexpected<Early> wrong(const std::string& why) {
    return tl::unexpected(Early{app::kUsage, "crema-testpmd: " + why});
}

}  // namespace

tl::expected<Options, Early> parse_options(const std::vector<std::string>& words) {
    Options options;
    Texts texts;
    CLI::App app{kAbout};
    declare(app, options, texts);
    try {
        std::vector<std::string> reversed(words.rbegin(), words.rend());  // CLI11 wants it so
        app.parse(reversed);
    } catch (const CLI::CallForHelp&) {
        return tl::unexpected(Early{app::kDone, app.help()});
    } catch (const CLI::CallForVersion&) {
        return tl::unexpected(Early{app::kDone, app.version() + "\n"});
    } catch (const CLI::Error& error) {
        return wrong(error.what());
    }
    options.mode = *datapath::forward_mode_of(texts.mode);
    options.topology = texts.topology == "chained" ? Topology::chained
                       : texts.topology == "loop"  ? Topology::loop
                                                   : Topology::paired;
    options.promiscuous = !texts.no_promiscuous;
    for (const std::string& text : texts.programs) {
        auto spec = app::ProgramSpec::parse(text);
        if (!spec) {
            return wrong("--xdp " + spec.error().message);
        }
        options.programs.push_back(std::move(*spec));
    }
    for (const std::string& text : texts.settings) {
        auto setting = app::MapSetting::parse(text);
        if (!setting) {
            return wrong("--map " + setting.error().message);
        }
        options.settings.push_back(std::move(*setting));
    }
    for (const std::string& text : texts.passes) {
        auto setting = PassSetting::parse(text);
        if (!setting) {
            return wrong("--pass " + setting.error().message);
        }
        options.passes.push_back(std::move(*setting));
    }
    if (!texts.rps.empty()) {
        auto setting = RpsSetting::parse(texts.rps);
        if (!setting) {
            return wrong("--rps " + setting.error().message);
        }
        options.rps = std::move(*setting);
    }
    if (!options.passes.empty() && options.mode == datapath::ForwardMode::rxonly) {
        return wrong(
            "--pass and --forward-mode rxonly exclude each other: nothing would be passed");
    }
    return options;
}

std::string usage() {
    Options options;
    Texts texts;
    CLI::App app{kAbout};
    declare(app, options, texts);
    return app.help();
}

}  // namespace crema::testpmd
