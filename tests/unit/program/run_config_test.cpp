// SPDX-License-Identifier: BSD-3-Clause
//
// What an object says of the place of its programs among others (".xdp_run_config"), as clang
// writes libxdp's macro, and what it may not say.
#include "lib/ebpf/program/run_config.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/btf_writer.h"

namespace crema::test {
namespace {

using ebpf::action_bit;
using ebpf::Btf;
using ebpf::BtfKind;
using ebpf::Program;
using ebpf::RunConfig;
using ebpf::Verdict;

/// A structure whose members are numbers, as a variable of the section.
struct Told {
    std::string variable = "_filter";
    std::vector<std::pair<std::string, std::uint32_t>> members;
    std::string section = ".xdp_run_config";
};

Program program_with(const Told& told, const std::string& name = "filter") {
    BtfWriter writer;
    const auto number = writer.integer("int", 4, BtfWriter::kSigned);
    std::vector<BtfWriter::Member> members;
    for (const auto& [member, value] : told.members) {
        const auto array = writer.array(number, number, value);
        members.push_back({member, writer.reference(BtfKind::pointer, "", array),
                           static_cast<std::uint32_t>(members.size() * 64)});
    }
    const auto bytes = static_cast<std::uint32_t>(members.size() * 8);
    const auto type =
        writer.reference(BtfKind::type_name, "config_t", writer.structure("", bytes, members));
    const auto variable = writer.variable(told.variable, type, ebpf::kBtfGlobal);
    writer.section(told.section, bytes, {{.type = variable, .offset = 0, .size = bytes}});
    auto btf = Btf::parse(writer.bytes());
    EXPECT_TRUE(btf) << btf.error().message;
    Program program;
    program.name = name.substr(0, 15);
    program.functions = {{.first = 0, .end = 1, .name = name}};
    program.btf = *btf;
    return program;
}

TEST(RunConfig, WithoutSectionTheDefaults) {
    const RunConfig defaults;
    EXPECT_EQ(defaults.priority, 50U);
    EXPECT_EQ(defaults.actions, action_bit(Verdict::pass));
    EXPECT_EQ(*ebpf::run_config_of(Program{}), defaults);
    EXPECT_EQ(
        *ebpf::run_config_of(program_with({.variable = "_other", .members = {{"priority", 7}}})),
        defaults);
    EXPECT_EQ(
        *ebpf::run_config_of(program_with({.members = {{"priority", 7}}, .section = ".maps"})),
        defaults);
}

TEST(RunConfig, PriorityAndVerdicts) {
    const auto config = ebpf::run_config_of(program_with(
        {.members = {{"priority", 10}, {"XDP_PASS", 0}, {"XDP_TX", 1}, {"XDP_DROP", 3}}}));
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->priority, 10U);
    EXPECT_EQ(config->actions, action_bit(Verdict::tx) | action_bit(Verdict::drop));
}

TEST(RunConfig, TheFunctionsNameInFull) {
    const std::string name = "a_name_longer_than_bpf_takes";
    const Program program =
        program_with({.variable = "_" + name, .members = {{"priority", 3}}}, name);
    EXPECT_EQ(ebpf::full_name_of(program), name);
    EXPECT_EQ(ebpf::run_config_of(program)->priority, 3U);
}

TEST(RunConfig, WhatHasNoMeaningIsRefused) {
    for (const char* member : {"prio", "XDP_NOTHING", "PASS", "xdp_pass", ""}) {
        const auto config = ebpf::run_config_of(program_with({.members = {{member, 1}}}));
        ASSERT_FALSE(config) << member;
        EXPECT_EQ(config.error().code, EINVAL);
        EXPECT_NE(config.error().message.find("filter"), std::string::npos);
    }
    BtfWriter writer;
    const auto number = writer.integer("int", 4, BtfWriter::kSigned);
    const auto type = writer.structure("", 8, {{"priority", number, 0}});
    const auto variable = writer.variable("_filter", type, ebpf::kBtfGlobal);
    const auto plain = writer.variable("_plain", number, ebpf::kBtfGlobal);
    writer.section(
        ".xdp_run_config", 12,
        {{.type = variable, .offset = 0, .size = 8}, {.type = plain, .offset = 8, .size = 4}});
    Program program;
    const auto btf = Btf::parse(writer.bytes());
    ASSERT_TRUE(btf) << btf.error().message;
    program.btf = *btf;
    for (const char* name : {"filter", "plain"}) {
        program.name = name;
        EXPECT_EQ(ebpf::run_config_of(program).error().code, EINVAL) << name;
    }
}

TEST(RunConfig, VerdictsAsText) {
    EXPECT_EQ(ebpf::actions_text(0), "");
    EXPECT_EQ(ebpf::actions_text(0x80000014), "XDP_PASS,XDP_REDIRECT");
    EXPECT_EQ(*ebpf::actions_of("pass,tx"), 12U);
    EXPECT_EQ(*ebpf::actions_of("XDP_ABORTED,drop,XDP_REDIRECT"), 19U);
    EXPECT_EQ(*ebpf::actions_of("none"), 0U);
    for (const char* wrong : {"", "pass,", ",pass", "none,pass", "pass tx", "5", "XDP_"}) {
        EXPECT_EQ(ebpf::actions_of(wrong).error().code, EINVAL) << wrong;
    }
    for (std::uint32_t actions = 1; actions < 32; ++actions) {
        EXPECT_EQ(*ebpf::actions_of(ebpf::actions_text(actions)), actions);
    }
}

}  // namespace
}  // namespace crema::test
