// SPDX-License-Identifier: BSD-3-Clause
//
// What each further program on a port costs, in turns within one process: programs one after the
// other as a port runs them (lib/xdp/chain.h), the same by libxdp's dispatcher here (its
// instructions, its functions replaced by extensions), by tail calls from one to the next, and both
// in the kernel. Extensions may not be loaded into every kernel; there the dispatcher's functions
// are the programs themselves, so a call of one is not behind a jump as it would be.
//
// All programs are the same: a look at the frame's type, then PASS. Answers are compared first.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <linux/bpf.h>

#include "apps/common/turns.h"
#include "benchmarks/common/machine.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/chain.h"
#include "tests/support/extensions.h"
#include "tests/support/kernel_bpf.h"

namespace crema::bench {
namespace {

using app::Engine;
using ebpf::LoadedProgram;
using ebpf::syscall::ChainedProgram;
using ebpf::syscall::Session;
using test::Code;
namespace op = ebpf::op;

using Program = std::shared_ptr<const LoadedProgram>;

constexpr int kTailCall = 12;
constexpr std::uint32_t kPassOn = 1U << XDP_PASS;
constexpr std::array<std::uint32_t, 4> kLengths = {1, 2, 5, 10};
constexpr std::uint32_t kBurst = 32;

/// What every program does; r6: context afterwards.
Code look_at_frame() {
    return {test::mov(6, 1),
            test::load(op::kW, 2, 1, 0),
            test::load(op::kW, 3, 1, 4),
            test::mov(4, 2),
            test::add_k(4, 34),
            test::jump(op::kJle, 4, 3, 2),
            test::mov_k(0, XDP_ABORTED),
            test::exit_insn(),
            test::load(op::kH, 5, 2, 12),
            test::jump_k(op::kJne, 5, 0x8888, 2),
            test::mov_k(0, XDP_DROP),
            test::exit_insn()};
}

Code one_program() {
    return {look_at_frame(), test::mov_k(0, XDP_PASS), test::exit_insn()};
}

/// The same, then the one in slot `next`.
Code with_tail_call(std::uint32_t next) {
    return {look_at_frame(),      test::mov(1, 6),       test::ld_map(2, 0),
            test::mov_k(3, next), test::call(kTailCall), test::mov_k(0, XDP_ABORTED),
            test::exit_insn()};
}

/// libxdp's dispatcher for n programs, and behind it n functions; first[i]: where function i is.
Code dispatcher(std::uint32_t n, const Code& function, std::vector<std::uint32_t>* first) {
    constexpr int kPerCall = 7, kBefore = 1, kAfter = 2;
    const auto calls = static_cast<int>(n);
    const auto bytes = static_cast<int>(function.insns().size());
    const int end = kBefore + calls * kPerCall + kAfter;
    Code code = test::mov(6, 1);
    for (int i = 0; i < calls; ++i) {
        const int at = kBefore + i * kPerCall;
        const int target = end + i * bytes;
        first->push_back(static_cast<std::uint32_t>(target));
        code = Code{code,
                    test::mov(1, 6),
                    test::call_function(target - (at + 2)),
                    test::alu32_k(op::kMov, 1, static_cast<std::int32_t>(kPassOn | 1U << 31)),
                    test::alu32(op::kMov, 2, 0),
                    test::alu(op::kRsh, 1, 2),
                    test::alu_k(op::kAnd, 1, 1),
                    test::jump_k(op::kJeq, 1, 0, end - 1 - (at + kPerCall))};
    }
    code = Code{code, test::mov_k(0, XDP_PASS), test::exit_insn()};
    for (int i = 0; i < calls; ++i) {
        code = Code{code, function};
    }
    return code;
}

[[noreturn]] void give_up(const std::string& why) {
    (void)std::fprintf(stderr, "chain_bench: %s\n", why.c_str());
    std::exit(1);
}

UniqueFd loaded_fd(long result, const Session& session) {
    if (result < 0) {
        give_up(session.refusal() ? session.refusal()->message : "a program is not loaded");
    }
    return UniqueFd(static_cast<int>(result));
}

/// Programs of Crema, with what keeps them.
class Loaded {
  public:
    UniqueFd load(const Code& code, int map = -1) {
        std::vector<ebpf::Insn> insns = code.insns();
        for (ebpf::Insn& insn : insns) {
            if (insn.code == op::kLdImm64) {
                insn.imm = map;
            }
        }
        return loaded_fd(test::load_typed(insns, -1, {}), session_);
    }

    Program chain_member() { return ebpf::syscall::program_of(load(one_program()).get()); }

    Program tail_calls(std::uint32_t n) {
        bpf_attr create{};
        create.map_type = BPF_MAP_TYPE_PROG_ARRAY;
        create.key_size = create.value_size = sizeof(std::uint32_t);
        create.max_entries = n;
        const int map =
            keep(loaded_fd(ebpf::syscall::serve(BPF_MAP_CREATE, &create, sizeof create), session_));
        Program first;
        for (std::uint32_t i = n; i-- > 0;) {
            const int fd = keep(i + 1 < n ? load(with_tail_call(i + 1), map) : load(one_program()));
            first = ebpf::syscall::program_of(fd);
            bpf_attr update{};
            update.map_fd = static_cast<std::uint32_t>(map);
            update.key = reinterpret_cast<std::uintptr_t>(&i);
            update.value = reinterpret_cast<std::uintptr_t>(&fd);
            if (ebpf::syscall::serve(BPF_MAP_UPDATE_ELEM, &update, sizeof update) != 0) {
                give_up("a program does not go into an array");
            }
        }
        return first;
    }

    Program dispatched(std::uint32_t n) {
        test::ContextTypes types;
        std::vector<std::uint32_t> named;
        for (std::uint32_t i = 0; i < n; ++i) {
            named.push_back(
                types.writer.function("prog" + std::to_string(i), types.proto, ebpf::kBtfGlobal));
        }
        const int btf = keep(loaded_fd(test::load_types(types.writer), session_));
        std::vector<std::uint32_t> first;
        const Code code = dispatcher(n, {test::mov_k(0, 31), test::exit_insn()}, &first);
        std::vector<bpf_func_info> functions = {{0, types.whole}};
        for (std::uint32_t i = 0; i < n; ++i) {
            functions.push_back({first[i], named[i]});
        }
        const int target = keep(loaded_fd(test::load_typed(code, btf, functions), session_));
        for (std::uint32_t i = 0; i < n; ++i) {
            const int extension = keep(
                loaded_fd(test::load_extension(one_program(), btf, target, named[i], types.called),
                          session_));
            keep(loaded_fd(test::put_in_place(extension), session_));
        }
        return ebpf::syscall::program_of(target);
    }

  private:
    int keep(UniqueFd fd) {
        kept_.push_back(std::move(fd));
        return kept_.back().get();
    }

    Session session_;
    std::vector<UniqueFd> kept_;
};

/// A frame as a port has it, and runs in bursts.
class Frames {
  public:
    Frames() : page_(std::make_unique<Page>()) {}

    template <typename Runs>
    std::uint32_t run(const Runs& runs, const app::Bytes& packet, std::uint32_t repeat) {
        ebpf::XdpBuff buff{};
        buff.data_hard_start = page_->bytes.data();
        buff.frame_sz = ebpf::kTestRunPageBytes;
        buff.data = buff.data_meta = page_->bytes.data() + ebpf::kXdpHeadroom;
        buff.data_end = std::ranges::copy(packet, buff.data).out;
        std::uint64_t result = 0;
        for (std::uint32_t done = 0; done < repeat; done += kBurst) {
            const ebpf::RunScope scope(buff);
            const std::uint32_t burst = std::min(kBurst, repeat - done);
            with_runs_of(runs, [&](auto&& run) {
                for (std::uint32_t i = 0; i < burst; ++i) {
                    buff.redirect.kind = ebpf::RedirectTarget::Kind::none;
                    buff.tail_calls = 0;
                    result = run(buff);
                }
            });
        }
        return static_cast<std::uint32_t>(result);
    }

  private:
    struct alignas(ebpf::kTestRunPageBytes) Page {
        std::array<std::uint8_t, ebpf::kTestRunPageBytes> bytes{};
    };

    std::unique_ptr<Page> page_;
};

/// runs(): what with_runs_of() takes.
template <typename MakeRuns>
Engine own_engine(const std::string& name, MakeRuns runs) {
    const auto frames = std::make_shared<Frames>();
    return {.name = name,
            .run = [frames, runs](
                       const app::Bytes& packet) -> Result<std::pair<std::uint32_t, app::Bytes>> {
                return std::pair(frames->run(runs(), packet, 1), packet);
            },
            .time = [frames, runs](const app::Bytes& packet, std::uint32_t repeat) -> Status {
                (void)frames->run(runs(), packet, repeat);
                return {};
            }};
}

Engine program_engine(const std::string& name, const Program& program) {
    return own_engine(name, [program]() -> const LoadedProgram& { return *program; });
}

Engine chain_engine(const std::string& name, const std::vector<ChainedProgram>& programs) {
    struct Held {
        std::vector<ChainedProgram> programs;
        xdp::Chain chain;
        std::uint32_t decider = 0;
    };

    const auto held = std::make_shared<Held>(Held{programs, xdp::Chain(programs)});
    return own_engine(
        name, [held] { return xdp::ChainRuns{.chain = held->chain, .decider = held->decider}; });
}

/// A program of the kernel; kept: other descriptors that it needs.
Engine kernel_engine(const std::string& name, int program, const std::vector<int>& kept = {}) {
    const auto fds = std::make_shared<std::vector<UniqueFd>>();
    fds->emplace_back(program);
    for (const int fd : kept) {
        fds->emplace_back(fd);
    }
    return {.name = name,
            .run = [fds](const app::Bytes& packet) -> Result<std::pair<std::uint32_t, app::Bytes>> {
                const auto run = test::kernel::test_run(fds->front().get(), packet, 1);
                if (run.error != 0) {
                    return fail(-run.error, "the kernel does not run the program");
                }
                return std::pair(run.retval, run.packet);
            },
            .time = [fds](const app::Bytes& packet, std::uint32_t repeat) -> Status {
                const auto run = test::kernel::test_run(fds->front().get(), packet, repeat);
                return run.error == 0 ? Status()
                                      : Status(fail(-run.error, "the kernel does not run"));
            }};
}

int load_into_kernel(const Code& code, std::span<const int> maps = {}) {
    std::string log;
    const int fd = test::kernel::load_xdp(test::program_of(code), maps, &log);
    if (fd < 0) {
        give_up("the kernel refuses a program: " + log);
    }
    return fd;
}

Engine kernel_tail_calls(const std::string& name, std::uint32_t n) {
    const int map = test::kernel::create_map({.type = ebpf::maps::MapType::prog_array,
                                              .key_size = 4,
                                              .value_size = 4,
                                              .max_entries = n,
                                              .flags = 0,
                                              .name = "programs"});
    const int maps[] = {map};
    std::vector<int> kept = {map};
    int first = -1;
    for (std::uint32_t i = n; i-- > 0;) {
        first = i + 1 < n ? load_into_kernel(with_tail_call(i + 1), maps)
                          : load_into_kernel(one_program());
        if (i != 0) {
            kept.push_back(first);
            if (test::kernel::update(map, &i, &first, 0) != 0) {
                give_up("a program of the kernel does not go into an array");
            }
        }
    }
    return kernel_engine(name, first, kept);
}

/// The same in several lengths: kLengths.
struct Side {
    const char* name;
    std::array<std::size_t, kLengths.size()> engines{};  // by place in the list
};

void add_side(std::vector<Side>& sides, const char* name, std::vector<Engine>& engines, auto make) {
    Side side = {.name = name};
    for (std::size_t i = 0; i < kLengths.size(); ++i) {
        side.engines[i] = engines.size();
        engines.push_back(
            make(std::string(name) + " x" + std::to_string(kLengths[i]), kLengths[i]));
    }
    sides.push_back(side);
}

std::string text_of(const std::vector<double>& values) {
    const app::Spread spread = app::spread_of(values);
    return fmt::format("{:.2f} ({:.2f}..{:.2f})", spread.median, spread.min, spread.max);
}

/// Nanoseconds that one program more costs: by round, between one and the most.
std::vector<double> per_program(const Side& side, const std::vector<Engine>& engines) {
    std::vector<double> more =
        app::differences(engines[side.engines.back()].ns, engines[side.engines.front()].ns);
    for (double& each : more) {
        each /= kLengths.back() - kLengths.front();
    }
    return more;
}

nlohmann::ordered_json report(const std::vector<Side>& sides, const std::vector<Engine>& engines) {
    nlohmann::ordered_json json = nlohmann::ordered_json::array();
    fmt::print("{:<36}", "ns per frame, programs:");
    for (const std::uint32_t n : kLengths) {
        fmt::print("{:>8}", n);
    }
    fmt::print("  {:<22} {}\n", "each one more", "of it, ours as a part");
    const std::vector<double> ours = per_program(sides.front(), engines);
    for (const Side& side : sides) {
        nlohmann::ordered_json row = {{"side", side.name}};
        fmt::print("{:<36}", side.name);
        for (std::size_t i = 0; i < kLengths.size(); ++i) {
            const double median = app::spread_of(engines[side.engines[i]].ns).median;
            fmt::print("{:>8.2f}", median);
            row["ns"][std::to_string(kLengths[i])] = median;
        }
        const std::vector<double> more = per_program(side, engines);
        const std::vector<double> parts = app::ratios(ours, more);
        fmt::print("  {:<22} {}\n", text_of(more),
                   &side == &sides.front() ? std::string("-") : text_of(parts));
        row["ns_per_program"] = app::spread_of(more).median;
        row["ours_per_theirs"] = app::spread_of(parts).median;
        json.push_back(row);
    }
    return json;
}

int run(bool is_smoke, const std::string& json_path) {
    if (const auto pinned = pin_this_thread(allowed_cpus().front()); !pinned) {
        give_up(pinned.error().message);
    }
    Loaded loaded;
    std::vector<Side> sides;
    std::vector<Engine> engines;
    add_side(sides, "crema: programs of a port", engines, [&](const std::string& name, auto n) {
        if (n == 1) {  // as a port runs one alone
            return program_engine(name, loaded.chain_member());
        }
        std::vector<ChainedProgram> programs(n);
        for (ChainedProgram& each : programs) {
            each = {.program = loaded.chain_member(), .config = {}};
        }
        return chain_engine(name, programs);
    });
    add_side(sides, "crema: libxdp's dispatcher", engines, [&](const std::string& name, auto n) {
        return program_engine(name, loaded.dispatched(n));
    });
    add_side(sides, "crema: tail calls", engines, [&](const std::string& name, auto n) {
        return program_engine(name, loaded.tail_calls(n));
    });
    if (test::kernel::available()) {
        add_side(sides, "kernel: dispatcher, without freplace", engines,
                 [](const std::string& name, auto n) {
                     std::vector<std::uint32_t> first;
                     return kernel_engine(name,
                                          load_into_kernel(dispatcher(n, one_program(), &first)));
                 });
        add_side(sides, "kernel: tail calls", engines, kernel_tail_calls);
    } else {
        fmt::print("chain_bench: bpf(2) is not permitted here: nothing of the kernel\n");
    }
    const std::vector<app::Bytes> packets = {app::Bytes(64)};
    for (const Engine& engine : engines) {
        if (const Status same = app::compare(engines.front(), engine, packets); !same) {
            give_up(same.error().message);
        }
    }
    const double clock = clock_ratio();
    if (const Status done = app::measure(engines, packets, is_smoke ? 0.02 : 12, is_smoke ? 1 : 31);
        !done) {
        give_up(done.error().message);
    }
    fmt::print(
        "clock ratio {:.2f} before, {:.2f} after; CPU time, medians of turns, least and "
        "largest in brackets\n",
        clock, clock_ratio());
    const auto json = report(sides, engines);
    if (!json_path.empty()) {
        std::ofstream(json_path) << json.dump(1);
    }
    return 0;
}

}  // namespace
}  // namespace crema::bench

// NOLINTNEXTLINE(bugprone-exception-escape): memory that runs out ends the measurement
int main(int argc, char** argv) {
    bool is_smoke = false;
    std::string json;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--smoke") {
            is_smoke = true;
        } else if (word == "--json" && i + 1 < argc) {
            json = argv[++i];
        } else {
            (void)std::fprintf(stderr, "usage: chain_bench [--smoke] [--json FILE]\n");
            return 2;
        }
    }
    return crema::bench::run(is_smoke, json);
}
