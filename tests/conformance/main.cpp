// SPDX-License-Identifier: BSD-3-Clause
//
// Entry point of the conformance tests. `conformance_test --record` asks the running kernel and
// writes its answers to tests/conformance/recorded (one file per program), to be committed: against
// these the same cases run where bpf(2) is not allowed.
#include <cstdio>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <string_view>
#include <sys/utsname.h>

#include "tests/conformance/conformance.h"

namespace {

using namespace crema::test;

std::string kernel_name() {
    utsname name = {};
    if (uname(&name) != 0) {
        return "unknown";
    }
    return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

int record() {
    if (!kernel_ready()) {
        fmt::print(stderr, "conformance: {}\n", kernel_ready().error().message);
        return 1;
    }
    for (const Subject& subject : subjects()) {
        auto transcript =
            run_all(load_into_kernel(object_path(subject, ""), subject.program), subject);
        if (!transcript) {
            fmt::print(stderr, "conformance: {}\n", transcript.error().message);
            return 1;
        }
        transcript->machine = kernel_name();
        std::ofstream file(recorded_path(subject));
        file << "# SPDX-License-Identifier: BSD-3-Clause\n# What the kernel does with bpf program "
             << subject.program << "; written by conformance_test --record.\n"
             << to_text(*transcript);
        if (!file.flush()) {
            fmt::print(stderr, "conformance: cannot write {}\n", recorded_path(subject));
            return 1;
        }
        fmt::print("{}: {} packets\n", recorded_path(subject), transcript->steps.size());
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (argc == 2 && std::string_view(argv[1]) == "--record") {
        return record();
    }
    return RUN_ALL_TESTS();
}
