// SPDX-License-Identifier: BSD-3-Clause
//
// Special fields of map values: they are found by their BTF types, programs keep their hands off
// them, and what may be done while a lock is held. Words are the kernel's.
#include <cerrno>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/check.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/special_fields.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/support/asm.h"
#include "tests/support/btf_writer.h"
#include "tests/support/verifier_table.h"

namespace crema::test {

namespace {

using ebpf::BtfKind;
using ebpf::SpecialKind;
using testing::HasSubstr;

constexpr int kCurrentComm = 16, kSpinLock = 93, kSpinUnlock = 94;
constexpr int kLockOffset = 8, kValueBytes = 24;

/// Array of 4 values with a lock at byte 8.
std::shared_ptr<ebpf::maps::Map> locked_map(bool has_field = true) {
    ebpf::maps::MapSpec spec;
    spec.type = ebpf::maps::MapType::array;
    spec.key_size = 4;
    spec.value_size = kValueBytes;
    spec.max_entries = 4;
    spec.name = "locked";
    spec.has_btf = true;
    if (has_field) {
        spec.fields = {{.kind = SpecialKind::spin_lock, .offset = kLockOffset, .size = 4}};
    }
    auto map = ebpf::maps::create(spec);
    CREMA_CHECK(map.has_value());
    return *map;
}

/// Empty: accepted.
std::string refusal_of(const Code& code, bool has_field = true) {
    ebpf::Program program = program_of(code);
    program.maps = {locked_map(has_field)};
    const auto proof = ebpf::verifier::verify(program, {});
    return proof ? "" : proof.error().message;
}

/// r6 = a value of the map, else leaves.
Code value_in_r6() {
    return {load(op::kW, 6, 1, 16),
            store(op::kW, 10, -4, 6),
            mov(2, 10),
            add_k(2, -4),
            ld_map(1, 0),
            call(kLookup),
            mov(6, 0),
            jump_k(op::kJne, 0, 0, 2),
            mov_k(0, 1),
            exit_insn()};
}

Code lock(int at = kLockOffset) {
    return {mov(1, 6), add_k(1, at), call(kSpinLock)};
}

Code unlock() {
    return {mov(1, 6), add_k(1, kLockOffset), call(kSpinUnlock)};
}

const Code end{mov_k(0, 2), exit_insn()};

}  // namespace

TEST(Locks, LockedRegionIsAccepted) {
    EXPECT_EQ(refusal_of({value_in_r6(), lock(), store_k(op::kDw, 6, 0, 1), unlock(), end}), "");
}

TEST(Locks, RegionsHaveAnEnd) {
    EXPECT_THAT(refusal_of({value_in_r6(), lock(), end}),
                HasSubstr("BPF_EXIT instruction in main prog cannot be used inside "
                          "bpf_spin_lock-ed region"));
    EXPECT_THAT(refusal_of({value_in_r6(), unlock(), end}),
                HasSubstr("bpf_spin_unlock without taking a lock"));
    EXPECT_THAT(refusal_of({value_in_r6(), lock(), lock(), unlock(), end}),
                HasSubstr("function calls are not allowed while holding a lock"));
    EXPECT_THAT(refusal_of({value_in_r6(), lock(), mov_k(1, 1), mov_k(2, 0), call(kRedirect),
                            unlock(), end}),
                HasSubstr("function calls are not allowed while holding a lock"));
}

// What a global function does is known from its types alone: it may lock as well.
TEST(Locks, GlobalFunctionsAreNotCalledInside) {
    ebpf::Program program =
        program_of({value_in_r6(), lock(), mov_k(1, 0), call_function(5), unlock(), mov_k(0, 2),
                    exit_insn(), mov(0, 1), exit_insn()});
    program.maps = {locked_map()};
    for (const bool global : {false, true}) {
        give_types(program, {{}, {.global = global, .args = {FunctionTypes::Arg::number}}});
        const auto proof = ebpf::verifier::verify(program, {});
        EXPECT_EQ(proof.has_value(), !global);
        EXPECT_THAT(
            proof ? "" : proof.error().message,
            HasSubstr(global ? "global function calls are not allowed while holding a lock" : ""));
    }
}

TEST(Locks, TheLockOfAnotherElementDoesNotCount) {
    const Code two{value_in_r6(),
                   mov(7, 6),
                   load(op::kW, 2, 10, -4),
                   store(op::kW, 10, -8, 2),
                   mov(2, 10),
                   add_k(2, -8),
                   ld_map(1, 0),
                   call(kLookup),
                   jump_k(op::kJne, 0, 0, 2),
                   mov_k(0, 1),
                   exit_insn()};
    const Code lock_first{mov(6, 7), lock()};
    const Code unlock_second{mov(6, 8), unlock()};
    EXPECT_THAT(refusal_of({two, mov(8, 0), lock_first, unlock_second, end}),
                HasSubstr("bpf_spin_unlock of different lock"));
}

TEST(Locks, TheLockLiesWhereItsTypeSays) {
    EXPECT_THAT(refusal_of({value_in_r6(), lock(0), end}),
                HasSubstr("off 0 doesn't point to 'struct bpf_spin_lock' that is at 8"));
    EXPECT_THAT(refusal_of({value_in_r6(), lock(), end}, false),
                HasSubstr("map 'locked' has no valid bpf_spin_lock"));
    EXPECT_THAT(refusal_of({load(op::kW, 7, 1, 16), alu_k(op::kAnd, 7, 8), value_in_r6(), mov(1, 6),
                            alu(op::kAdd, 1, 7), call(kSpinLock), end}),
                HasSubstr("doesn't have constant offset. bpf_spin_lock has to be at the constant"));
}

TEST(Locks, NobodyTouchesTheLock) {
    EXPECT_THAT(refusal_of({value_in_r6(), load(op::kW, 0, 6, kLockOffset), end}),
                HasSubstr("bpf_spin_lock cannot be accessed directly by load/store"));
    EXPECT_THAT(refusal_of({value_in_r6(), store_k(op::kDw, 6, kLockOffset, 0), end}),
                HasSubstr("bpf_spin_lock cannot be accessed directly by load/store"));
    EXPECT_THAT(refusal_of({value_in_r6(), mov(1, 6), mov_k(2, 16), call(kCurrentComm), end}),
                HasSubstr("bpf_spin_lock cannot be accessed directly by load/store"));
    EXPECT_EQ(refusal_of({value_in_r6(), mov(1, 6), mov_k(2, 8), call(kCurrentComm), end}), "");
    EXPECT_EQ(refusal_of({value_in_r6(), load(op::kW, 0, 6, kLockOffset + 4), end}), "");
}

TEST(SpecialFields, AreFoundByTheirTypes) {
    BtfWriter w;
    const auto number = w.integer("int", 4);
    const auto lock = w.structure("bpf_spin_lock", 4, {{"val", number, 0}});
    const auto opaque = w.structure("bpf_timer", 16, {{"a", number, 0}});
    const auto inner = w.structure("inner", 8, {{"n", number, 0}, {"lock", lock, 32}});
    const auto value =
        w.structure("value", 40, {{"n", number, 0}, {"in", inner, 64}, {"timer", opaque, 128}});
    const auto twice = w.structure("twice", 8, {{"a", lock, 0}, {"b", lock, 32}});
    const auto odd = w.structure("odd", 24, {{"n", number, 0}, {"timer", opaque, 32}});
    const auto btf = ebpf::Btf::parse(w.bytes());
    ASSERT_TRUE(btf.has_value()) << btf.error().message;
    const auto fields = ebpf::special_fields(**btf, value);
    ASSERT_TRUE(fields.has_value());
    ASSERT_EQ(fields->size(), 2U);
    EXPECT_EQ((*fields)[0].kind, SpecialKind::spin_lock);
    EXPECT_EQ((*fields)[0].offset, 12U);
    EXPECT_EQ((*fields)[1].kind, SpecialKind::timer);
    EXPECT_EQ((*fields)[1].offset, 16U);
    EXPECT_EQ((*fields)[1].size, 16U);
    EXPECT_EQ(ebpf::special_fields(**btf, twice).error().code, E2BIG);
    EXPECT_EQ(ebpf::special_fields(**btf, odd).error().code, EINVAL);
    EXPECT_TRUE(ebpf::special_fields(**btf, number)->empty());
}

// The native lock takes four bytes: a program's own structure of that name is no lock.
TEST(SpecialFields, AStructureOfAnotherSizeIsAnyOther) {
    BtfWriter w;
    const auto number = w.integer("int", 4);
    const auto nothing = w.structure("bpf_spin_lock", 0, {});
    const auto large = w.structure("bpf_timer", 24, {{"a", number, 0}});
    const auto value = w.structure("value", 32, {{"n", nothing, 0}, {"large", large, 64}});
    const auto btf = ebpf::Btf::parse(w.bytes());
    ASSERT_TRUE(btf.has_value()) << btf.error().message;
    const auto fields = ebpf::special_fields(**btf, value);
    ASSERT_TRUE(fields.has_value()) << fields.error().message;
    EXPECT_TRUE(fields->empty());
}

TEST(SpecialFields, KeptPointersAndElementsOfArraysCountEach) {
    BtfWriter w;
    const auto number = w.integer("int", 4);
    const auto tag = w.reference(BtfKind::type_tag, "kptr", number);
    const auto kept = w.reference(BtfKind::pointer, "", tag);
    const auto plain = w.reference(BtfKind::pointer, "", number);
    const auto head = w.structure("bpf_list_head", 16, {});
    const auto heads = w.array(head, number, 3);
    const auto many = w.array(head, number, 12);
    const auto value =
        w.structure("value", 64, {{"p", plain, 0}, {"kept", kept, 64}, {"heads", heads, 128}});
    const auto large = w.structure("large", 192, {{"heads", many, 0}});
    const auto btf = ebpf::Btf::parse(w.bytes());
    ASSERT_TRUE(btf.has_value()) << btf.error().message;
    const auto fields = ebpf::special_fields(**btf, value);
    ASSERT_TRUE(fields.has_value()) << fields.error().message;
    ASSERT_EQ(fields->size(), 4U);
    EXPECT_EQ((*fields)[0].kind, SpecialKind::kptr);
    EXPECT_EQ((*fields)[0].offset, 8U);
    EXPECT_EQ((*fields)[3].kind, SpecialKind::list_head);
    EXPECT_EQ((*fields)[3].offset, 48U);
    EXPECT_EQ(ebpf::special_fields(**btf, large).error().code, E2BIG);
}

// Structures of many structures of many structures: bounded work, whatever the types say.
TEST(SpecialFields, WideNestingEnds) {
    BtfWriter w;
    std::uint32_t type = w.structure("empty", 0, {});
    for (const char* name : {"a", "b", "c", "d"}) {
        type = w.structure(name, 0, std::vector<BtfWriter::Member>(2000, {"m", type, 0}));
    }
    const auto btf = ebpf::Btf::parse(w.bytes());
    ASSERT_TRUE(btf.has_value()) << btf.error().message;
    EXPECT_EQ(ebpf::special_fields(**btf, type).error().code, E2BIG);
}

}  // namespace crema::test
