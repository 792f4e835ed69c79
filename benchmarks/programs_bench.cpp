// SPDX-License-Identifier: BSD-3-Clause
//
// Compiled programs, nanoseconds per packet: each object on its packet, in turns with its twins in
// one process: the kernel's BPF_PROG_TEST_RUN of the same object, the same C compiled to native
// code, the interpreter, and on each side the empty program, which is what a run costs by itself.
// No port, no driver, no model: the program alone. Answers are compared first; what disagrees is
// not timed.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/kernel_program.h"
#include "apps/common/turns.h"
#include "benchmarks/common/machine.h"
#include "benchmarks/programs/cases.h"
#include "benchmarks/programs/native_twin.h"
#include "benchmarks/programs/runner.h"
#include "lib/ebpf/loader/object.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/hook.h"

namespace crema::bench {
namespace {

using app::Engine;
using ebpf::loader::Object;
using Json = nlohmann::ordered_json;

struct Options {
    double seconds = 3;  // per program
    int rounds = 31;
    std::string json;
    std::vector<std::string> names;  // empty: all
};

/// A port in name only, so that devmaps have a target.
Status register_target() {
    static const xdp::PortOps ops = {
        .mode = "none",
        .xmit = [](void*, std::uint32_t, const xdp::Frame*, std::uint32_t) { return 0U; },
        .attach_check = [](void*, bool) -> Status { return fail(ENODEV, "this port is none"); },
        .frame_bytes_max = [](void*) { return 1518U; },
        .is_up = [](void*) { return false; },
    };
    const auto registered = xdp::register_port(0, ops, nullptr);
    return registered ? Status{} : Status{forward_error(registered)};
}

Status fill(const Object& object, const Case& one) {
    for (const MapFill& entry : one.fill) {
        const auto map = object.map(entry.map);
        if (!map) {
            return forward_error(map);
        }
        app::Bytes value = entry.value;
        std::optional<ebpf::syscall::ProgramFd> fd;
        if (!entry.program.empty()) {
            const auto program = object.program(entry.program);
            if (!program) {
                return forward_error(program);
            }
            auto opened = ebpf::syscall::ProgramFd::open(*program);
            if (!opened) {
                return forward_error(opened);
            }
            fd.emplace(std::move(*opened));
            const std::int32_t number = fd->get();
            value.resize(sizeof(number));
            std::memcpy(value.data(), &number, sizeof(number));
        }
        if (const int rc = (*map)->update(entry.key.data(), value.data(), 0); rc != 0) {
            return fail(-rc, "map {} cannot be filled: {}", entry.map, std::strerror(-rc));
        }
    }
    return {};
}

/// What keeps an engine's program alive.
struct Loaded {
    Object object;
    std::shared_ptr<const ebpf::LoadedProgram> program;
    std::shared_ptr<NativeTwin> twin;
};

Result<std::shared_ptr<Loaded>> load(const Case& one, ebpf::Engine how) {
    auto object = Object::judge(one.object, 0, how);
    if (!object) {
        return forward_error(object);
    }
    auto program = object->program(one.program);
    if (!program) {
        return forward_error(program);
    }
    if (Status filled = fill(*object, one); !filled) {
        return forward_error(filled);
    }
    auto loaded = std::make_shared<Loaded>();
    loaded->object = std::move(*object);
    loaded->program = std::move(*program);
    return loaded;
}

Result<Engine> own_engine(const Case& one, const char* name, ebpf::Engine how) {
    auto loaded = load(one, how);
    if (!loaded) {
        return forward_error(loaded);
    }
    auto runner = std::make_shared<Runner>((*loaded)->program->entry(), (*loaded)->program->self());
    return engine_of(name, runner, *loaded);
}

Result<Engine> native_engine(const Case& one) {
    if (one.twin.empty()) {
        return fail(ENOENT, "its source is not here");
    }
    auto loaded = load(one, ebpf::Engine::automatic);
    if (!loaded) {
        return forward_error(loaded);
    }
    auto twin = NativeTwin::open(one.twin, (*loaded)->object);
    if (!twin) {
        return forward_error(twin);
    }
    for (const MapFill& entry : one.fill) {
        if (entry.program.empty()) {
            continue;
        }
        std::uint32_t slot = 0;
        std::memcpy(&slot, entry.key.data(), sizeof(slot));
        if (Status set = (*twin)->set_program(entry.map, slot, entry.program); !set) {
            return forward_error(set);
        }
    }
    const auto entry = (*twin)->entry(one.program);
    if (!entry) {
        return forward_error(entry);
    }
    auto runner = std::make_shared<Runner>(*entry, nullptr);
    (*twin)->set_context(runner->buff());
    (*loaded)->twin = std::move(*twin);
    return engine_of("native", runner, *loaded);
}

Result<Engine> kernel_engine(const Case& one) {
    auto program = app::KernelProgram::load(one.object, one.program);
    if (!program) {
        return forward_error(program);
    }
    for (const MapFill& entry : one.fill) {
        Status set = entry.program.empty()
                         ? (*program)->update(entry.map, entry.key, entry.value)
                         : (*program)->update_program(entry.map, entry.key, entry.program);
        if (!set) {
            return forward_error(set);
        }
    }
    return app::engine_of("kernel", std::move(*program));
}

struct Measured {
    Case of;
    std::uint32_t verdict = 0;
    std::map<std::string, app::Spread> ns;       // by engine
    std::map<std::string, app::Spread> ratios;   // of crema to ...
    std::map<std::string, std::string> missing;  // engine -> why
};

const Engine* find(const std::vector<Engine>& engines, const std::string& name) {
    for (const Engine& engine : engines) {
        if (engine.name == name) {
            return &engine;
        }
    }
    return nullptr;
}

/// Crema's engine and all twins that there are and that agree with it.
std::vector<Engine> engines_of(const Case& one, Measured& measured) {
    std::vector<Engine> engines;
    auto crema = own_engine(one, "crema", ebpf::Engine::automatic);
    if (!crema) {
        measured.missing["crema"] = crema.error().message;
        return engines;
    }
    const auto answer = crema->run(one.packet);
    measured.verdict = answer ? answer->first : UINT32_MAX;
    engines.push_back(std::move(*crema));
    const auto add = [&](const char* name, Result<Engine> engine) {
        if (!engine) {
            measured.missing[name] = engine.error().message;
            return;
        }
        // Twice: the second run meets the maps as the first one left them.
        for (int i = 0; i < 2; ++i) {
            if (const Status same = app::compare(engines[0], *engine, {one.packet}); !same) {
                measured.missing[name] = same.error().message;
                return;
            }
        }
        engines.push_back(std::move(*engine));
    };
    add("native", native_engine(one));
    add("interpreter", own_engine(one, "interpreter", ebpf::Engine::interpreter));
    add("kernel", kernel_engine(one));
    return engines;
}

/// The empty program on both sides, for what a run costs by itself.
void add_empty(std::vector<Engine>& engines, Measured& measured) {
    const Case pass = {.name = "pass",
                       .kind = {},
                       .object = std::string(CREMA_BPF_DIR) + "/pass.bpf.o",
                       .program = "pass",
                       .twin = std::string(CREMA_BENCH_BPF_DIR) + "/pass.twin.so",
                       .packet = {},
                       .fill = {}};
    const auto add = [&](const char* name, Result<Engine> engine) {
        if (engine) {
            engine->name = name;
            engines.push_back(std::move(*engine));
        } else {
            measured.missing[name] = engine.error().message;
        }
    };
    add("crema empty", own_engine(pass, "crema", ebpf::Engine::automatic));
    add("native empty", native_engine(pass));
    add("kernel empty", kernel_engine(pass));
}

std::vector<double> net_of(const std::vector<Engine>& engines, const std::string& name) {
    const Engine* const whole = find(engines, name);
    const Engine* const empty = find(engines, name + " empty");
    return whole != nullptr && empty != nullptr ? app::differences(whole->ns, empty->ns)
                                                : std::vector<double>{};
}

void evaluate(const std::vector<Engine>& engines, Measured& measured) {
    for (const Engine& engine : engines) {
        measured.ns[engine.name] = app::spread_of(engine.ns);
    }
    const Engine& crema = *find(engines, "crema");
    const auto crema_net = net_of(engines, "crema");
    for (const char* name : {"native", "interpreter", "kernel"}) {
        if (const Engine* other = find(engines, name); other != nullptr) {
            measured.ratios[name] = app::spread_of(app::ratios(crema.ns, other->ns));
        }
    }
    for (const char* name : {"native", "kernel"}) {
        // Below a nanosecond a difference of two measurements is noise.
        const auto net = net_of(engines, name);
        if (!net.empty() && app::spread_of(net).median >= 1) {
            measured.ratios[std::string(name) + " net"] =
                app::spread_of(app::ratios(crema_net, net));
        }
    }
}

Result<Measured> measure(const Case& one, const Options& options) {
    Measured measured{.of = one, .ns = {}, .ratios = {}, .missing = {}};
    std::vector<Engine> engines = engines_of(one, measured);
    if (engines.empty()) {
        return measured;
    }
    add_empty(engines, measured);
    if (Status done = app::measure(engines, {one.packet}, options.seconds, options.rounds); !done) {
        return forward_error(done);
    }
    evaluate(engines, measured);
    return measured;
}

constexpr const char* kRatios[] = {"kernel", "kernel net", "native", "native net", "interpreter"};

/// Of the medians of all programs that have the ratio.
std::pair<double, int> geometric_mean(const std::vector<Measured>& all, const char* ratio) {
    double logs = 0;
    int n = 0;
    for (const Measured& one : all) {
        const auto found = one.ratios.find(ratio);
        if (found != one.ratios.end() && found->second.median > 0) {
            logs += std::log(found->second.median);
            ++n;
        }
    }
    return {n > 0 ? std::exp(logs / n) : 0, n};
}

std::string cell(const std::map<std::string, app::Spread>& values, const char* name) {
    const auto found = values.find(name);
    return found == values.end() ? "-" : fmt::format("{:.2f}", found->second.median);
}

std::string ratio_cell(const Measured& one, const char* name) {
    const auto found = one.ratios.find(name);
    return found == one.ratios.end() ? "-"
                                     : fmt::format("{:.2f} ({:.2f}..{:.2f})", found->second.median,
                                                   found->second.min, found->second.max);
}

void print_head() {
    (void)std::printf("%-16s %8s %8s %8s %8s   %-20s %-20s %-20s %-20s %s\n", "ns per packet",
                      "crema", "kernel", "native", "interp", "/kernel", "/kernel net", "/native",
                      "/native net", "/interpreter");
}

void print_row(const Measured& one) {
    (void)std::printf("%-16s %8s %8s %8s %8s   %-20s %-20s %-20s %-20s %s\n", one.of.name.c_str(),
                      cell(one.ns, "crema").c_str(), cell(one.ns, "kernel").c_str(),
                      cell(one.ns, "native").c_str(), cell(one.ns, "interpreter").c_str(),
                      ratio_cell(one, "kernel").c_str(), ratio_cell(one, "kernel net").c_str(),
                      ratio_cell(one, "native").c_str(), ratio_cell(one, "native net").c_str(),
                      ratio_cell(one, "interpreter").c_str());
    (void)std::fflush(stdout);
}

Json spreads_json(const std::map<std::string, app::Spread>& spreads) {
    Json out = Json::object();
    for (const auto& [name, spread] : spreads) {
        out[name] = {{"min", spread.min}, {"median", spread.median}, {"max", spread.max}};
    }
    return out;
}

Json to_json(const std::vector<Measured>& all, const Options& options) {
    Json programs = Json::array();
    for (const Measured& one : all) {
        programs.push_back({{"name", one.of.name},
                            {"kind", one.of.kind},
                            {"packet_bytes", one.of.packet.size()},
                            {"verdict", one.verdict},
                            {"ns_per_packet", spreads_json(one.ns)},
                            {"crema_over", spreads_json(one.ratios)},
                            {"not_measured", one.missing}});
    }
    Json means = Json::object();
    for (const char* ratio : kRatios) {
        const auto [mean, n] = geometric_mean(all, ratio);
        means[ratio] = {{"value", mean}, {"programs", n}};
    }
    return {{"rounds", options.rounds},
            {"geometric_means", std::move(means)},
            {"programs", std::move(programs)}};
}

void print_means(const std::vector<Measured>& all) {
    for (const char* ratio : kRatios) {
        const auto [mean, n] = geometric_mean(all, ratio);
        if (n > 0) {
            (void)std::printf("geometric mean of crema/%s over %d programs: %.3f\n", ratio, n,
                              mean);
        }
    }
    for (const Measured& one : all) {
        for (const auto& [engine, why] : one.missing) {
            (void)std::printf("not measured: %s, %s: %s\n", one.of.name.c_str(), engine.c_str(),
                              why.c_str());
        }
    }
}

std::optional<Options> parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "--smoke") {
            options.seconds = 0.03;
            options.rounds = 2;
        } else if (word == "--json" && i + 1 < argc) {
            options.json = argv[++i];
        } else if (word == "--seconds" && i + 1 < argc) {
            options.seconds = std::strtod(argv[++i], nullptr);  // no number is 0
        } else if (word.starts_with("-")) {
            return std::nullopt;
        } else {
            options.names.push_back(word);
        }
    }
    return options.seconds > 0 ? std::optional(options) : std::nullopt;
}

bool is_wanted(const Options& options, const Case& one) {
    return options.names.empty() ||
           std::find(options.names.begin(), options.names.end(), one.name) != options.names.end();
}

int run(const Options& options) {
    const std::vector<std::uint32_t> cpus = allowed_cpus();
    Status ready = pin_this_thread(cpus.front());
    if (ready) {
        ready = register_target();
    }
    if (!ready) {
        (void)std::fprintf(stderr, "bench: %s\n", ready.error().message.c_str());
        return 1;
    }
    (void)std::printf("clock before: %.2f x TSC\n", clock_ratio());
    print_head();
    std::vector<Measured> all;
    int code = 0;
    for (const Case& one : all_cases()) {
        if (!is_wanted(options, one)) {
            continue;
        }
        auto measured = measure(one, options);
        if (!measured) {
            (void)std::fprintf(stderr, "bench: %s: %s\n", one.name.c_str(),
                               measured.error().message.c_str());
            code = 1;
            continue;
        }
        print_row(*measured);
        all.push_back(std::move(*measured));
    }
    print_means(all);
    (void)std::printf("clock after: %.2f x TSC\n", clock_ratio());
    if (!options.json.empty()) {
        std::ofstream(options.json) << to_json(all, options).dump(1) << '\n';
    }
    return code;
}

}  // namespace
}  // namespace crema::bench

int main(int argc, char** argv) {
    const auto options = crema::bench::parse(argc, argv);
    if (!options) {
        (void)std::fprintf(
            stderr, "usage: programs_bench [--smoke] [--seconds S] [--json FILE] [NAME...]\n");
        return 2;
    }
    return crema::bench::run(*options);
}
