// SPDX-License-Identifier: BSD-3-Clause
//
// Types read from a blob written by hand, and blobs that must not be taken: each with the errno
// that the kernel gives (tests/conformance/btf_oracle_test.cpp asks it about many more).
#include "lib/ebpf/program/btf.h"

#include <cerrno>
#include <chrono>
#include <gtest/gtest.h>

#include "tests/support/btf_writer.h"

namespace crema::test {

namespace {

using ebpf::Btf;
using ebpf::BtfKind;

int error_of(const BtfWriter& writer) {
    const auto btf = Btf::parse(writer.bytes());
    return btf ? 0 : btf.error().code;
}

}  // namespace

TEST(Btf, ReadsStructuresArraysAndPointers) {
    BtfWriter w;
    const auto number = w.integer("u32", 4);
    const auto name = w.reference(BtfKind::type_name, "counter_t", number);
    const auto row = w.array(name, number, 5);
    const auto next = w.reference(BtfKind::pointer, "", number + 4);
    const auto node = w.structure("node", 32, {{"cells", row, 0}, {"next", next, 192}});
    ASSERT_EQ(node, number + 4);
    const auto tag = w.decl_tag("owned", node, 1);
    const auto parsed = Btf::parse(w.bytes());
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
    const Btf& btf = **parsed;
    EXPECT_EQ(btf.count(), tag + 1);
    EXPECT_EQ(btf.name_of(node), "node");
    EXPECT_EQ(btf.size_of(name), 4U);
    EXPECT_EQ(btf.size_of(row), 20U);
    EXPECT_EQ(btf.size_of(next), 8U);
    EXPECT_EQ(btf.bare(name), number);
    EXPECT_EQ(btf.referenced(next), node);
    EXPECT_EQ(btf.find(BtfKind::structure, "node"), node);
    EXPECT_EQ(btf.find(BtfKind::structure, "edge"), 0U);
    const auto members = btf.members(node);
    ASSERT_EQ(members.size(), 2U);
    EXPECT_EQ(members[1].name, "next");
    EXPECT_EQ(members[1].bit_offset, 192U);
    ASSERT_EQ(btf.decl_tags(node, 1).size(), 1U);
    EXPECT_EQ(btf.decl_tags(node, 1)[0], "owned");
    EXPECT_TRUE(btf.decl_tags(node, 0).empty());
    EXPECT_EQ(btf.array(row)->count, 5U);
}

// Each is one step from what is settled already, so no limit of nesting stops it.
TEST(Btf, LongChainsOfQualifiersCostLittle) {
    constexpr int kLinks = 300'000;
    constexpr std::chrono::seconds kPatience{10};  // following each to its end takes minutes
    BtfWriter w;
    const auto number = w.integer("int", 4);
    auto last = number;
    for (int i = 0; i < kLinks; ++i) {
        last = w.reference(BtfKind::is_const, "", last);
    }
    const auto start = std::chrono::steady_clock::now();
    const auto parsed = Btf::parse(w.bytes());
    EXPECT_LT(std::chrono::steady_clock::now() - start, kPatience);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
    EXPECT_EQ((*parsed)->bare(last), number);
    EXPECT_EQ((*parsed)->size_of(last), 4U);
}

TEST(Btf, ReadsFunctions) {
    BtfWriter w;
    const auto number = w.integer("int", 4);
    const auto proto = w.proto(number, {{"a", number}, {"b", number}});
    const auto function = w.function("f", proto, ebpf::kBtfGlobal);
    const auto parsed = Btf::parse(w.bytes());
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
    EXPECT_EQ((*parsed)->type(function)->vlen, ebpf::kBtfGlobal);
    ASSERT_EQ((*parsed)->params(proto).size(), 2U);
    EXPECT_EQ((*parsed)->params(proto)[1].name, "b");
    EXPECT_EQ((*parsed)->referenced(function), proto);
}

TEST(Btf, AnswersForTypesThatDoNotExist) {
    BtfWriter w;
    const auto number = w.integer("int", 4);
    const auto parsed = Btf::parse(w.bytes());
    ASSERT_TRUE(parsed.has_value());
    const Btf& btf = **parsed;
    for (const std::uint32_t id : {number + 1, 0xffff'ffffU}) {
        EXPECT_FALSE(btf.type(id).has_value());
        EXPECT_FALSE(btf.size_of(id).has_value());
        EXPECT_EQ(btf.bare_type(id).kind, BtfKind::nothing);
        EXPECT_EQ(btf.referenced(id), 0U);
        EXPECT_TRUE(btf.members(id).empty());
        EXPECT_TRUE(btf.params(id).empty());
        EXPECT_FALSE(btf.array(id).has_value());
        EXPECT_EQ(btf.name_of(id), "");
    }
    EXPECT_EQ(btf.type(0)->kind, BtfKind::nothing);
    EXPECT_FALSE(btf.size_of(0).has_value());
}

TEST(Btf, RefusesWhatHoldsItself) {
    BtfWriter by_value;
    by_value.structure("s", 8, {{"me", 1, 0}});
    EXPECT_EQ(error_of(by_value), EEXIST);
    BtfWriter names;
    names.reference(BtfKind::type_name, "a", 2);
    names.reference(BtfKind::type_name, "b", 1);
    EXPECT_EQ(error_of(names), EEXIST);
    BtfWriter pointers;
    pointers.reference(BtfKind::pointer, "", 2);
    pointers.reference(BtfKind::is_const, "", 1);
    EXPECT_EQ(error_of(pointers), EEXIST);
    BtfWriter arrays;
    const auto number = arrays.integer("int", 4);
    arrays.array(number + 1, number, 1);
    EXPECT_EQ(error_of(arrays), EEXIST);
}

TEST(Btf, RefusesSizesThatDoNotFit) {
    BtfWriter w;
    const auto number = w.integer("int", 4);
    const auto wide = w.array(number, number, 0x3fff'ffff);
    w.array(wide, number, 2);
    EXPECT_EQ(error_of(w), EINVAL);
    BtfWriter member;
    const auto cell = member.integer("int", 4);
    member.structure("s", 4, {{"a", cell, 0}, {"b", cell, 32}});
    EXPECT_EQ(error_of(member), EINVAL);
}

TEST(Btf, DeepNestingEnds) {
    BtfWriter w;
    constexpr std::uint32_t kDeep = 40;
    for (std::uint32_t i = 1; i <= kDeep; ++i) {
        w.reference(BtfKind::is_const, "", i + 1);
    }
    w.integer("int", 4);
    EXPECT_EQ(error_of(w), E2BIG);
}

}  // namespace crema::test
