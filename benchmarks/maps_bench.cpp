// SPDX-License-Identifier: BSD-3-Clause
//
// Map operations of a program, ours beside the running kernel's, in one process and in turns: ns
// per call net of the loop around it, smallest of some rounds, and their ratio. Keys are random
// numbers below (hit) or above (miss) the number of elements, in keys of 4 to 64 bytes.
//
// Kernel: eight calls in an XDP program under BPF_PROG_TEST_RUN, less the same program without
// them. Ours: the native function of the map type, called as compiled code calls it, in the same
// loop.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include "benchmarks/common/machine.h"
#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/maps/map.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_bpf.h"

namespace {

namespace helpers = crema::ebpf::helpers;
namespace kernel = crema::test::kernel;
namespace op = crema::ebpf::op;
using crema::ebpf::maps::MapSpec;
using crema::ebpf::maps::MapType;
using crema::test::Insn;

constexpr std::uint32_t kCallsPerRun = 8;
constexpr std::uint32_t kValueBytes = 16;

enum class Operation { none, lookup_hit, lookup_miss, update, insert_delete };

struct Settings {
    std::uint32_t rounds;
    std::uint32_t runs;  // per round
};

std::uint64_t address(const void* at) {
    return reinterpret_cast<std::uintptr_t>(at);
}

double nanoseconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start)
        .count();
}

/// The key of a number: LPM keys are whole-length prefixes.
std::vector<std::uint8_t> key_of(const MapSpec& spec, std::uint32_t number) {
    std::vector<std::uint8_t> key(spec.key_size);
    std::size_t at = 0;
    if (spec.type == MapType::lpm_trie) {
        const std::uint32_t bits = (spec.key_size - 4) * 8;
        std::memcpy(key.data(), &bits, 4);
        at = 4;
    }
    std::memcpy(key.data() + at, &number, 4);
    return key;
}

// --- kernel ------------------------------------------------------------------------------------

crema::ebpf::Program program_for(const MapSpec& spec, Operation operation) {
    namespace t = crema::test;
    constexpr int kKeyAt = -64;
    constexpr int kValueAt = -96;
    const int number_at = kKeyAt + (spec.type == MapType::lpm_trie ? 4 : 0);
    crema::ebpf::Program program;
    program.name = "bench";
    auto& code = program.insns;
    for (int at = kValueAt; at < 0; at += 8) {
        code.push_back(t::store_k(op::kDw, 10, at, 0));
    }
    if (spec.type == MapType::lpm_trie) {
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

class KernelSide {
  public:
    explicit KernelSide(const MapSpec& spec) : spec_(spec), map_(kernel::create_map(spec)) {
        std::vector<std::uint8_t> value(kValueBytes * crema::ebpf::maps::possible_cpus());
        for (std::uint32_t number = 0; number < spec.max_entries; number++) {
            if (kernel::update(map_, key_of(spec, number).data(), value.data(), 0) != 0) {
                std::fprintf(stderr, "kernel map cannot be filled\n");
                std::exit(1);
            }
        }
    }

    KernelSide(const KernelSide&) = delete;
    KernelSide& operator=(const KernelSide&) = delete;

    ~KernelSide() {
        for (const int program : programs_) {
            ::close(program);
        }
        ::close(map_);
    }

    /// ns per run.
    double measure(Operation operation, std::uint32_t runs) {
        int& program = programs_[static_cast<std::size_t>(operation)];
        if (program < 0) {
            std::string log;
            const std::array<int, 1> maps = {map_};
            program = kernel::load_xdp(program_for(spec_, operation), maps, &log);
            if (program < 0) {
                std::fprintf(stderr, "kernel refuses the program: %s\n", log.c_str());
                std::exit(1);
            }
        }
        const std::array<std::uint8_t, 64> frame{};
        return kernel::test_run(program, frame, runs).duration_ns;
    }

  private:
    MapSpec spec_;
    int map_;
    std::array<int, 5> programs_ = {-1, -1, -1, -1, -1};
};

// --- ours --------------------------------------------------------------------------------------

class OurSide {
  public:
    explicit OurSide(const MapSpec& spec) : spec_(spec) {
        auto map = crema::ebpf::maps::create(spec);
        if (!map) {
            std::fprintf(stderr, "%s\n", map.error().message.c_str());
            std::exit(1);
        }
        map_ = *map;
        const std::vector<std::uint8_t> value(map_->user_value_bytes());
        for (std::uint32_t number = 0; number < spec.max_entries; number++) {
            if (map_->update(key_of(spec, number).data(), value.data(), 0) != 0) {
                std::fprintf(stderr, "our map cannot be filled\n");
                std::exit(1);
            }
        }
        for (std::uint32_t id = 1; id <= 3; id++) {
            natives_[id] = helpers::native_for(id, spec.type);
        }
    }

    /// ns per run.
    double measure(Operation operation, std::uint32_t runs) {
        const auto start = std::chrono::steady_clock::now();
        for (std::uint32_t run = 0; run < runs; run++) {
            for (std::uint32_t i = 0; i < kCallsPerRun; i++) {
                call(operation);
            }
        }
        return nanoseconds_since(start) / runs;
    }

  private:
    std::uint32_t random() {
        state_ ^= state_ << 13U;
        state_ ^= state_ >> 7U;
        state_ ^= state_ << 17U;
        return static_cast<std::uint32_t>(state_ >> 32U);
    }

    void call(Operation operation) {
        auto number =
            static_cast<std::uint32_t>(std::uint64_t{random()} * spec_.max_entries >> 32U);
        if (operation == Operation::lookup_miss) {
            number += spec_.max_entries;
        }
        std::uint8_t* const at = key_.data() + (spec_.type == MapType::lpm_trie ? 4 : 0);
        std::memcpy(at, &number, sizeof number);
        asm volatile("" ::: "memory");  // the key is written in every case, also without a call
        const std::uint64_t map = helpers::map_argument(*map_);
        switch (operation) {
            case Operation::none:
                break;
            case Operation::lookup_hit:
            case Operation::lookup_miss:
                natives_[1](map, address(key_.data()), 0, 0, address(&context_));
                break;
            case Operation::update:
                natives_[2](map, address(key_.data()), address(value_.data()), 0,
                            address(&context_));
                break;
            case Operation::insert_delete:
                natives_[3](map, address(key_.data()), 0, 0, address(&context_));
                natives_[2](map, address(key_.data()), address(value_.data()), 0,
                            address(&context_));
                break;
        }
    }

    MapSpec spec_;
    std::shared_ptr<crema::ebpf::maps::Map> map_;
    std::array<helpers::Native, 4> natives_{};
    crema::ebpf::XdpBuff context_{};
    std::vector<std::uint8_t> key_ = key_of(spec_, 0);
    std::array<std::uint8_t, kValueBytes> value_{};
    std::uint64_t state_ = 0x2545f4914f6cdd1d;
};

/// The smallest of some rounds, both sides in turns: others on this machine only ever add time.
template <typename Side>
double smallest(Side& side, Operation operation, double best, std::uint32_t runs) {
    return std::min(best, side.measure(operation, runs));
}

void compare(const char* type_name, const MapSpec& spec, const Settings& settings) {
    constexpr std::array kOperations = {Operation::none, Operation::lookup_hit,
                                        Operation::lookup_miss, Operation::update,
                                        Operation::insert_delete};
    constexpr std::array kNames = {"", "lookup hit", "lookup miss", "update", "delete and insert"};
    KernelSide theirs(spec);
    OurSide ours(spec);
    std::array<double, 5> their_ns{};
    std::array<double, 5> our_ns{};
    their_ns.fill(1e12);
    our_ns.fill(1e12);
    for (std::uint32_t round = 0; round < settings.rounds; round++) {
        for (const Operation operation : kOperations) {
            const auto at = static_cast<std::size_t>(operation);
            our_ns[at] = smallest(ours, operation, our_ns[at], settings.runs);
            their_ns[at] = smallest(theirs, operation, their_ns[at], settings.runs);
        }
    }
    for (std::size_t at = 1; at < kOperations.size(); at++) {
        const double own = (our_ns[at] - our_ns[0]) / kCallsPerRun;
        const double kernels = (their_ns[at] - their_ns[0]) / kCallsPerRun;
        std::printf("%-12s %8u %4u  %-18s %8.1f %8.1f  %5.2f\n", type_name, spec.max_entries,
                    spec.key_size, kNames[at], own, kernels, own / kernels);
    }
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    if (!kernel::available()) {
        std::printf("bpf(2) is not permitted here: no kernel to compare with\n");
        return 0;
    }
    const bool smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
    const Settings settings =
        smoke ? Settings{.rounds = 1, .runs = 100} : Settings{.rounds = 12, .runs = 40000};
    static_cast<void>(crema::bench::pin_this_thread(crema::bench::allowed_cpus().back()));
    std::printf("map          elements  key  operation            ours ns  kernel ns  ratio\n");

    struct Type {
        const char* name;
        MapType type;
        std::uint32_t flags;
    };

    constexpr std::array kTypes = {
        Type{"hash", MapType::hash, 0}, Type{"percpu_hash", MapType::percpu_hash, 0},
        Type{"lru_hash", MapType::lru_hash, 0},
        Type{"lpm_trie", MapType::lpm_trie, crema::ebpf::maps::kNoPrealloc}};
    for (const Type& type : kTypes) {
        const bool trie = type.type == MapType::lpm_trie;
        for (const std::uint32_t elements : {100U, 10000U, 1000000U}) {
            for (const std::uint32_t key : {4U, 8U, 16U, 40U, 64U}) {
                const bool chosen =
                    smoke ? elements == 100 && key == 16 : key == 16 || elements == 10000;
                if (!chosen || (trie && (key == 4 || key > 16))) {
                    continue;
                }
                compare(type.name,
                        {.type = type.type,
                         .key_size = key,
                         .value_size = kValueBytes,
                         .max_entries = elements,
                         .flags = type.flags,
                         .name = "bench"},
                        settings);
            }
        }
    }
    return 0;
}
