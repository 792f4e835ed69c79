// SPDX-License-Identifier: BSD-3-Clause
//
// crema xdp bench: nanoseconds per packet of a program, compiled, interpreted and in the kernel, in
// turns within one process, so that what the machine does meanwhile meets both. "net" is without
// what a run costs by itself: the program that passes everything without looking, measured in the
// same turns. Verdicts and bytes are compared before anything is timed.
#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>

#include <linux/bpf.h>

#include "apps/common/exit_code.h"
#include "apps/common/kernel_program.h"
#include "apps/common/turns.h"
#include "apps/crema/output.h"
#include "apps/crema/packets.h"
#include "apps/crema/verbs.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/test_run.h"

namespace crema::command {
namespace {

using app::Bytes;
using app::Engine;
using Json = nlohmann::ordered_json;

constexpr std::size_t kPacketsMax = 1024;
constexpr int kRounds = 12;

Engine crema_engine(std::string name, const std::shared_ptr<const ebpf::LoadedProgram>& program) {
    return {
        .name = std::move(name),
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
    };
}

/// The program that passes everything, by the way every program goes.
Result<std::shared_ptr<const ebpf::LoadedProgram>> empty_program() {
    constexpr std::array<ebpf::Insn, 2> kInsns = {{
        {.code = ebpf::op::kAlu64 | ebpf::op::kMov, .dst = 0, .src = 0, .off = 0, .imm = 2},
        {.code = ebpf::op::kJmp | ebpf::op::kExit, .dst = 0, .src = 0, .off = 0, .imm = 0},
    }};
    const ebpf::syscall::Session session;
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.expected_attach_type = BPF_XDP;
    attr.insns = reinterpret_cast<std::uintptr_t>(kInsns.data());
    attr.insn_cnt = kInsns.size();
    attr.license = reinterpret_cast<std::uintptr_t>("GPL");
    const long result = ebpf::syscall::serve(BPF_PROG_LOAD, &attr, sizeof(attr));
    if (result < 0) {
        return fail(static_cast<int>(-result), "the empty program: {}",
                    session.refusal() ? session.refusal()->message : "cannot be loaded");
    }
    const UniqueFd fd(static_cast<int>(result));
    return ebpf::syscall::program_of(fd.get());
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

struct Row {
    std::string name;
    app::Spread spread;
    bool is_ratio = false;
};

const Engine* find(const std::vector<Engine>& engines, std::string_view name) {
    const auto found = std::find_if(engines.begin(), engines.end(),
                                    [name](const Engine& engine) { return engine.name == name; });
    return found == engines.end() ? nullptr : &*found;
}

std::vector<Row> rows_of(const std::vector<Engine>& engines) {
    std::vector<Row> rows;
    const auto add = [&rows](std::string name, const std::vector<double>& values, bool is_ratio) {
        rows.push_back(
            {.name = std::move(name), .spread = app::spread_of(values), .is_ratio = is_ratio});
    };
    for (const Engine& engine : engines) {
        add(engine.name, engine.ns, false);
    }
    const Engine& crema = *find(engines, "crema");
    const auto crema_net = app::differences(crema.ns, find(engines, "crema empty")->ns);
    add("crema net", crema_net, false);
    if (const Engine* interpreter = find(engines, "interpreter"); interpreter != nullptr) {
        add("crema/interpreter", app::ratios(crema.ns, interpreter->ns), true);
    }
    if (const Engine* kernel = find(engines, "kernel"); kernel != nullptr) {
        const auto kernel_net = app::differences(kernel->ns, find(engines, "kernel empty")->ns);
        add("kernel net", kernel_net, false);
        add("crema/kernel", app::ratios(crema.ns, kernel->ns), true);
        add("crema/kernel net", app::ratios(crema_net, kernel_net), true);
    }
    return rows;
}

/// The same program interpreted; its maps are its own.
Status add_interpreter(std::vector<Engine>& engines, const BenchOptions& options) {
    const auto subject = load_subject(options, options.settings, ebpf::Engine::interpreter);
    if (!subject) {
        return forward_error(subject);
    }
    engines.push_back(crema_engine("interpreter", subject->program));
    return {};
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
    engines.push_back(app::engine_of("kernel", std::move(*loaded)));
    engines.push_back(app::engine_of("kernel empty", std::move(*empty)));
    return {};
}

struct Outcome {
    std::string program;
    Packets packets;
    std::vector<Row> rows;
    std::vector<std::string> missing;
};

Result<Outcome> bench(const BenchOptions& options) {
    const auto subject = load_subject(options, options.settings);
    if (!subject) {
        return forward_error(subject);
    }
    auto packets = read_packets(options);
    if (!packets) {
        return forward_error(packets);
    }
    const auto empty = empty_program();
    if (!empty) {
        return forward_error(empty);
    }
    Outcome outcome{.program = full_name(subject->object, *subject->program),
                    .packets = std::move(*packets),
                    .rows = {},
                    .missing = {}};
    std::vector<Engine> engines;
    engines.push_back(crema_engine("crema", subject->program));
    engines.push_back(crema_engine("crema empty", *empty));
    if (const Status added = add_interpreter(engines, options); !added) {
        outcome.missing.push_back("interpreter: " + added.error().message);
    } else if (Status same =
                   app::compare(engines[0], *find(engines, "interpreter"), outcome.packets.all);
               !same) {
        return forward_error(same);
    }
    if (const Status added = add_kernel(engines, options, outcome.program); !added) {
        outcome.missing.push_back("kernel: " + added.error().message);
    } else if (Status same =
                   app::compare(engines[0], *find(engines, "kernel"), outcome.packets.all);
               !same) {
        return forward_error(same);
    }
    if (Status done = app::measure(engines, outcome.packets.all, options.seconds, kRounds); !done) {
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
