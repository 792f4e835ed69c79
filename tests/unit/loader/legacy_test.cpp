// SPDX-License-Identifier: BSD-3-Clause
//
// Objects in the forms of older loaders load and run as the same program in today's form would.
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "lib/ebpf/loader/object.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/xdp/test_run.h"
#include "tests/support/open_files.h"

namespace crema::ebpf::loader {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr std::uint32_t kAborted = 0, kDrop = 1, kPass = 2, kTx = 3;

Object load(const std::string& name) {
    auto object = Object::load(std::string(CREMA_TEST_OBJECTS "/") + name + ".o");
    EXPECT_TRUE(object) << object.error().message;
    return object ? std::move(*object) : Object();
}

std::uint32_t verdict_of(const Object& object, const std::string& program, std::uint8_t first) {
    const auto found = object.program(program);
    EXPECT_TRUE(found) << found.error().message;
    std::array<std::uint8_t, 64> packet{first};
    const auto run = xdp::test_run(**found, packet, 1, 1);
    EXPECT_TRUE(run) << run.error().message;
    return run ? run->retval : kAborted;
}

std::uint64_t number_in(const Object& object, const std::string& map, std::uint32_t key) {
    const auto found = object.map(map);
    EXPECT_TRUE(found) << found.error().message;
    std::uint64_t value = 0;
    const int err = (*found)->lookup(&key, &value);
    EXPECT_EQ(err, 0);
    return value;
}

std::vector<std::string> names_of(const Object& object) {
    std::vector<std::string> names;
    for (const auto& each : object.maps()) {
        names.push_back(each.name);
    }
    return names;
}

class LegacyMaps : public testing::TestWithParam<const char*> {};

TEST_P(LegacyMaps, AreMapsOfTheirKindAndSize) {
    const Object object = load(GetParam());
    EXPECT_EQ(verdict_of(object, "looks_up", 1), kDrop);
    EXPECT_EQ(verdict_of(object, "looks_up", 2), kDrop);
    EXPECT_EQ(verdict_of(object, "looks_up", 1), kPass);
    EXPECT_EQ(number_in(object, "totals", 1), 3U);
    EXPECT_EQ(number_in(object, "seen", 2), 2U);
    const auto seen = object.map("seen");
    ASSERT_TRUE(seen);
    EXPECT_EQ((*seen)->spec().max_entries, 16U);
    EXPECT_EQ((*seen)->spec().flags, 1U);
}

INSTANTIATE_TEST_SUITE_P(Objects,
                         LegacyMaps,
                         testing::Values("legacy_maps", "legacy_maps_no_btf"),
                         [](const auto& tested) {
                             return std::string(tested.param) == "legacy_maps" ? "WithTypes"
                                                                               : "WithoutTypes";
                         });

TEST(Iproute2, SlotsAreFilledAndStaticProgramsAreThere) {
    const Object object = load("legacy_iproute2");
    EXPECT_THAT(names_of(object), UnorderedElementsAre("outer", "counts", "jumps"));
    EXPECT_EQ(verdict_of(object, "enters", 0), kTx);
    EXPECT_EQ(verdict_of(object, "enters", 0), kTx);
    EXPECT_EQ(verdict_of(object, "counts_by_the_outer_map", 0), kTx);
    EXPECT_EQ(number_in(object, "counts", 0), 3U);
}

TEST(BothForms, MapsOfBothAreThere) {
    const Object object = load("legacy_both");
    EXPECT_THAT(names_of(object), UnorderedElementsAre("jumps", "seen", "counts"));
    EXPECT_EQ(verdict_of(object, "enters", 0), kTx);
    EXPECT_EQ(verdict_of(object, "enters", 0), kTx);
    EXPECT_EQ(number_in(object, "counts", 0), 2U);
    EXPECT_EQ(number_in(object, "counts", 1), 2U);
    EXPECT_EQ(number_in(object, "seen", 5), 6U);
}

TEST(Samples, InnerMapsByPlaceAndOneSectionPerMap) {
    const Object object = load("legacy_samples");
    EXPECT_THAT(names_of(object), UnorderedElementsAre("inner", "outer", "flag"));
    EXPECT_EQ(verdict_of(object, "asks_both", 0), kPass);
}

TEST(Unknown, AStructThatNobodyKnowsIsRefusedByName) {
    const std::size_t files = crema::test::open_files();
    const auto object = Object::load(CREMA_TEST_OBJECTS "/legacy_unknown.o");
    ASSERT_FALSE(object);
    EXPECT_EQ(object.error().code, ENOTSUP);
    EXPECT_THAT(object.error().message, HasSubstr("legacy map strange is defined by 24 bytes"));
    EXPECT_EQ(crema::test::open_files(), files);
    EXPECT_EQ(syscall::object_store::size(), 0U);
}

}  // namespace
}  // namespace crema::ebpf::loader
