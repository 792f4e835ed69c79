// SPDX-License-Identifier: BSD-3-Clause
//
// crema xdp bench: nanoseconds per packet of a program, here and in the kernel, in turns within one
// process, so that what the machine does meanwhile meets both. "net" is without what a run costs by
// itself: the program that passes everything without looking, measured in the same turns.
// Verdicts and bytes are compared before anything is timed.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <functional>
#include <nlohmann/json.hpp>

#include "apps/common/exit_code.h"
#include "apps/common/kernel_program.h"
#include "apps/crema/output.h"
#include "apps/crema/packets.h"
#include "apps/crema/verbs.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/verifier/verify.h"
#include "lib/xdp/test_run.h"

namespace crema::command {
namespace {

using Bytes = std::vector<std::uint8_t>;
using Json = nlohmann::ordered_json;

constexpr std::size_t kPacketsMax = 1024;
constexpr int kRounds = 12;
constexpr std::uint32_t kRepeatMin = 1000, kRepeatMax = 10'000'000;

/// One side of the comparison: what runs packets.
struct Engine {
    std::string name;
    /// Verdict and bytes after one run.
    std::function<Result<std::pair<std::uint32_t, Bytes>>(const Bytes&)> run;
    /// `repeat` runs on one buffer.
    std::function<Status(const Bytes&, std::uint32_t repeat)> time;
    std::uint32_t repeat = kRepeatMin;
    std::vector<double> ns;  // per packet, by round
};

/// Time this thread has spent on a core, also in the kernel: what others take is not in it.
double cpu_seconds() {
    timespec now{};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

Engine crema_engine(std::string name, std::shared_ptr<const ebpf::LoadedProgram> program) {
    return {.name = std::move(name),
            .run = [program](const Bytes& packet) -> Result<std::pair<std::uint32_t, Bytes>> {
                auto result = xdp::test_run(*program, packet, 1, 1);
                if (!result) {
                    return forward_error(result);
                }
                return std::pair{result->retval, std::move(result->bytes)};
            },
            .time = [program](const Bytes& packet, std::uint32_t repeat) -> Status {
                const auto result = xdp::test_run(*program, packet, 1, repeat);
                return result ? Status{} : Status{forward_error(result)};
            },
            .ns = {}};
}

Engine kernel_engine(std::string name, std::shared_ptr<const app::KernelProgram> program) {
    return {.name = std::move(name),
            .run = [program](const Bytes& packet) -> Result<std::pair<std::uint32_t, Bytes>> {
                auto result = program->run(packet, 1);
                if (!result) {
                    return forward_error(result);
                }
                return std::pair{result->retval, std::move(result->bytes)};
            },
            .time = [program](const Bytes& packet, std::uint32_t repeat) -> Status {
                const auto result = program->time(packet, repeat);
                return result ? Status{} : Status{forward_error(result)};
            },
            .ns = {}};
}

/// The program that passes everything, by the way every program goes.
Result<std::shared_ptr<const ebpf::LoadedProgram>> empty_program() {
    auto loaded = std::make_shared<ebpf::LoadedProgram>();
    loaded->program.name = "empty";
    loaded->program.expected_attach_type = ebpf::kAttachXdp;
    loaded->program.insns = {
        {.code = ebpf::op::kAlu64 | ebpf::op::kMov, .dst = 0, .src = 0, .off = 0, .imm = 2},
        {.code = ebpf::op::kJmp | ebpf::op::kExit, .dst = 0, .src = 0, .off = 0, .imm = 0},
    };
    const auto proof = ebpf::verifier::verify(loaded->program, {});
    if (!proof) {
        return forward_error(proof);
    }
    const auto lowered = ebpf::lowering::lower(loaded->program, *proof);
    if (!lowered) {
        return forward_error(lowered);
    }
    auto code = ebpf::lowering::compile(*lowered);
    if (!code) {
        return forward_error(code);
    }
    loaded->code = std::move(*code);
    return loaded;
}

/// Ethernet, IPv4, UDP to port 53 and zeros; checksums are right.
Bytes made_packet(std::uint32_t size) {
    Bytes packet = {
        0x02, 0,    0, 0,  0,   2,  0x02, 0, 0,  0,  0, 1, 0x08, 0,  // Ethernet
        0x45, 0,    0, 0,  0,   1,  0x40, 0, 64, 17, 0, 0,           // IPv4
        192,  0,    2, 1,  198, 51, 100,  2,                         // addresses
        0x9c, 0x40, 0, 53, 0,   0,  0,    0,                         // UDP without checksum
    };
    packet.resize(size);
    const auto put16 = [&packet](std::size_t at, std::uint32_t value) {
        packet[at] = static_cast<std::uint8_t>(value >> 8);
        packet[at + 1] = static_cast<std::uint8_t>(value);
    };
    put16(16, size - 14);
    put16(38, size - 34);
    std::uint32_t sum = 0;
    for (std::size_t at = 14; at < 34; at += 2) {
        sum += std::uint32_t{packet[at]} << 8 | packet[at + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    put16(24, ~(sum + (sum >> 16)) & 0xffff);
    return packet;
}

struct Packets {
    std::vector<Bytes> all;
    std::uint64_t left_out = 0;  // behind the first kPacketsMax
};

Result<Packets> read_packets(const BenchOptions& options) {
    Packets packets;
    if (options.in.empty()) {
        packets.all.push_back(made_packet(options.size));
        return packets;
    }
    auto reader = CaptureReader::open(options.in);
    if (!reader) {
        return forward_error(reader);
    }
    for (;;) {
        auto next = reader->next();
        if (!next) {
            return forward_error(next);
        }
        if (!*next) {
            break;
        }
        if (packets.all.size() == kPacketsMax) {
            ++packets.left_out;
        } else {
            packets.all.push_back(std::move((*next)->bytes));
        }
    }
    if (packets.all.empty()) {
        return fail(EINVAL, "{}: no packet in it", options.in);
    }
    return packets;
}

/// Both sides of every packet before anything is timed.
Status compare(const Engine& one, const Engine& other, const std::vector<Bytes>& packets) {
    for (std::size_t i = 0; i < packets.size(); ++i) {
        const auto here = one.run(packets[i]);
        if (!here) {
            return fail(here.error().code, "packet {}: {}: {}", i + 1, one.name,
                        here.error().message);
        }
        const auto there = other.run(packets[i]);
        if (!there) {
            return fail(there.error().code, "packet {}: {}: {}", i + 1, other.name,
                        there.error().message);
        }
        if (*here != *there) {
            return fail(
                EPROTO,
                "packet {}: {} gives {} and {} bytes, {} gives {} and {} bytes: not measured",
                i + 1, one.name, verdict_name(here->first), here->second.size(), other.name,
                verdict_name(there->first), there->second.size());
        }
    }
    return {};
}

/// CPU time per packet of one round.
Result<double> time_round(const Engine& engine, const std::vector<Bytes>& packets) {
    const double start = cpu_seconds();
    for (const Bytes& packet : packets) {
        if (Status done = engine.time(packet, engine.repeat); !done) {
            return forward_error(done);
        }
    }
    const double spent = cpu_seconds() - start;
    return spent * 1e9 / (static_cast<double>(packets.size()) * engine.repeat);
}

/// In turns; each round of each engine gets its share of the time.
Status measure(std::vector<Engine>& engines, const std::vector<Bytes>& packets, double seconds) {
    const double share = seconds / (kRounds * static_cast<double>(engines.size()));
    for (Engine& engine : engines) {
        const auto first = time_round(engine, packets);  // also warms up
        if (!first) {
            return forward_error(first);
        }
        const double wanted =
            share * 1e9 / (std::max(*first, 0.1) * static_cast<double>(packets.size()));
        engine.repeat =
            static_cast<std::uint32_t>(std::clamp(wanted, double{kRepeatMin}, double{kRepeatMax}));
    }
    for (int round = 0; round < kRounds; ++round) {
        for (Engine& engine : engines) {
            const auto ns = time_round(engine, packets);
            if (!ns) {
                return forward_error(ns);
            }
            engine.ns.push_back(*ns);
        }
    }
    return {};
}

struct Spread {
    double min = 0, median = 0, max = 0;
};

Spread spread_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return {values.front(), values[values.size() / 2], values.back()};
}

/// Round by round, so that both sides of a ratio are neighbours in time.
std::vector<double> by_round(const Engine& a,
                             const Engine& b,
                             const std::function<double(double, double)>& combine) {
    std::vector<double> out;
    for (std::size_t i = 0; i < a.ns.size(); ++i) {
        out.push_back(combine(a.ns[i], b.ns[i]));
    }
    return out;
}

struct Row {
    std::string name;
    Spread spread;
    bool is_ratio = false;
};

const Engine* find(const std::vector<Engine>& engines, std::string_view name) {
    const auto found = std::find_if(engines.begin(), engines.end(),
                                    [name](const Engine& engine) { return engine.name == name; });
    return found == engines.end() ? nullptr : &*found;
}

std::vector<Row> rows_of(const std::vector<Engine>& engines) {
    std::vector<Row> rows;
    for (const Engine& engine : engines) {
        rows.push_back({.name = engine.name, .spread = spread_of(engine.ns)});
    }
    const auto minus = [](double a, double b) { return a - b; };
    const auto over = [](double a, double b) { return b > 0 ? a / b : 0; };
    const Engine& crema = *find(engines, "crema");
    Engine crema_net{.name = "crema net", .run = {}, .time = {}, .ns = {}};
    crema_net.ns = by_round(crema, *find(engines, "crema empty"), minus);
    rows.push_back({.name = crema_net.name, .spread = spread_of(crema_net.ns)});
    if (const Engine* kernel = find(engines, "kernel"); kernel != nullptr) {
        Engine kernel_net{.name = "kernel net", .run = {}, .time = {}, .ns = {}};
        kernel_net.ns = by_round(*kernel, *find(engines, "kernel empty"), minus);
        rows.push_back({.name = kernel_net.name, .spread = spread_of(kernel_net.ns)});
        rows.push_back({.name = "crema/kernel",
                        .spread = spread_of(by_round(crema, *kernel, over)),
                        .is_ratio = true});
        rows.push_back({.name = "crema/kernel net",
                        .spread = spread_of(by_round(crema_net, kernel_net, over)),
                        .is_ratio = true});
    }
    return rows;
}

/// The kernel's two engines; the error says why there are none.
Status add_kernel(std::vector<Engine>& engines,
                  const BenchOptions& options,
                  const std::string& program) {
    if (!options.settings.empty()) {
        return fail(ENOTSUP, "map entries that --map sets are not set there");
    }
    auto empty = app::KernelProgram::load_empty();
    if (!empty) {
        return forward_error(empty);
    }
    auto loaded = app::KernelProgram::load(options.object, program);
    if (!loaded) {
        return forward_error(loaded);
    }
    engines.push_back(kernel_engine("kernel", std::move(*loaded)));
    engines.push_back(kernel_engine("kernel empty", std::move(*empty)));
    return {};
}

struct Outcome {
    std::string program;
    Packets packets;
    std::vector<Row> rows;
    std::vector<std::string> missing;
};

Result<Outcome> bench(const BenchOptions& options) {
    const auto object = ebpf::loader::Object::judge(options.object);
    if (!object) {
        return forward_error(object);
    }
    const auto program = object->program(options.program);
    if (!program) {
        return forward_error(program);
    }
    if (Status set = apply(options.settings, *object, options.object); !set) {
        return forward_error(set);
    }
    auto packets = read_packets(options);
    if (!packets) {
        return forward_error(packets);
    }
    const auto empty = empty_program();
    if (!empty) {
        return forward_error(empty);
    }
    Outcome outcome{.program = full_name(*object, **program),
                    .packets = std::move(*packets),
                    .rows = {},
                    .missing = {}};
    std::vector<Engine> engines;
    engines.push_back(crema_engine("crema", *program));
    engines.push_back(crema_engine("crema empty", *empty));
    if (const Status added = add_kernel(engines, options, outcome.program); !added) {
        outcome.missing.push_back("kernel: " + added.error().message);
    } else if (Status same = compare(engines[0], *find(engines, "kernel"), outcome.packets.all);
               !same) {
        return forward_error(same);
    }
    if (Status done = measure(engines, outcome.packets.all, options.seconds); !done) {
        return forward_error(done);
    }
    outcome.rows = rows_of(engines);
    return outcome;
}

std::string to_text(const BenchOptions& options, const Outcome& outcome) {
    std::string out = fmt::format(
        "{} on {}: CPU time per packet, median (min .. max) of {} rounds\n", outcome.program,
        options.in.empty()
            ? fmt::format("a UDP packet of {} bytes", options.size)
            : fmt::format("{} packets of {}", outcome.packets.all.size(), options.in),
        kRounds);
    for (const Row& row : outcome.rows) {
        out += fmt::format("  {:<18}{:9.2f}{} ({:.2f} .. {:.2f})\n", row.name, row.spread.median,
                           row.is_ratio ? "   " : " ns", row.spread.min, row.spread.max);
    }
    for (const std::string& what : outcome.missing) {
        out += "  not measured: " + what + "\n";
    }
    if (outcome.packets.left_out != 0) {
        out += fmt::format("  left out: {} packets behind the first {}\n", outcome.packets.left_out,
                           kPacketsMax);
    }
    return out;
}

Json to_json(const BenchOptions& options, const Outcome& outcome) {
    Json ns = Json::object();
    Json ratios = Json::object();
    for (const Row& row : outcome.rows) {
        (row.is_ratio ? ratios : ns)[row.name] = {
            {"median", row.spread.median}, {"min", row.spread.min}, {"max", row.spread.max}};
    }
    return {{"object", options.object},
            {"program", outcome.program},
            {"packets", outcome.packets.all.size()},
            {"left_out", outcome.packets.left_out},
            {"rounds", kRounds},
            {"ns_per_packet", std::move(ns)},
            {"ratios", std::move(ratios)},
            {"not_measured", outcome.missing}};
}

}  // namespace

int run_verb(const BenchOptions& options) {
    const auto outcome = bench(options);
    if (!outcome) {
        say_error(outcome.error().message);
        return app::kFailed;
    }
    if (options.json) {
        print(to_json(options, *outcome).dump(2, ' ', false, Json::error_handler_t::replace) +
              "\n");
    } else {
        print(to_text(options, *outcome));
    }
    return app::kDone;
}

}  // namespace crema::command
