// SPDX-License-Identifier: BSD-3-Clause
//
// Memory of compiled code: pages are never writable and executable at once, a mapping that the
// system refuses is an error and leaves nothing behind, and loading and unloading for ever leaks
// nothing. mmap and mprotect of the whole process, librte_bpf's copy in our library included, come
// through here. What allocates through operator new ends the process when memory is out (the
// library has no exceptions); lib/ebpf/lowering/README.md says so.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <dlfcn.h>
#include <fstream>
#include <gtest/gtest.h>
#include <malloc.h>
#include <string>
#include <sys/mman.h>
#include <vector>

#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/support/asm.h"
#include "tests/support/open_files.h"
#include "tests/support/rounds.h"

namespace {

// What the two calls below record and do while a test is watching.
struct Watch {
    bool on = false;
    int calls = 0;
    int fails_at = 0;  // this call fails; 0: none
    int writable_and_executable = 0;
    int made_executable = 0;
};

Watch g_watch;

// True: the call is to fail.
bool noted(int protection) {
    if (!g_watch.on) {
        return false;
    }
    const bool writes = (protection & PROT_WRITE) != 0;
    const bool executes = (protection & PROT_EXEC) != 0;
    g_watch.writable_and_executable += writes && executes ? 1 : 0;
    g_watch.made_executable += executes ? 1 : 0;
    g_watch.calls++;
    return g_watch.calls == g_watch.fails_at;
}

}  // namespace

extern "C" {
void* mmap(void* at, std::size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
    using Mmap = void* (*)(void*, std::size_t, int, int, int, off_t);
    static const auto real = reinterpret_cast<Mmap>(dlsym(RTLD_NEXT, "mmap"));
    if (noted(protection)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return real(at, bytes, protection, flags, fd, offset);
}

int mprotect(void* at, std::size_t bytes, int protection) noexcept {
    using Mprotect = int (*)(void*, std::size_t, int);
    static const auto real = reinterpret_cast<Mprotect>(dlsym(RTLD_NEXT, "mprotect"));
    if (noted(protection)) {
        errno = EACCES;
        return -1;
    }
    return real(at, bytes, protection);
}
}

namespace crema::test {
namespace {

// Three functions, an atomic and a division: several mappings.
ebpf::Program some_program() {
    const int call_code = op::kJmp | op::kCall;
    return program_of(Code{mov_k(1, 40), insn(call_code, 0, op::kPseudoCall, 0, 1), exit_insn(),
                           mov(6, 1), insn(call_code, 0, op::kPseudoCall, 0, 2),
                           alu(op::kAdd, 0, 6), exit_insn(), store(op::kDw, 10, -8, 1), mov_k(2, 2),
                           insn(op::kStx | op::kAtomic | op::kDw, 10, 2, -8, 1),
                           load(op::kDw, 0, 10, -8), exit_insn()});
}

Result<ebpf::lowering::Code> load(const ebpf::Program& program) {
    const auto proof = ebpf::verifier::verify(program, {});
    if (!proof) {
        return forward_error(proof);
    }
    const auto lowered = ebpf::lowering::lower(program, *proof);
    if (!lowered) {
        return forward_error(lowered);
    }
    return ebpf::lowering::compile(*lowered);
}

std::size_t mappings(bool only_writable_and_executable) {
    std::ifstream in("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(in, line);) {
        const std::size_t at = line.find(' ') + 1;
        const bool both = line.at(at + 1) == 'w' && line.at(at + 2) == 'x';
        count += !only_writable_and_executable || both ? 1 : 0;
    }
    return count;
}

TEST(CodeMemory, IsNeverWritableAndExecutableAtOnce) {
    g_watch = {.on = true};
    const auto code = load(some_program());
    g_watch.on = false;
    ASSERT_TRUE(code) << code.error().message;
    EXPECT_EQ(g_watch.writable_and_executable, 0);
    EXPECT_EQ(g_watch.made_executable, 2 * 3) << "each function where it is made and where it lies";
    EXPECT_EQ(mappings(true), 0U);
    ebpf::XdpBuff buff{};
    EXPECT_EQ(code->entry()(&buff, nullptr), 82U);
}

TEST(CodeMemory, RefusedMappingsAreErrorsAndLeaveNothing) {
    ASSERT_TRUE(load(some_program()));  // what is made once, is made
    const std::size_t before = mappings(false);
    int failures = 0;
    for (int n = 1;; n++) {
        g_watch = {.on = true, .fails_at = n};
        const auto code = load(some_program());
        g_watch.on = false;
        if (code) {
            break;
        }
        EXPECT_EQ(code.error().code, ENOMEM) << "call " << n << ": " << code.error().message;
        EXPECT_EQ(code.error().message.find('\n'), std::string::npos);
        EXPECT_EQ(mappings(false), before) << "call " << n;
        failures++;
    }
    std::printf("  %d calls failed, one after the other\n", failures);
    EXPECT_GE(failures, 9) << "object, code and protection of three functions";
}

TEST(CodeMemory, LoadingAndUnloadingLeaksNothing) {
    const ebpf::Program program = some_program();
    for (int i = 0; i < 100; i++) {
        ASSERT_TRUE(load(program));
    }
    const std::size_t maps_before = mappings(false);
    const std::size_t files_before = open_files();
    const std::size_t bytes_before = mallinfo2().uordblks;
    const std::uint64_t rounds = scaled_rounds(2000);
    for (std::uint64_t i = 0; i < rounds; i++) {
        const auto code = load(program);
        ASSERT_TRUE(code) << code.error().message;
    }
    std::printf("  %llu loads: %zu to %zu mappings, %zu to %zu files, %zu to %zu bytes\n",
                static_cast<unsigned long long>(rounds), maps_before, mappings(false), files_before,
                open_files(), bytes_before, static_cast<std::size_t>(mallinfo2().uordblks));
    EXPECT_EQ(mappings(false), maps_before);
    EXPECT_EQ(open_files(), files_before);
    constexpr std::size_t kSlack = 4096;  // what the test itself keeps
    EXPECT_LE(mallinfo2().uordblks, bytes_before + kSlack);
}

}  // namespace
}  // namespace crema::test
