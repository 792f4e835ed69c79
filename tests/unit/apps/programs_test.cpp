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
