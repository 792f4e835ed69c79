// SPDX-License-Identifier: BSD-3-Clause
//
// Damaged object files: bytes of good objects changed at random, files cut at random places. A load
// may succeed or fail, but it answers, and leaves nothing behind. Each damaged file is loaded in
// this process, so a crash anywhere on the way (our pre-pass, libbpf, libelf, bpf(2), verifier,
// lowering) fails the test. CREMA_TEST_ROUNDS multiplies the rounds; seeds are fixed.
#include <cstdint>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <unistd.h>

#include "lib/ebpf/loader/object.h"
#include "lib/ebpf/syscall/object_store.h"
#include "tests/support/open_files.h"
#include "tests/support/rounds.h"

namespace crema::ebpf::loader {
namespace {

using crema::test::scaled_rounds;

class Mutation : public testing::TestWithParam<const char*> {
  protected:
    void SetUp() override {
        good_ = content_of(std::string(CREMA_TEST_OBJECTS "/") + GetParam() + ".o");
        ASSERT_FALSE(good_.empty());
        path_ = testing::TempDir() + "crema_mutation_" + std::to_string(getpid()) + ".o";
        files_ = crema::test::open_files();
    }

    void TearDown() override {
        unlink(path_.c_str());
        EXPECT_EQ(crema::test::open_files(), files_);
        EXPECT_EQ(syscall::object_store::size(), 0U);
    }

    static std::string content_of(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    void load(const std::string& content) {
        std::ofstream(path_, std::ios::binary | std::ios::trunc) << content;
        const auto object = Object::load(path_);
        if (!object) {
            EXPECT_EQ(object.error().message.find('\n'), std::string::npos)
                << object.error().message;
        }
    }

    std::string good_;
    std::string path_;
    std::size_t files_ = 0;
};

TEST_P(Mutation, ChangedBytes) {
    for (std::uint64_t round = 0; round < scaled_rounds(1000); ++round) {
        SCOPED_TRACE(testing::Message() << "round " << round);
        std::mt19937 random(static_cast<std::uint32_t>(round));
        std::string bad = good_;
        for (std::uint32_t n = 1 + static_cast<std::uint32_t>(random()) % 4; n > 0; --n) {
            bad[random() % bad.size()] = static_cast<char>(random());
        }
        load(bad);
    }
}

TEST_P(Mutation, CutFiles) {
    std::mt19937 random(1);
    for (std::uint64_t round = 0; round < scaled_rounds(125); ++round) {
        SCOPED_TRACE(testing::Message() << "round " << round);
        load(good_.substr(0, random() % good_.size()));
    }
}

INSTANTIATE_TEST_SUITE_P(
    Objects,
    Mutation,
    testing::Values("globals", "old_section", "legacy_both", "legacy_iproute2"),
    [](const auto& tested) {
        std::string name = tested.param;
        name.erase(std::remove(name.begin(), name.end(), '_'), name.end());
        return name;
    });

}  // namespace
}  // namespace crema::ebpf::loader
