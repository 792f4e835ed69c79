// SPDX-License-Identifier: BSD-3-Clause
//
// What users write: --xdp, --map and --vdev texts.
#include "apps/common/programs.h"

#include <gtest/gtest.h>

#include "apps/common/eal.h"

namespace crema::app {
namespace {

TEST(AppProgramSpec, TakesApartPortObjectAndProgram) {
    const auto plain = ProgramSpec::parse("a.o");
    ASSERT_TRUE(plain);
    EXPECT_FALSE(plain->port.has_value());
    EXPECT_EQ(plain->object, "a.o");
    EXPECT_EQ(plain->program, "");

    const auto full = ProgramSpec::parse("net_neta0=/x/y=z/a.o:main");
    ASSERT_TRUE(full);
    EXPECT_EQ(full->port, "net_neta0");
    EXPECT_EQ(full->object, "/x/y=z/a.o");
    EXPECT_EQ(full->program, "main");

    const auto path = ProgramSpec::parse("/x=1/b:c/a.o");
    ASSERT_TRUE(path);
    EXPECT_FALSE(path->port.has_value());
    EXPECT_EQ(path->object, "/x=1/b:c/a.o");
}

TEST(AppProgramSpec, ThePlaceAmongOthersComesLast) {
    const auto both = ProgramSpec::parse("0=/a,b/c=1,d.o:main,prio=7,chain-call=pass,XDP_TX");
    ASSERT_TRUE(both) << both.error().message;
    EXPECT_EQ(both->port, "0");
    EXPECT_EQ(both->object, "/a,b/c=1,d.o");
    EXPECT_EQ(both->program, "main");
    EXPECT_EQ(both->priority, 7U);
    EXPECT_EQ(both->actions, 12U);

    const auto other_order = ProgramSpec::parse("a.o,chain-call=none,prio=0");
    ASSERT_TRUE(other_order) << other_order.error().message;
    EXPECT_FALSE(other_order->port.has_value());
    EXPECT_EQ(other_order->priority, 0U);
    EXPECT_EQ(other_order->actions, 0U);

    const auto none = ProgramSpec::parse("a.o,b");
    ASSERT_TRUE(none);
    EXPECT_EQ(none->object, "a.o,b");
    EXPECT_FALSE(none->priority.has_value());
    EXPECT_FALSE(none->actions.has_value());

    for (const char* wrong : {"a.o,prio=", "a.o,prio=x", "a.o,prio=4294967296", "a.o,prio=1,more",
                              "a.o,chain-call=", "a.o,chain-call=maybe", ",prio=1",
                              "a.o,chain-call=pass,mode=native"}) {
        EXPECT_EQ(ProgramSpec::parse(wrong).error().code, EINVAL) << wrong;
    }
}

TEST(AppProgramSpec, RefusesWhatNamesNoObject) {
    for (const char* text : {"", "0=", "=a.o", ":main"}) {
        const auto spec = ProgramSpec::parse(text);
        ASSERT_FALSE(spec) << text;
        EXPECT_EQ(spec.error().code, EINVAL);
    }
}

TEST(AppMapSetting, TakesApartMapKeyAndValue) {
    const auto setting = MapSetting::parse("tx_port:1=net_tap0@prog");
    ASSERT_TRUE(setting);
    EXPECT_EQ(setting->map, "tx_port");
    EXPECT_EQ(setting->key, "1");
    EXPECT_EQ(setting->value, "net_tap0@prog");
}

TEST(AppMapSetting, AKeyMayBeBytes) {
    const auto setting = MapSetting::parse("routes:hex:080000000a000000=hex:0102");
    ASSERT_TRUE(setting);
    EXPECT_EQ(setting->map, "routes");
    EXPECT_EQ(setting->key, "hex:080000000a000000");
    EXPECT_EQ(setting->value, "hex:0102");
    EXPECT_EQ(setting->text(), "routes:hex:080000000a000000=hex:0102");
}

/// An array of four values of `value_size` bytes, and what a setting makes of it.
class AppMapEntries : public testing::TestWithParam<std::uint32_t> {
  protected:
    Status set(const char* key, const char* value) {
        const IfindexOf none = [](std::string_view) -> Result<std::uint32_t> {
            return fail(ENODEV, "no ports here");
        };
        return set_entry(*map_, {.map = "m", .key = key, .value = value}, {}, none);
    }

    std::shared_ptr<ebpf::maps::Map> map_ = *ebpf::maps::create({.type = ebpf::maps::MapType::array,
                                                                 .key_size = 4,
                                                                 .value_size = GetParam(),
                                                                 .max_entries = 4,
                                                                 .flags = 0,
                                                                 .name = "m"});
};

TEST_P(AppMapEntries, NumbersAndBytesAreReadBackAsTheyWereWritten) {
    ASSERT_TRUE(set("1", "0x102"));
    ASSERT_TRUE(set("hex:02000000", GetParam() == 2 ? "hex:0304" : "hex:0304000000000000"));
    const auto entries = entries_of(*map_);
    ASSERT_EQ(entries.size(), 4U);
    EXPECT_EQ(entries[1].key, (std::vector<std::uint8_t>{1, 0, 0, 0}));
    EXPECT_EQ(contents(*map_), "  0: 0\n  1: 258\n  2: 1027\n  3: 0\n");
}

TEST_P(AppMapEntries, RefusesWhatDoesNotFit) {
    for (const auto& [key, value] : {std::pair{"1", "x"},
                                     {"x", "1"},
                                     {"hex:01", "1"},
                                     {"1", "hex:0"},
                                     {"1", "hex:zzzz"},
                                     {"4", "1"}}) {
        const Status done = set(key, value);
        ASSERT_FALSE(done) << key << "=" << value;
        EXPECT_GT(done.error().code, 0);
    }
    EXPECT_EQ(set("1", "70000").has_value(), GetParam() == 8);
}

INSTANTIATE_TEST_SUITE_P(ValueSizes, AppMapEntries, testing::Values(2U, 8U));

TEST(AppMapSetting, RefusesWhatLacksAPart) {
    for (const char* text : {"", "m", "m:1", "m=1", ":1=2", "m:=2", "m:1="}) {
        EXPECT_FALSE(MapSetting::parse(text)) << text;
    }
}

TEST(AppEal, SplitsAtTheFirstDashes) {
    std::string words[] = {"prog", "-l", "0", "--", "--json", "--", "x"};
    char* argv[7];
    for (int i = 0; i < 7; ++i) {
        argv[i] = words[i].data();
    }
    const CommandLine line = split_command_line(7, argv);
    EXPECT_EQ(line.eal, (std::vector<std::string>{"prog", "-l", "0"}));
    EXPECT_EQ(line.program, (std::vector<std::string>{"--json", "--", "x"}));
}

TEST(AppEal, FindsVirtualDevices) {
    EXPECT_EQ(vdev_names({"prog", "--vdev=net_a0,x=1", "--vdev", "net_b1", "--vdevs", "-l"}),
              (std::vector<std::string>{"net_a0", "net_b1"}));
}

}  // namespace
}  // namespace crema::app
