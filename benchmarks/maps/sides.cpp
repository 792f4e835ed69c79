// SPDX-License-Identifier: BSD-3-Clause
#include "benchmarks/maps/sides.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <linux/bpf.h>

#include "benchmarks/common/machine.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/test_run.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_bpf.h"

namespace crema::bench {

namespace {

namespace kernel = test::kernel;
namespace op = ebpf::op;
using ebpf::maps::MapSpec;
using ebpf::maps::MapType;

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

ebpf::Program program_for(const MapSpec& spec, Operation operation) {
    namespace t = test;
    constexpr int kKeyAt = -64;
    constexpr int kValueAt = -96;
    const int number_at = kKeyAt + (is_trie(spec) ? 4 : 0);
    ebpf::Program program;
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

    bool load(Operation operation, ebpf::Program program) override {
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
        fd_ = UniqueFd(
            static_cast<int>(ebpf::syscall::serve(BPF_MAP_CREATE, &create, sizeof create)));
        map_ = ebpf::syscall::map_of(fd_.get());
    }

    bool put(const void* key, const void* value) override {
        return map_ != nullptr && map_->update(key, value, 0) == 0;
    }

    bool load(Operation operation, ebpf::Program program) override {
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
        const UniqueFd fd(
            static_cast<int>(ebpf::syscall::serve(BPF_PROG_LOAD, &load, sizeof load)));
        if (!fd.valid()) {
            (void)std::fprintf(stderr, "%s\n", session_.refusal()->message.c_str());
            return false;
        }
        programs_[static_cast<std::size_t>(operation)] = ebpf::syscall::program_of(fd.get());
        return true;
    }

    void run(Operation operation, std::uint32_t runs) override {
        static_cast<void>(
            xdp::test_run(*programs_[static_cast<std::size_t>(operation)], kFrame, 1, runs));
    }

  private:
    ebpf::syscall::Session session_;
    UniqueFd fd_;
    std::shared_ptr<ebpf::maps::Map> map_;
    std::array<std::shared_ptr<const ebpf::LoadedProgram>, kOperations> programs_;
};

bool prepare(Side& side, const MapSpec& spec) {
    const std::vector<std::uint8_t> value(std::size_t{kValueBytes} * ebpf::maps::possible_cpus());
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

template <typename Which>
std::unique_ptr<Side> make(const MapSpec& spec) {
    auto side = std::make_unique<Which>(spec);
    if (!prepare(*side, spec)) {
        return nullptr;
    }
    return side;
}

}  // namespace

bool is_measured(const MapSpec& spec, Operation operation) {
    const bool is_array = spec.type == MapType::array || spec.type == MapType::percpu_array;
    return !is_array || operation != Operation::insert_delete;
}

std::unique_ptr<Side> kernel_side(const MapSpec& spec) {
    return make<KernelSide>(spec);
}

std::unique_ptr<Side> our_side(const MapSpec& spec) {
    return make<OurSide>(spec);
}

double measure(Side& side, Operation operation, std::uint32_t runs) {
    const std::uint64_t start = cpu_time_ns();
    side.run(operation, runs);
    return static_cast<double>(cpu_time_ns() - start) / runs;
}

}  // namespace crema::bench
