// SPDX-License-Identifier: BSD-3-Clause
//
// CLI11 throws; no exception leaves this file.
#include "apps/crema/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <span>

#include "apps/common/exit_code.h"
#include "apps/crema/remote_options.h"
#include "apps/crema/topology_options.h"
#include "apps/crema/watch_options.h"

namespace crema::command {
namespace {

constexpr char kAbout[] =
    "The control command of Crema. XDP programs of object files, nothing running needed:";

constexpr char kMapHelp[] =
    "MAP:KEY=VALUE: set an entry before the first packet; repeatable. KEY: number or hex:BYTES. "
    "VALUE: devmap IFINDEX[@PROGRAM], cpumap QSIZE[@PROGRAM], prog_array PROGRAM, others a number "
    "or hex:BYTES";

/// Options of all verbs; the one that was named is handed out.
struct All {
    VerifyOptions verify;
    DisasmOptions disasm;
    RunOptions run;
    BenchOptions bench;
    BpfOptions bpf;
    ProbeOptions probe;
    RemoteVerbs remote;
    WatchVerbs watch;
    TopologyVerb topology;
    std::vector<std::string> run_settings;
    std::vector<std::string> bench_settings;
};

CLI::App* add_verb(CLI::App& xdp,
                   const char* name,
                   const char* about,
                   const std::string& example,
                   ObjectOptions& options,
                   const char* program_help) {
    CLI::App* verb = xdp.add_subcommand(name, about);
    verb->footer("Example: " + example + "\n" + kExits);
    verb->add_option("OBJECT", options.object, "BPF object file")->required();
    verb->add_option("--program", options.program, program_help);
    verb->add_flag("--json", options.json, "one JSON document on stdout");
    return verb;
}

void declare_verify(CLI::App& xdp, VerifyOptions& options) {
    CLI::App* verb =
        add_verb(xdp, "verify", "Judge the XDP programs of an object as the kernel's verifier does",
                 "crema xdp verify build/bpf/ssh_mirror.bpf.o --log 2", options,
                 "only this one; default: every program");
    verb->add_option("--log", options.log_level,
                     "log level of bpf(2): 1 path of a refusal, 2 every state, 4 statistics, or a "
                     "sum; 0 none. Given, the log of accepted programs is shown too")
        ->check(CLI::Range(0, 7))
        ->capture_default_str();
}

void declare_disasm(CLI::App& xdp, DisasmOptions& options) {
    CLI::App* verb =
        add_verb(xdp, "disasm", "Show programs as source lines, BPF, lowered BPF and machine code",
                 "crema xdp disasm build/bpf/ssh_mirror.bpf.o --bpf --native", options,
                 "only this one; default: every program");
    verb->add_flag("--bpf", options.bpf, "source lines and BPF");
    verb->add_flag("--lowered", options.lowered, "what lowering made of it");
    verb->add_flag("--native", options.native, "machine code; none of the three: all");
}

void declare_run(CLI::App& xdp, RunOptions& options, std::vector<std::string>& settings) {
    CLI::App* verb = add_verb(
        xdp, "run", "Run a program on every packet of a capture, as BPF_PROG_TEST_RUN does",
        "crema xdp run build/bpf/vlan_pop.bpf.o --pcap in.pcap --out out.pcap -v", options,
        "default: the first that attaches to a port");
    verb->add_option("--pcap", options.in, "capture to read (Ethernet)")->required();
    verb->add_option(
        "--out", options.out,
        "capture to write: what the program passed, sent or redirected, as it left it");
    verb->add_option("--repeat", options.repeat, "runs per packet, on the same buffer")
        ->check(CLI::Range(1U, 100'000'000U))
        ->capture_default_str();
    verb->add_option("--ifindex", options.ifindex, "interface the packets come from")
        ->check(CLI::Range(1U, 32U))
        ->capture_default_str();
    verb->add_option("--map", settings, kMapHelp)->allow_extra_args(false);
    verb->add_flag("-v,--verbose", options.show_packets, "one line per packet");
    verb->add_flag("--maps", options.show_maps, "contents of the maps at the end");
}

void declare_bench(CLI::App& xdp, BenchOptions& options, std::vector<std::string>& settings) {
    CLI::App* verb = add_verb(
        xdp, "bench", "Measure a program, beside the kernel's BPF_PROG_TEST_RUN of the same object",
        "crema xdp bench build/bpf/ssh_mirror.bpf.o --size 128 --seconds 4", options,
        "default: the first that attaches to a port");
    CLI::Option* in = verb->add_option("--pcap", options.in, "packets to measure with (Ethernet)");
    verb->add_option("--size", options.size,
                     "bytes of the made UDP packet that is used without --pcap")
        ->check(CLI::Range(60U, 3520U))
        ->capture_default_str()
        ->excludes(in);
    verb->add_option("--seconds", options.seconds, "time for the whole measurement")
        ->check(CLI::Range(0.05, 3600.0))
        ->capture_default_str();
    verb->add_option("--map", settings, kMapHelp)->allow_extra_args(false);
}

void declare_bpf(CLI::App& app, BpfOptions& options) {
    CLI::App* verb = app.add_subcommand(
        "bpf", "Run a command whose bpf(2) calls are served by Crema instead of the kernel");
    verb->footer(
        "Example: crema bpf -- bpftool feature probe\n"
        "Exit code: that of the command; 1 it could not be started, 2 wrong usage.");
    CLI::Option* to =
        verb->add_option("--to", options.to, "socket of a running data path that serves the calls");
    verb->add_flag("-v,--verbose", options.verbose,
                   "a line on stderr for each call that asks for what is not served")
        ->excludes(to);
    verb->add_option("COMMAND", options.command, "command and its words, behind --")->required();
}

void declare_probe(CLI::App& app, ProbeOptions& options) {
    CLI::App& neta = *app.add_subcommand("neta", "A NETA port that nobody drives: probe");
    neta.footer(std::string("Example: crema neta probe platform:d0030000.ethernet\n") + kExits);
    neta.require_subcommand(1);
    CLI::App* verb = neta.add_subcommand(
        "probe",
        "Self-test: registers, link, PHYs, frames in loopback through memory, caches, interrupt. "
        "Takes the port over; afterwards its queues are off and its link is down");
    verb->footer(std::string("Example: crema neta probe platform:d0030000.ethernet --json\n") +
                 kExits);
    verb->add_option("DEVICE", options.device,
                     "as device= of net_neta: platform:NAME, pci:BDF, user:SOCKET or model")
        ->required();
    verb->add_option("--wire", options.wire, "of the model in this process");
    verb->add_option("--cache", options.cache,
                     "of the model in this process: coherent, noncoherent or evicting[:SEED]");
    verb->add_option("--vfio", options.vfio, "which interface of the kernel's VFIO")
        ->check(CLI::IsMember({"group", "iommufd"}));
    verb->add_option("--frames", options.frames, "frames through loopback, in batches of 32")
        ->check(CLI::Range(1U, 100'000'000U))
        ->capture_default_str();
    verb->add_option("--rounds", options.rounds, "rounds of each question about caches")
        ->check(CLI::Range(1U, 1'000'000U))
        ->capture_default_str();
    verb->add_flag("--allow-noiommu", options.allow_noiommu,
                   "also a device that no IOMMU keeps from memory: wants huge pages");
    verb->add_flag(
        "--keep-windows", options.keep_windows,
        "leave the address windows as the kernel's driver set them: Armada 38x, XP, 370");
    verb->add_flag("--json", options.json, "one JSON document on stdout");
}

tl::unexpected<Early> wrong(const std::string& verb, const std::string& why) {
    return tl::unexpected(
        Early{app::kUsage, "crema" + verb + ": " + why + " (see crema" + verb + " --help)"});
}

tl::expected<std::vector<app::MapSetting>, std::string> parse_settings(
    const std::vector<std::string>& texts) {
    std::vector<app::MapSetting> settings;
    for (const std::string& text : texts) {
        auto setting = app::MapSetting::parse(text);
        if (!setting) {
            return tl::unexpected("--map " + setting.error().message);
        }
        settings.push_back(std::move(*setting));
    }
    return settings;
}

/// " xdp verify", as far as the words name something there is.
std::string named(const CLI::App& app) {
    std::string text;
    for (const CLI::App* at : app.get_subcommands()) {
        text += " " + at->get_name() + named(*at);
    }
    return text;
}

const CLI::App& deepest(const CLI::App& app) {
    const auto chosen = app.get_subcommands();
    return chosen.empty() ? app : deepest(*chosen.front());
}

/// How a user gets to `app`, without its own name.
std::string way_to(const CLI::App& app) {
    return app.get_parent() == nullptr
               ? std::string()
               : way_to(*app.get_parent()) + app.get_parent()->get_name() + " ";
}

std::string help_of(const CLI::App& app) {
    std::string way = way_to(app);
    if (!way.empty()) {
        way.pop_back();
    }
    return app.help(way);
}

/// A word where a command should stand and that is none. CLI11 would only miss a command.
std::optional<Early> unknown_command(const CLI::App& app, std::span<const std::string> words) {
    const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
    if (commands.empty() || words.empty() || words.front().starts_with('-')) {
        return std::nullopt;
    }
    std::string names;
    for (const CLI::App* command : commands) {
        if (command->check_name(words.front())) {
            return unknown_command(*command, words.subspan(1));
        }
        names += (names.empty() ? "" : ", ") + command->get_name();
    }
    const std::string at = way_to(app) + app.get_name();
    return Early{app::kUsage, fmt::format("{}: no command '{}': there is {} (see {} --help)", at,
                                          words.front(), names, at)};
}

}  // namespace

tl::expected<Verb, Early> parse_command_line(const std::vector<std::string>& words) {
    All all;
    CLI::App app{kAbout, "crema"};
    app.footer(std::string("Example: crema xdp verify build/bpf/pass.bpf.o\n") + kExits);
    app.set_version_flag("--version", "crema 0.1.0");
    app.require_subcommand(1);
    CLI::App& xdp = *app.add_subcommand(
        "xdp",
        "XDP programs: verify, disasm, run, bench; on a running data path: attach, detach, status");
    xdp.footer(std::string("Example: crema xdp verify build/bpf/pass.bpf.o\n") + kExits);
    xdp.require_subcommand(1);
    declare_verify(xdp, all.verify);
    declare_disasm(xdp, all.disasm);
    declare_run(xdp, all.run, all.run_settings);
    declare_bench(xdp, all.bench, all.bench_settings);
    all.remote.declare(app, xdp);
    all.watch.declare(app);
    declare_bpf(app, all.bpf);
    declare_probe(app, all.probe);
    all.topology.declare(app, kExits);
    if (auto unknown = unknown_command(app, words)) {
        return tl::unexpected(std::move(*unknown));
    }
    try {
        std::vector<std::string> reversed(words.rbegin(), words.rend());  // CLI11 wants it so
        app.parse(reversed);
    } catch (const CLI::CallForHelp&) {
        return tl::unexpected(Early{app::kDone, help_of(deepest(app))});
    } catch (const CLI::CallForVersion&) {
        return tl::unexpected(Early{app::kDone, app.version() + "\n"});
    } catch (const CLI::Error& error) {
        return wrong(named(app), error.what());
    }
    const CLI::App& verb = deepest(app);
    if (verb.get_name() == "bpf") {
        return all.bpf;
    }
    if (verb.get_name() == "probe") {
        return all.probe;
    }
    if (verb.get_name() == "topology") {
        auto options = all.topology.options();
        if (!options) {
            return wrong(named(app), options.error().message);
        }
        return std::move(*options);
    }
    if (auto remote = all.remote.named(verb)) {
        return std::move(*remote);
    }
    if (auto watch = all.watch.named(verb)) {
        return std::move(*watch);
    }
    const bool is_run = verb.get_name() == "run";
    auto settings = parse_settings(is_run ? all.run_settings : all.bench_settings);
    if (!settings) {
        return wrong(named(app), settings.error());
    }
    if (verb.get_name() == "verify") {
        all.verify.log_always = verb.count("--log") != 0;
        return all.verify;
    }
    if (verb.get_name() == "disasm") {
        return all.disasm;
    }
    (is_run ? all.run.settings : all.bench.settings) = std::move(*settings);
    if (is_run) {
        return all.run;
    }
    return all.bench;
}

}  // namespace crema::command
