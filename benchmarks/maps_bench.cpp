// SPDX-License-Identifier: BSD-3-Clause
//
// Map operations of a program, ours beside the running kernel's: the same instructions on both
// sides, eight operations per run on random keys below (hit) or above (miss) the number of
// elements, net of the same program without them. CPU time, so that others on the core do not
// count; short rounds in turns, so that what slows the machine down meets both sides; per call the
// median of the rounds, and of the rounds' ratios the median, the least and the largest.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include <linux/bpf.h>

#include "benchmarks/common/machine.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/test_run.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_bpf.h"

namespace {

namespace kernel = crema::test::kernel;
namespace op = crema::ebpf::op;
using crema::ebpf::maps::MapSpec;
using crema::ebpf::maps::MapType;
using crema::test::Insn;

constexpr std::uint32_t kCallsPerRun = 8;
constexpr std::uint32_t kValueBytes = 16;

enum class Operation { none, lookup_hit, lookup_miss, update, insert_delete };

constexpr std::size_t kOperations = 5;
constexpr std::array kNames = {"", "lookup hit", "lookup miss", "update", "delete and insert"};

struct Settings {
    std::uint32_t rounds;
    double round_ns;  // about, of each program
};

std::uint64_t address(const void* at) {
    return reinterpret_cast<std::uintptr_t>(at);
}

bool is_trie(const MapSpec& spec) {
    return spec.type == MapType::lpm_trie;
}

/// The key of a number: LPM keys are whole-length prefixes.
std::vector<std::uint8_t> key_of(const MapSpec& spec, std::uint32_t number) {
    std::vector<std::uint8_t> key(spec.key_size);
    std::size_t at = 0;
    if (is_trie(spec)) {
        const std::uint32_t bits = (spec.key_size - 4) * 8;
        std::memcpy(key.data(), &bits, 4);
        at = 4;
    }
    std::memcpy(key.data() + at, &number, 4);
    return key;
}

/// Elements of arrays are there from the start, and stay.
bool is_measured(const MapSpec& spec, Operation operation) {
    const bool is_array = spec.type == MapType::array || spec.type == MapType::percpu_array;
    return !is_array || operation != Operation::insert_delete;
}

crema::ebpf::Program program_for(const MapSpec& spec, Operation operation) {
    namespace t = crema::test;
    constexpr int kKeyAt = -64;
    constexpr int kValueAt = -96;
    const int number_at = kKeyAt + (is_trie(spec) ? 4 : 0);
    crema::ebpf::Program program;
    program.name = "bench";
    auto& code = program.insns;
    for (int at = kValueAt; at < 0; at += 8) {
        code.push_back(t::store_k(op::kDw, 10, at, 0));
    }
    if (is_trie(spec)) {
        code.push_back(t::store_k(op::kW, 10, kKeyAt, (spec.key_size - 4) * 8));
    }
    const auto call = [&](int helper) {
        code.push_back(t::insn(op::kLdImm64, 1, op::kPseudoMap, 0, 0));
        code.push_back(t::insn(0, 0, 0, 0, 0));
        code.push_back(t::mov(2, 10));
        code.push_back(t::add_k(2, kKeyAt));
        if (helper == 2) {
            code.push_back(t::mov(3, 10));
            code.push_back(t::add_k(3, kValueAt));
            code.push_back(t::mov_k(4, 0));
        }
        code.push_back(t::insn(op::kJmp | op::kCall, 0, 0, 0, helper));
    };
    for (std::uint32_t i = 0; i < kCallsPerRun; i++) {
        code.push_back(t::insn(op::kJmp | op::kCall, 0, 0, 0, 7));
        code.push_back(t::alu_k(op::kMul, 0, spec.max_entries));
        code.push_back(t::alu_k(op::kRsh, 0, 32));
        if (operation == Operation::lookup_miss) {
            code.push_back(t::add_k(0, spec.max_entries));
        }
        code.push_back(t::store(op::kW, 10, number_at, 0));
        switch (operation) {
            case Operation::none:
                break;
            case Operation::lookup_hit:
            case Operation::lookup_miss:
                call(1);
                break;
            case Operation::update:
                call(2);
                break;
            case Operation::insert_delete:
                call(3);
                call(2);
                break;
        }
    }
    code.push_back(t::mov_k(0, 1));
    code.push_back(t::insn(op::kJmp | op::kExit, 0, 0, 0, 0));
    return program;
}

class Side {
  public:
    Side() = default;
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;
    virtual ~Side() = default;

    /// False: not filled.
    [[nodiscard]] virtual bool put(const void* key, const void* value) = 0;
    [[nodiscard]] virtual bool load(Operation operation, crema::ebpf::Program program) = 0;
    virtual void run(Operation operation, std::uint32_t runs) = 0;
};

constexpr std::array<std::uint8_t, 64> kFrame{};

// --- kernel ------------------------------------------------------------------------------------

class KernelSide final : public Side {
  public:
    explicit KernelSide(const MapSpec& spec) : map_(kernel::create_map(spec)) {}

    KernelSide(const KernelSide&) = delete;
    KernelSide& operator=(const KernelSide&) = delete;

    ~KernelSide() override {
        for (const int program : programs_) {
            ::close(program);
        }
        ::close(map_);
    }

    bool put(const void* key, const void* value) override {
        return kernel::update(map_, key, value, 0) == 0;
    }

    bool load(Operation operation, crema::ebpf::Program program) override {
        std::string log;
        const std::array<int, 1> maps = {map_};
        int& loaded = programs_[static_cast<std::size_t>(operation)];
        loaded = kernel::load_xdp(program, maps, &log);
        if (loaded < 0) {
            (void)std::fprintf(stderr, "the kernel refuses the program: %s\n", log.c_str());
        }
        return loaded >= 0;
    }

    void run(Operation operation, std::uint32_t runs) override {
        static_cast<void>(
            kernel::test_run(programs_[static_cast<std::size_t>(operation)], kFrame, runs));
    }

  private:
    int map_;
    std::array<int, kOperations> programs_ = {-1, -1, -1, -1, -1};
};

// --- ours --------------------------------------------------------------------------------------

class OurSide final : public Side {
  public:
    explicit OurSide(const MapSpec& spec) {
        bpf_attr create{};
        create.map_type = static_cast<std::uint32_t>(spec.type);
        create.key_size = spec.key_size;
        create.value_size = spec.value_size;
        create.max_entries = spec.max_entries;
        create.map_flags = spec.flags;
        fd_ = crema::UniqueFd(
            static_cast<int>(crema::ebpf::syscall::serve(BPF_MAP_CREATE, &create, sizeof create)));
        map_ = crema::ebpf::syscall::map_of(fd_.get());
    }

    bool put(const void* key, const void* value) override {
        return map_ != nullptr && map_->update(key, value, 0) == 0;
    }

    bool load(Operation operation, crema::ebpf::Program program) override {
        for (std::size_t at = 0; at < program.insns.size(); at++) {
            if (program.insns[at].code == op::kLdImm64) {
                program.insns[at].imm = fd_.get();
                at++;
            }
        }
        bpf_attr load{};
        load.prog_type = BPF_PROG_TYPE_XDP;
        load.expected_attach_type = BPF_XDP;
        load.insns = address(program.insns.data());
        load.insn_cnt = static_cast<std::uint32_t>(program.insns.size());
        load.license = address("GPL");
        const crema::UniqueFd fd(
            static_cast<int>(crema::ebpf::syscall::serve(BPF_PROG_LOAD, &load, sizeof load)));
        if (!fd.valid()) {
            (void)std::fprintf(stderr, "%s\n", session_.refusal()->message.c_str());
            return false;
        }
        programs_[static_cast<std::size_t>(operation)] = crema::ebpf::syscall::program_of(fd.get());
        return true;
    }

    void run(Operation operation, std::uint32_t runs) override {
        static_cast<void>(
            crema::xdp::test_run(*programs_[static_cast<std::size_t>(operation)], kFrame, 1, runs));
    }

  private:
    crema::ebpf::syscall::Session session_;
    crema::UniqueFd fd_;
    std::shared_ptr<crema::ebpf::maps::Map> map_;
    std::array<std::shared_ptr<const crema::ebpf::LoadedProgram>, kOperations> programs_;
};

// --- both --------------------------------------------------------------------------------------

/// ns per run.
double measure(Side& side, Operation operation, std::uint32_t runs) {
    const std::uint64_t start = crema::bench::cpu_time_ns();
    side.run(operation, runs);
    return static_cast<double>(crema::bench::cpu_time_ns() - start) / runs;
}

bool prepare(Side& side, const MapSpec& spec) {
    const std::vector<std::uint8_t> value(std::size_t{kValueBytes} *
                                          crema::ebpf::maps::possible_cpus());
    for (std::uint32_t number = 0; number < spec.max_entries; number++) {
        if (!side.put(key_of(spec, number).data(), value.data())) {
            (void)std::fprintf(stderr, "a map cannot be filled\n");
            return false;
        }
    }
    for (std::size_t i = 0; i < kOperations; i++) {
        const auto operation = static_cast<Operation>(i);
        if (is_measured(spec, operation) && !side.load(operation, program_for(spec, operation))) {
            return false;
        }
    }
    return true;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// Per round.
struct Rounds {
    std::vector<double> ours, theirs;
};

/// Logarithms of the ratios of one line of the summary.
using Summary = std::map<std::string, std::vector<double>>;

void report(const char* type_name,
            const MapSpec& spec,
            Operation operation,
            const Rounds& rounds,
            Summary& summary) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < rounds.ours.size(); i++) {
        if (rounds.theirs[i] > 0) {
            ratios.push_back(rounds.ours[i] / rounds.theirs[i]);
        }
    }
    if (ratios.empty()) {
        return;
    }
    const char* const name = kNames[static_cast<std::size_t>(operation)];
    const double ratio = median(ratios);
    std::printf("%-12s %8u %4u  %-18s %8.1f %8.1f  %5.2f (%.2f..%.2f)\n", type_name,
                spec.max_entries, spec.key_size, name, median(rounds.ours), median(rounds.theirs),
                ratio, *std::min_element(ratios.begin(), ratios.end()),
                *std::max_element(ratios.begin(), ratios.end()));
    if (ratio > 0) {
        summary[std::string(type_name) + ", " + name].push_back(std::log(ratio));
    }
}

bool compare(const char* type_name,
             const MapSpec& spec,
             const Settings& settings,
             Summary& summary) {
    KernelSide theirs(spec);
    OurSide ours(spec);
    if (!prepare(theirs, spec) || !prepare(ours, spec)) {
        return false;
    }
    std::array<Rounds, kOperations> all;
    std::array<std::uint32_t, kOperations> our_runs{};
    std::array<std::uint32_t, kOperations> their_runs{};
    const auto runs_of = [&](Side& side, Operation operation) {
        constexpr std::uint32_t kFirst = 200;
        static_cast<void>(measure(side, operation, kFirst));
        const double ns = std::max(1.0, measure(side, operation, kFirst));
        return std::max<std::uint32_t>(kFirst, static_cast<std::uint32_t>(settings.round_ns / ns));
    };
    for (std::size_t i = 0; i < kOperations; i++) {
        if (is_measured(spec, static_cast<Operation>(i))) {
            our_runs[i] = runs_of(ours, static_cast<Operation>(i));
            their_runs[i] = runs_of(theirs, static_cast<Operation>(i));
        }
    }
    for (std::uint32_t round = 0; round < settings.rounds; round++) {
        for (std::size_t i = 0; i < kOperations; i++) {
            const auto operation = static_cast<Operation>(i);
            if (is_measured(spec, operation)) {
                all[i].ours.push_back(measure(ours, operation, our_runs[i]));
                all[i].theirs.push_back(measure(theirs, operation, their_runs[i]));
            }
        }
    }
    for (std::size_t i = 1; i < kOperations; i++) {
        Rounds net;
        for (std::size_t round = 0; round < all[i].ours.size(); round++) {
            net.ours.push_back((all[i].ours[round] - all[0].ours[round]) / kCallsPerRun);
            net.theirs.push_back((all[i].theirs[round] - all[0].theirs[round]) / kCallsPerRun);
        }
        report(type_name, spec, static_cast<Operation>(i), net, summary);
    }
    (void)std::fflush(stdout);
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    if (!kernel::available()) {
        std::printf("maps_bench: bpf(2) is not permitted here: no kernel to compare with\n");
        return 0;
    }
    const bool smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
    const Settings settings =
        smoke ? Settings{.rounds = 1, .round_ns = 1e4} : Settings{.rounds = 11, .round_ns = 5e6};
    static_cast<void>(crema::bench::pin_this_thread(crema::bench::allowed_cpus().back()));
    std::printf("clock ratio %.2f; ns per call, net of the program without calls\n",
                crema::bench::clock_ratio());
    std::printf("map          elements  key  operation             crema   kernel  ratio\n");

    struct Type {
        const char* name;
        MapType type;
        std::uint32_t flags;
        std::vector<std::uint32_t> keys;
    };

    const std::vector<Type> types = {
        {"array", MapType::array, 0, {4}},
        {"percpu_array", MapType::percpu_array, 0, {4}},
        {"hash", MapType::hash, 0, {4, 8, 16, 40, 64}},
        {"percpu_hash", MapType::percpu_hash, 0, {4, 8, 16, 40, 64}},
        {"lru_hash", MapType::lru_hash, 0, {4, 8, 16, 40, 64}},
        {"lpm_trie", MapType::lpm_trie, crema::ebpf::maps::kNoPrealloc, {8, 20}}};
    Summary summary;
    for (const Type& type : types) {
        for (const std::uint32_t elements : {100U, 10'000U, 1'000'000U}) {
            for (const std::uint32_t key : type.keys) {
                const bool every_size = type.keys.size() <= 2 || key == 16;
                const bool chosen = smoke ? elements == 100 : every_size || elements == 10'000;
                const MapSpec spec = {.type = type.type,
                                      .key_size = key,
                                      .value_size = kValueBytes,
                                      .max_entries = elements,
                                      .flags = type.flags,
                                      .name = "bench"};
                if (chosen && !compare(type.name, spec, settings, summary)) {
                    return 1;
                }
            }
        }
    }
    std::printf("\ngeometric means of the ratios\n");
    for (const auto& [name, logs] : summary) {
        double sum = 0;
        for (const double one : logs) {
            sum += one;
        }
        std::printf("%-32s %5.2f\n", name.c_str(),
                    std::exp(sum / static_cast<double>(logs.size())));
    }
    return 0;
}
