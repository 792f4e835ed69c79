// SPDX-License-Identifier: BSD-3-Clause
//
// No bpf(2) call reaches the kernel: a child that a seccomp filter kills on bpf(2) loads an object
// and runs it, also as a user without any right.
#include <array>
#include <cstddef>
#include <gtest/gtest.h>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "lib/ebpf/loader/object.h"
#include "lib/xdp/test_run.h"

namespace crema::ebpf::loader {
namespace {

/// From here on bpf(2) ends this process with SIGSYS.
bool forbid_bpf() {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_bpf, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{.len = std::size(code), .filter = code};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// 0 when the object loads and its program returns XDP_PASS.
int load_and_run() {
    const auto object = Object::load(CREMA_TEST_OBJECTS "/globals.o");
    if (!object) {
        std::printf("%s\n", object.error().message.c_str());
        return 1;
    }
    const std::array<std::uint8_t, 64> packet{};
    const auto program = object->program("");
    const auto run = xdp::test_run(**program, packet, 1, 1);
    return run && run->retval == 2 ? 0 : 2;
}

template <typename Body>
int exit_status_of(const Body& body) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::_exit(body());
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
}

TEST(NoKernel, TheFilterKillsWhoCallsBpf) {
    const int status = exit_status_of([] {
        if (!forbid_bpf()) {
            return 77;
        }
        static_cast<void>(::syscall(__NR_bpf, 0, nullptr, 0));
        return 0;
    });
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        GTEST_SKIP() << "seccomp filters cannot be installed here";
    }
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << status;
}

TEST(NoKernel, LoadsAndRunsWithoutBpf) {
    const int status = exit_status_of([] { return forbid_bpf() ? load_and_run() : 77; });
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        GTEST_SKIP() << "seccomp filters cannot be installed here";
    }
    EXPECT_EQ(status, 0);
}

TEST(NoKernel, LoadsAndRunsWithoutRights) {
    if (::getuid() != 0) {
        EXPECT_EQ(load_and_run(), 0);
        return;
    }
    constexpr uid_t kNobody = 65534;
    const int status = exit_status_of([] {
        if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0 || !forbid_bpf()) {
            return 77;
        }
        if (::access(CREMA_TEST_OBJECTS "/globals.o", R_OK) != 0) {
            return 77;
        }
        return load_and_run();
    });
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        GTEST_SKIP() << "cannot become another user who reads the test objects";
    }
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace crema::ebpf::loader
