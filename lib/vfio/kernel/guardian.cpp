// SPDX-License-Identifier: BSD-3-Clause
//
// After fork() in a process with threads only calls that a signal handler may make are allowed, so
// the guardian allocates nothing and says nothing.
#include "lib/vfio/kernel/guardian.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace crema::vfio::kernel {
namespace {

struct Duty {
    int device = -1;
    std::uint64_t region = 0;
    std::array<RegisterWrite, Guardian::kWritesMax> writes{};
    std::size_t count = 0;
    int line = -1;     // breaks with the process
    int process = -1;  // pidfd of it: also when a child of it holds the other end; -1: none
};

/// All descriptors but those of the duty: what they hold open shall go with the process.
void close_others(const Duty& duty) {
    std::array<int, 3> kept = {duty.device, duty.line, duty.process};
    std::ranges::sort(kept);
    unsigned from = 0;
    for (const int fd : kept) {
        if (fd < 0) {
            continue;
        }
        const auto each = static_cast<unsigned>(fd);
        if (each > from) {
            (void)::syscall(SYS_close_range, from, each - 1, 0U);
        }
        from = each + 1;
    }
    (void)::syscall(SYS_close_range, from, ~0U, 0U);
}

[[noreturn]] void guard(const Duty& duty) {
    sigset_t all;
    sigfillset(&all);
    (void)::sigprocmask(SIG_SETMASK, &all, nullptr);
    (void)::setsid();
    (void)::prctl(PR_SET_NAME, "crema-guardian");
    close_others(duty);
    std::array<pollfd, 2> waits{{{duty.line, POLLIN, 0}, {duty.process, POLLIN, 0}}};
    while (::poll(waits.data(), waits.size(), -1) < 0 && errno == EINTR) {
    }
    for (std::size_t i = 0; i < duty.count; ++i) {
        const RegisterWrite& write = duty.writes[i];  // NOLINT(*-constant-array-index): bounded
        (void)!::pwrite(duty.device, &write.value, sizeof(write.value),
                        static_cast<off_t>(duty.region + write.offset));
    }
    ::_exit(0);
}

}  // namespace

Result<Guardian> Guardian::start(int device,
                                 std::uint64_t region,
                                 std::span<const RegisterWrite> writes) {
    if (writes.size() > kWritesMax) {
        return fail(E2BIG, "guardian: {} register writes, at most {}", writes.size(), kWritesMax);
    }
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return fail(errno, "guardian: no socket: {}", std::strerror(errno));
    }
    UniqueFd line(ends[0]);
    const UniqueFd other(ends[1]);
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0U)));
    Duty duty{.device = device,
              .region = region,
              .count = writes.size(),
              .line = other.get(),
              .process = process.get()};
    std::ranges::copy(writes, duty.writes.begin());
    // Twice, so that nobody here has a child that he did not make.
    const pid_t child = ::fork();
    if (child == 0) {
        const pid_t grandchild = ::fork();
        if (grandchild == 0) {
            guard(duty);
        }
        ::_exit(grandchild < 0 ? errno : 0);
    }
    if (child < 0) {
        return fail(errno, "guardian: cannot be started: {}", std::strerror(errno));
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        return fail(WEXITSTATUS(status), "guardian: cannot be started: {}",
                    std::strerror(WEXITSTATUS(status)));
    }
    return Guardian(std::move(line));
}

Guardian::~Guardian() {
    if (!line_.valid()) {
        return;
    }
    (void)::shutdown(line_.get(), SHUT_WR);
    char nothing = 0;
    while (::read(line_.get(), &nothing, sizeof(nothing)) < 0 && errno == EINTR) {
    }
}

}  // namespace crema::vfio::kernel
