// SPDX-License-Identifier: BSD-3-Clause
//
// Who receives a redirected frame, what is counted and which errors there are: the same object and
// the same frames on the kernel's veth pairs with native XDP and on Crema's NETA ports, case by
// case. The kernel's transcripts are kept in recorded/redirect.txt for machines without veth or
// bpf(2); `redirect_conformance_test --record` renews them.
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iostream>
#include <map>

#include <rte_eal.h>

#include "tests/conformance/redirect/cases.h"
#include "tests/support/eal.h"

namespace crema::test::redirect {

/// GoogleTest's, for its messages.
std::ostream& operator<<(std::ostream& out, const Case& each) {
    return out << each.name;
}

namespace {

constexpr const char* kRecord = CREMA_RECORDED_DIR "/redirect.txt";
constexpr const char* kHeading = "== ";

using Transcripts = std::map<std::string, std::string>;

Transcripts play_all(Side& side) {
    Transcripts texts;
    for (const Case& each : cases()) {
        Stage stage(side);
        each.play(stage);
        texts[each.name] = stage.finish();
    }
    return texts;
}

struct Played {
    Transcripts texts;
    std::string missing;  // why there are none
};

Played play(SideResult side) {
    return side ? Played{play_all(**side), {}} : Played{{}, side.error().message};
}

const Played& kernel() {
    static const Played played = play(make_kernel_side(CREMA_ORDERS_OBJECT));
    return played;
}

const Played& crema() {
    static const Played played = play(make_crema_side(CREMA_ORDERS_OBJECT));
    return played;
}

Transcripts read_record() {
    Transcripts texts;
    std::ifstream file(kRecord);
    std::string* at = nullptr;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with(kHeading)) {
            at = &texts[line.substr(std::strlen(kHeading))];
        } else if (at != nullptr) {
            *at += line + "\n";
        }
    }
    return texts;
}

const Transcripts& recorded() {
    static const Transcripts texts = read_record();
    return texts;
}

class Redirect : public testing::TestWithParam<Case> {};

TEST_P(Redirect, AsTheRunningKernel) {
    if (!kernel().missing.empty()) {
        GTEST_SKIP() << kernel().missing;
    }
    ASSERT_TRUE(crema().missing.empty()) << crema().missing;
    EXPECT_EQ(crema().texts.at(GetParam().name), kernel().texts.at(GetParam().name));
}

TEST_P(Redirect, AsTheRecordedKernel) {
    ASSERT_TRUE(crema().missing.empty()) << crema().missing;
    ASSERT_TRUE(recorded().contains(GetParam().name)) << "run with --record where veth is";
    EXPECT_EQ(crema().texts.at(GetParam().name), recorded().at(GetParam().name));
}

INSTANTIATE_TEST_SUITE_P(, Redirect, testing::ValuesIn(cases()), [](const auto& each) {
    return std::string(each.param.name);
});

/// A comparison of texts in which nothing stands would find nothing.
TEST(RedirectRecord, SaysWhatCasesAreAbout) {
    std::string all;
    for (const auto& [name, text] : recorded()) {
        EXPECT_FALSE(text.empty()) << name;
        all += text;
    }
    for (const char* wanted :
         {"arrived at 0: ", "arrived at 3: ", "passed from 0: ", "slot 0>1 q0", "cpu 0 q0",
          "exceptions ", "dropped, ABORTED too ", "; tx ", "redirected ",
          "dropped on the way to a port ", "cpumap: no room 29", "cpumap: received ",
          "cpumap: dropped there ", "cpumap: redirected there ", "refused ifindex: EINVAL ",
          "refused ifindex: EBADRQC ", "refused devices: ENETDOWN ",
          "refused hashed_devices: EMSGSIZE ", "runs of program 2 "}) {
        EXPECT_NE(all.find(wanted), std::string::npos) << wanted;
    }
    EXPECT_EQ(recorded().size(), cases().size());
}

int record() {
    if (!kernel().missing.empty()) {
        std::cerr << "redirect: nothing recorded: " << kernel().missing << "\n";
        return 1;
    }
    std::ofstream file(kRecord);
    file << "# SPDX-License-Identifier: BSD-3-Clause\n# Linux on veth pairs; made by "
            "redirect_conformance_test --record\n";
    for (const Case& each : cases()) {
        file << kHeading << each.name << "\n" << kernel().texts.at(each.name);
    }
    return file.good() ? 0 : 1;
}

}  // namespace
}  // namespace crema::test::redirect

int main(int argc, char** argv) {
    using namespace crema::test;
    if (argc == 2 && std::strcmp(argv[1], "--record") == 0) {
        return redirect::record();
    }
    testing::InitGoogleTest(&argc, argv);
    with_eal({"-m", "128", "-l", "0"});
    return RUN_ALL_TESTS();
}
