// SPDX-License-Identifier: BSD-3-Clause
//
// Tail calls, by the kernel and by us: chains of programs that mark the packet, up to and over the
// limit of a run, empty slots, indices out of range and above 32 bits. Verdict and packet must be
// equal.
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/target_hooks.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

constexpr int kTailCall = 12;
constexpr std::uint32_t kSlots = 4;

// What stands for descriptors on our side: places in this list.
std::vector<std::shared_ptr<ebpf::LoadedProgram>>& loaded_programs() {
    static std::vector<std::shared_ptr<ebpf::LoadedProgram>> all;
    return all;
}

ebpf::maps::ProgramRef loaded_by_place(int place) {
    ebpf::maps::ProgramRef ref;
    const auto& all = loaded_programs();
    if (place >= 0 && place < static_cast<int>(all.size())) {
        ref.program = all[static_cast<std::size_t>(place)];
        ref.id = ref.program->id;
        ref.entry = ref.program->entry();
        ref.self = ref.program->self();
    }
    return ref;
}

// packet[at]++, then a tail call of `index` (loaded by `load_index` into r3); what follows when it
// fails: return `otherwise`.
Code marking(int at, const Code& load_index, int otherwise) {
    return {mov(6, 1),
            load(op::kW, 2, 1, 0),
            load(op::kW, 3, 1, 4),
            mov(4, 2),
            add_k(4, 16),
            jump(op::kJgt, 4, 3, 3),
            load(op::kB, 5, 2, at),
            add_k(5, 1),
            store(op::kB, 2, at, 5),
            mov(1, 6),
            ld_map(2, 0),
            load_index,
            call(kTailCall),
            mov_k(0, otherwise),
            exit_insn()};
}

class Both {
  public:
    Both() {
        const ebpf::maps::MapSpec spec = {.type = ebpf::maps::MapType::prog_array,
                                          .key_size = 4,
                                          .value_size = 4,
                                          .max_entries = kSlots,
                                          .flags = 0,
                                          .name = "programs"};
        ours_ = *ebpf::maps::create(spec);
        kernel_ = kernel::create_map(spec);
        EXPECT_GE(kernel_, 0);
    }

    Both(const Both&) = delete;
    Both& operator=(const Both&) = delete;

    ~Both() {
        for (std::uint32_t key = 0; key < kSlots; key++) {
            (void)ours_->erase(&key);
        }
        for (const int fd : fds_) {
            ::close(fd);
        }
        ::close(kernel_);
        loaded_programs().clear();
    }

    // The place of the program in the list.
    int add(const Code& code) {
        ebpf::Program program = program_of(code);
        program.maps = {ours_};
        std::string log;
        fds_.push_back(kernel::load_xdp(program, std::vector<int>{kernel_}, &log));
        EXPECT_GE(fds_.back(), 0) << log;
        const auto proof = ebpf::verifier::verify(program, {});
        EXPECT_TRUE(proof) << proof.error().message;
        const auto lowered = ebpf::lowering::lower(program, *proof);
        EXPECT_TRUE(lowered) << lowered.error().message;
        auto compiled = ebpf::lowering::compile(*lowered);
        EXPECT_TRUE(compiled) << compiled.error().message;
        auto loaded = std::make_shared<ebpf::LoadedProgram>();
        loaded->id = static_cast<std::uint32_t>(fds_.size());
        loaded->code = std::move(*compiled);
        loaded_programs().push_back(std::move(loaded));
        return static_cast<int>(fds_.size()) - 1;
    }

    void set(std::uint32_t slot, int place) {
        EXPECT_EQ(ours_->update(&slot, &place, 0), 0);
        EXPECT_EQ(kernel::update(kernel_, &slot, &fds_[static_cast<std::size_t>(place)], 0), 0);
    }

    void expect_same(int place, const char* what) {
        const std::vector<std::uint8_t> packet(64);
        const kernel::Run kernel =
            kernel::test_run(fds_[static_cast<std::size_t>(place)], packet, 1);
        ASSERT_EQ(kernel.error, 0) << what;
        std::vector<std::uint8_t> page(ebpf::kTestRunPageBytes);
        ebpf::XdpBuff buff{};
        buff.data_hard_start = page.data();
        buff.frame_sz = ebpf::kTestRunPageBytes;
        buff.data = page.data() + ebpf::kXdpHeadroom;
        buff.data_end = buff.data + packet.size();
        buff.data_meta = buff.data;
        const auto& program = *loaded_programs()[static_cast<std::size_t>(place)];
        const auto verdict = static_cast<std::uint32_t>(program.entry()(&buff, program.self()));
        EXPECT_EQ(verdict, kernel.retval) << what;
        EXPECT_EQ(std::vector<std::uint8_t>(buff.data, buff.data_end), kernel.packet) << what;
        marks_.assign(buff.data, buff.data_end);
    }

    [[nodiscard]] int mark(std::size_t at) const { return marks_[at]; }

  private:
    std::shared_ptr<ebpf::maps::Map> ours_;
    int kernel_ = -1;
    std::vector<int> fds_;
    std::vector<std::uint8_t> marks_;
};

class TailCalls : public WithKernel {
  protected:
    void SetUp() override {
        WithKernel::SetUp();
        if (IsSkipped()) {
            return;
        }
        ebpf::maps::set_program_by_fd(loaded_by_place);
    }
};

TEST_F(TailCalls, LeadFromProgramToProgram) {
    Both both;
    const int last = both.add(marking(2, mov_k(3, 3), 7));
    const int middle = both.add(marking(1, mov_k(3, 2), 8));
    const int first = both.add(marking(0, mov_k(3, 1), 9));
    both.expect_same(first, "nothing in the map");
    both.set(1, middle);
    both.expect_same(first, "one call");
    both.set(2, last);
    both.expect_same(first, "two calls");
    EXPECT_EQ(both.mark(2), 1);
}

TEST_F(TailCalls, EndAtTheLimitOfARun) {
    Both both;
    const int self = both.add(marking(0, mov_k(3, 0), 5));
    both.set(0, self);
    both.expect_same(self, "itself");
    EXPECT_EQ(both.mark(0), 34) << "33 calls after the first run";
    const int other = both.add(marking(1, mov_k(3, 1), 6));
    const int there = both.add(marking(2, mov_k(3, 2), 4));
    both.set(1, there);
    both.set(2, other);
    both.expect_same(other, "two that call each other");
    EXPECT_EQ(both.mark(1) + both.mark(2), 34);
}

TEST_F(TailCalls, TakeTheirIndexFromThirtyTwoBits) {
    Both both;
    const int target = both.add(marking(1, mov_k(3, 3), 7));
    both.set(1, target);
    const int high = both.add(marking(0, ld_imm64(3, 0xffffffff00000001), 9));
    both.expect_same(high, "upper half set");
    EXPECT_EQ(both.mark(1), 1);
    for (const std::int64_t index : {std::int64_t{kSlots}, std::int64_t{-1}, std::int64_t{100}}) {
        both.expect_same(both.add(marking(0, mov_k(3, index), 9)), "out of range");
        EXPECT_EQ(both.mark(1), 0);
    }
    // Known only when it runs: the length of the packet, 64, by 32 and by 64.
    const Code by_length{load(op::kW, 3, 6, 4), load(op::kW, 4, 6, 0), alu(op::kSub, 3, 4)};
    both.expect_same(both.add(marking(0, {by_length, alu_k(op::kRsh, 3, 6)}, 9)), "one");
    EXPECT_EQ(both.mark(1), 1);
    both.expect_same(both.add(marking(0, {by_length, alu_k(op::kRsh, 3, 5)}, 9)), "two");
    EXPECT_EQ(both.mark(1), 0);
}

}  // namespace
}  // namespace crema::test
