// SPDX-License-Identifier: BSD-3-Clause
//
// compare_objects PATH...: every XDP program of the objects (files, or folders of *.o) through the
// running kernel and through Crema, as a Markdown table. For objects that are no part of any test:
// facts about them, and where to look. Exit code 1: they differ somewhere; 2: cannot be asked.
#include <algorithm>
#include <cstdio>
#include <fmt/format.h>

#include "tests/selftests/foreign_objects.h"
#include "tests/support/machine.h"

int main(int argc, char** argv) {
    using namespace crema::test;
    constexpr std::size_t kRandomPackets = 500;
    if (argc < 2) {
        (void)std::fputs("usage: compare_objects OBJECT|FOLDER...\n", stderr);
        return 2;
    }
    for (const auto& ready : {prepare_kernel(), prepare_crema()}) {
        if (!ready) {
            fmt::print(stderr, "compare_objects: {}\n", ready.error().message);
            return 2;
        }
    }
    (void)std::fputs(table_head().c_str(), stdout);
    std::size_t of[4] = {};
    for (int i = 1; i < argc; ++i) {
        std::vector<std::string> unreadable;
        for (const ForeignProgram& program : xdp_programs_in(argv[i], &unreadable)) {
            const Encounter encounter = meet(program, kRandomPackets);
            (void)std::fputs(table_line(encounter).c_str(), stdout);
            (void)std::fflush(stdout);
            ++of[static_cast<std::size_t>(encounter.meeting)];
        }
        for (const std::string& path : unreadable) {
            fmt::print(stderr, "compare_objects: {} cannot be opened by libbpf\n", path);
        }
    }
    fmt::print("\n{} the same, {} refused by Crema alone, {} by the kernel alone, {} differ\n",
               of[0], of[1], of[2], of[3]);
    return std::any_of(of + 1, of + 4, [](std::size_t n) { return n != 0; }) ? 1 : 0;
}
