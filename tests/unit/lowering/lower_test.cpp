// SPDX-License-Identifier: BSD-3-Clause
//
// What lowering refuses, and the shape of what it makes where the shape is the point: one exit,
// no backward jump near its target, inlined lookups without calls.
#include "lib/ebpf/lowering/lower.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/maps/map.h"
#include "tests/support/asm.h"

namespace crema::ebpf::lowering {
namespace {

using test::insn;

constexpr Insn kExitInsn = insn(op::kJmp | op::kExit, 0, 0, 0, 0);
constexpr Insn kZeroR0 = insn(op::kAlu64 | op::kMov, 0, 0, 0, 0);

struct Case {
    Program program;
    verifier::Proof proof;

    explicit Case(std::vector<Insn> insns) {
        program.name = "case";
        program.insns = std::move(insns);
        proof.insns.resize(program.insns.size());
        for (auto& facts : proof.insns) {
            facts.reachable = true;
        }
    }

    [[nodiscard]] Result<Lowered> lower() const { return lowering::lower(program, proof); }
};

TEST(LowerOrigins, EachLoweredSlotNamesTheInstructionItStandsFor) {
    const Case loop({
        insn(op::kAlu64 | op::kMov, 2, 0, 0, 7),            // 0
        insn(op::kLdImm64, 3, 0, 0, -1),                    // 1
        insn(0, 0, 0, 0, 1),                                //
        insn(op::kAlu | op::kX | op::kArsh, 3, 2, 0, 0),    // 3: several instructions
        insn(op::kAlu64 | op::kX | op::kMov, 0, 3, 0, 0),   // 4
        insn(op::kAlu64 | op::kAdd, 2, 0, 0, -1),           // 5
        insn(op::kJmp32 | op::kX | op::kJne, 2, 3, -4, 0),  // 6: backward, to 3
        kExitInsn,
    });
    const auto lowered = loop.lower();
    ASSERT_TRUE(lowered) << lowered.error().message;
    const LoweredFunction& only = lowered->functions[0];
    ASSERT_EQ(only.origins.size(), only.insns.size());
    std::vector<std::uint32_t> seen;
    std::size_t exit = 0;
    for (std::size_t at = 0; at < only.insns.size(); at++) {
        exit = only.insns[at] == kExitInsn ? at : exit;
        if (const std::uint32_t origin = only.origins[at]; origin != kNoOrigin) {
            ASSERT_LT(origin, loop.program.insns.size());
            EXPECT_TRUE(seen.empty() || exit != 0 || seen.back() <= origin) << "slot " << at;
            seen.push_back(origin);
        }
        if (only.insns[at].code == op::kLdImm64) {
            at++;
            EXPECT_EQ(only.origins[at], only.origins[at - 1]);
        }
    }
    for (const std::uint32_t slot : {0U, 1U, 3U, 4U, 5U, 6U}) {
        EXPECT_NE(std::find(seen.begin(), seen.end(), slot), seen.end()) << "slot " << slot;
    }
    EXPECT_EQ(only.origins[exit], kNoOrigin);
}

TEST(LowerRefuses, EverythingItHasNoRuleFor) {
    const Insn refused[] = {
        insn(op::kAlu64 | op::kX | op::kMov, 1, 2, 24, 0),    // sign-extending move of odd width
        insn(op::kAlu | op::kX | op::kMov, 1, 2, 32, 0),      // ... that extends nothing
        insn(op::kAlu64 | op::kX | op::kMov, 1, 2, 1, 1),     // address-space cast
        insn(op::kAlu64 | op::kMov, 1, 0, 8, 0),              // sign-extending constant
        insn(op::kAlu64 | op::kX | op::kDiv, 1, 2, 2, 0),     // division of unknown kind
        insn(op::kAlu64 | op::kDiv, 1, 0, 1, 0),              // signed, by constant zero
        insn(op::kAlu64 | op::kX | op::kAdd, 1, 2, 1, 0),     // offset of an addition
        insn(op::kAlu64 | op::kEnd | op::kX, 1, 0, 0, 32),    // no such swap
        insn(op::kAlu64 | op::kEnd, 1, 0, 0, 24),             // odd width
        insn(op::kAlu | op::kEnd, 1, 0, 0, 24),               //
        insn(op::kAlu64 | op::kDiv, 1, 0, 0, 0),              // division by constant zero
        insn(op::kAlu64 | op::kLsh, 1, 0, 0, 64),             // shift too far
        insn(op::kAlu | op::kArsh, 1, 0, 0, 32),              //
        insn(op::kAlu64 | op::kMov, 10, 0, 0, 0),             // frame pointer
        insn(op::kAlu64 | op::kMov, 11, 0, 0, 0),             // no such register
        insn(op::kAlu64 | 0xe0, 1, 0, 0, 0),                  // no such operation
        insn(op::kAlu64 | op::kAdd, 1, 2, 0, 1),              // src without X
        insn(op::kAlu64 | op::kX | op::kAdd, 1, 2, 0, 1),     // imm with X
        insn(op::kLdx | op::kMemSx | op::kDw, 1, 10, -8, 0),  // nothing to extend
        insn(op::kLdx | op::kAbs | op::kW, 1, 10, -8, 0),     //
        insn(op::kLd | op::kAbs | op::kW, 0, 0, 0, 0),        // packet access of old
        insn(op::kStx | op::kAtomic | op::kDw, 10, 1, -8, op::kSub),  // no such atomic
        insn(op::kStx | op::kAtomic | op::kDw, 10, 1, -8, 0xe0),      // exchange without fetch
        insn(op::kStx | op::kAtomic | op::kDw, 10, 10, -8, 1),        // fetch into r10
        insn(op::kStx | op::kAtomic | op::kDw, 10, 1, -8, op::kLoadAcquire),  // load into r10
        insn(op::kStx | op::kAtomic | op::kB, 10, 1, -8, 0),                  // width
        insn(op::kSt | op::kAtomic | op::kDw, 10, 0, -8, 0),                  //
        insn(op::kJmp32 | op::kJa, 0, 0, 1, 0),     // gotol with the short offset
        insn(op::kJmp32 | op::kCall, 0, 0, 0, 23),  //
        insn(op::kJmp | op::kCall, 0, 2, 0, 1),     // kfunc
        insn(op::kJmp | op::kCall, 0, 3, 0, 1),     // no such call
        insn(op::kMayGoto, 0, 1, 0, 0),             // no such conditional jump
        insn(op::kJmp32 | 0xe0, 0, 0, 0, 0),        //
    };
    for (const Insn& insn : refused) {
        const Case bad({kZeroR0, insn, kExitInsn});
        const auto result = bad.lower();
        ASSERT_FALSE(result) << "opcode " << unsigned{insn.code};
        EXPECT_EQ(result.error().code, ENOTSUP);
        EXPECT_NE(result.error().message.find("program case: instruction 1"), std::string::npos)
            << result.error().message;
    }
}

TEST(LowerRefuses, WideOrOddContextAccess) {
    for (const auto& [size, off] :
         {std::pair{op::kDw, 0}, {op::kB, 0}, {op::kW, 24}, {op::kW, 2}}) {
        Case bad({insn(op::kLdx | op::kMem | size, 0, 1, off, 0), kExitInsn});
        bad.proof.insns[0].access = verifier::Access::ctx;
        EXPECT_FALSE(bad.lower());
    }
}

TEST(LowerRefuses, AFlowThatTheProofDoesNotCover) {
    Case bad({kZeroR0, insn(op::kJmp | op::kJeq, 0, 0, 1, 0), kExitInsn, kExitInsn});
    bad.proof.insns[3].reachable = false;
    const auto result = bad.lower();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, EINVAL);
}

TEST(LowerLayout, DropsWhatWasNotProvedAndWhatIsNeverTaken) {
    Case made({kZeroR0, insn(op::kJmp | op::kJeq, 0, 0, 1, 0),
               insn(op::kJmp | op::kCall, 0, 0, 0, 12345), kExitInsn});
    made.proof.insns[1].branch = verifier::Branch::always_taken;
    made.proof.insns[2].reachable = false;
    const auto result = made.lower();
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->functions[0].insns, (std::vector<Insn>{kZeroR0, kExitInsn}));
}

/// One behind it, which is never reached, is for the JIT's sake (jit_rules.h).
std::ptrdiff_t calls_before_the_exit(const LoweredFunction& function) {
    const auto exit = std::find(function.insns.begin(), function.insns.end(), kExitInsn);
    return std::count_if(function.insns.begin(), exit,
                         [](const Insn& one) { return one.code == (op::kJmp | op::kCall); });
}

TEST(LowerLayout, HasOneExit) {
    const Case made({kZeroR0, insn(op::kJmp | op::kJeq, 0, 0, 1, 7), kExitInsn,
                     insn(op::kAlu64 | op::kMov, 0, 0, 0, 2), kExitInsn});
    const auto result = made.lower();
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(
        std::count(result->functions[0].insns.begin(), result->functions[0].insns.end(), kExitInsn),
        1);
}

class LowerLookup : public testing::TestWithParam<maps::MapType> {
  protected:
    // r0 = lookup(map, key); if it is there: *r0 += 1, r0 = value; else r0 = 99.
    // constant: the key is an immediate; else ingress_ifindex.
    static Case lookup_program(const std::shared_ptr<maps::Map>& map, bool constant, int key) {
        Case made({constant ? insn(op::kSt | op::kMem | op::kW, 10, 0, -4, key)
                            : insn(op::kLdx | op::kMem | op::kW, 3, 1, 12, 0),
                   constant ? insn(op::kAlu64 | op::kMov, 3, 0, 0, 0)
                            : insn(op::kStx | op::kMem | op::kW, 10, 3, -4, 0),
                   insn(op::kAlu64 | op::kX | op::kMov, 2, 10, 0, 0),
                   insn(op::kAlu64 | op::kAdd, 2, 0, 0, -4),
                   insn(op::kLdImm64, 1, op::kPseudoMap, 0, 0), insn(0, 0, 0, 0, 0),
                   insn(op::kJmp | op::kCall, 0, 0, 0, 1), insn(op::kJmp | op::kJeq, 0, 0, 4, 0),
                   insn(op::kAlu64 | op::kMov, 1, 0, 0, 1),
                   insn(op::kStx | op::kAtomic | op::kDw, 0, 1, 0, 0),
                   insn(op::kLdx | op::kMem | op::kDw, 0, 0, 0, 0), kExitInsn,
                   insn(op::kAlu64 | op::kMov, 0, 0, 0, 99), kExitInsn});
        made.program.maps = {map};
        made.proof.stack_bytes = 8;
        made.proof.insns[6].map = 0;
        made.proof.insns[0].access = constant ? verifier::Access::memory : verifier::Access::ctx;
        return made;
    }
};

TEST_P(LowerLookup, CountsInTheRightPlaceWithoutACall) {
    for (const std::uint32_t value_size : {8U, 24U}) {
        auto map = *maps::create({.type = GetParam(),
                                  .key_size = 4,
                                  .value_size = value_size,
                                  .max_entries = 5,
                                  .flags = 0,
                                  .name = "m"});
        XdpBuff buff{};
        buff.cpu = maps::possible_cpu_ids().back();
        for (std::uint32_t key = 0; key < 7; key++) {
            for (const bool constant : {true, false}) {
                const auto result = lookup_program(map, constant, static_cast<int>(key)).lower();
                ASSERT_TRUE(result) << result.error().message;
                EXPECT_EQ(calls_before_the_exit(result->functions[0]), 0);
                auto code = compile(*result);
                ASSERT_TRUE(code) << code.error().message;
                buff.ingress_ifindex = key;
                const std::uint64_t wanted = key >= 5 ? 99 : constant ? 1 : 2;
                EXPECT_EQ(code->entry()(&buff, nullptr), wanted) << "key " << key;
            }
        }
        const maps::ValueLayout layout = map->layout();
        std::uint64_t counted = 0;
        std::memcpy(&counted, layout.base + buff.cpu * layout.percpu_stride + 4 * layout.stride, 8);
        EXPECT_EQ(counted, 2U);
    }
}

TEST_P(LowerLookup, ConstantKeyLeavesNoBranch) {
    auto map = *maps::create({.type = GetParam(),
                              .key_size = 4,
                              .value_size = 8,
                              .max_entries = 5,
                              .flags = 0,
                              .name = "m"});
    const auto result = lookup_program(map, true, 3).lower();
    ASSERT_TRUE(result) << result.error().message;
    for (const Insn& insn : result->functions[0].insns) {
        EXPECT_NE(insn.code, op::kJmp | op::kK | op::kJeq) << "the null check is gone";
    }
}

INSTANTIATE_TEST_SUITE_P(ArrayLike,
                         LowerLookup,
                         testing::Values(maps::MapType::array, maps::MapType::percpu_array));

// The kernel's bound where it counts: 8388608 rounds of each function.
TEST(LowerMayGoto, FallsThroughAsOftenAsTheKernel) {
    const Case loop({kZeroR0, insn(op::kMayGoto, 0, 0, 2, 0),
                     insn(op::kAlu64 | op::kAdd, 0, 0, 0, 1), insn(op::kJmp | op::kJa, 0, 0, -3, 0),
                     kExitInsn});
    const auto result = loop.lower();
    ASSERT_TRUE(result) << result.error().message;
    auto code = compile(*result);
    ASSERT_TRUE(code) << code.error().message;
    XdpBuff buff{};
    EXPECT_EQ(code->entry()(&buff, nullptr), 8'388'608U);
    EXPECT_EQ(code->entry()(&buff, nullptr), 8'388'608U) << "each run counts anew";
}

TEST(LowerContext, GivesTheProcessorWithoutACall) {
    const Case made({insn(op::kAlu64 | op::kMov, 1, 0, 0, 5),
                     insn(op::kJmp | op::kCall, 0, 0, 0, 8), kExitInsn});
    const auto result = made.lower();
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(calls_before_the_exit(result->functions[0]), 0);
    auto code = compile(*result);
    ASSERT_TRUE(code) << code.error().message;
    XdpBuff buff{};
    buff.cpu = 0xfffffff7;
    EXPECT_EQ(code->entry()(&buff, nullptr), 0xfffffff7U);
}

TEST(LowerContext, ReadsEveryField) {
    XdpBuff buff{};
    std::uint8_t page[64] = {};
    buff.data = page + 8;
    buff.data_end = page + 64;
    buff.data_meta = page + 4;
    buff.ingress_ifindex = 0xfffffff1;
    buff.rx_queue_index = 0xfffffff2;
    buff.egress_ifindex = 0xfffffff3;
    const std::uint64_t wanted[] = {reinterpret_cast<std::uintptr_t>(buff.data),
                                    reinterpret_cast<std::uintptr_t>(buff.data_end),
                                    reinterpret_cast<std::uintptr_t>(buff.data_meta),
                                    0xfffffff1,
                                    0xfffffff2,
                                    0xfffffff3};
    for (int field = 0; field < 6; field++) {
        Case made({insn(op::kLdx | op::kMem | op::kW, 0, 1, 4 * field, 0), kExitInsn});
        made.proof.insns[0].access = verifier::Access::ctx;
        const auto result = made.lower();
        ASSERT_TRUE(result) << result.error().message;
        auto code = compile(*result);
        ASSERT_TRUE(code) << code.error().message;
        EXPECT_EQ(code->entry()(&buff, nullptr), wanted[field]) << "field " << field;
    }
}

}  // namespace
}  // namespace crema::ebpf::lowering
