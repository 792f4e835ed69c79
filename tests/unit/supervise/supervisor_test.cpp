// SPDX-License-Identifier: BSD-3-Clause
//
// A child whose bpf(2) calls come to this process. The child answers with an exit code: 0, or the
// number of the step that went wrong.
#include "lib/ebpf/supervise/supervisor.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>

#include <linux/bpf.h>
#include <linux/perf_event.h>

#include "lib/ebpf/supervise/private_commands.h"
#include "lib/ebpf/supervise/trap.h"
#include "lib/ebpf/syscall/object_store.h"
#include "tests/support/under_qemu.h"
#include "tests/unit/syscall/calls.h"

namespace crema::ebpf::supervise {
namespace {

using syscall::test::address;

long bpf(int command, bpf_attr& attr) {
    return ::syscall(SYS_bpf, command, &attr, sizeof attr);
}

int new_map() {
    bpf_attr attr = syscall::test::array_attr();
    attr.map_flags = BPF_F_MMAPABLE;
    attr.value_size = 512;
    attr.max_entries = 8;
    return static_cast<int>(bpf(BPF_MAP_CREATE, attr));
}

long touch(int command, int map, std::uint32_t key, void* value) {
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(map);
    attr.key = address(&key);
    attr.value = address(value);
    return bpf(command, attr);
}

/// Runs `body` in a supervised child and returns its exit code; -1: it could not be made.
int supervised(const std::function<int()>& body, bool keep_supervisor = true) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return -1;
    }
    const UniqueFd ours(ends[0]);
    UniqueFd theirs(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
        {
            const auto listener = trap_bpf_calls();
            if (!listener || !send_descriptor(theirs.get(), listener->get())) {
                ::_exit(99);
            }
        }
        char ready = 0;
        ::_exit(::read(theirs.get(), &ready, 1) == 1 ? body() : 98);
    }
    theirs.reset();
    auto listener = receive_descriptor(ours.get());
    std::unique_ptr<Supervisor> supervisor;
    if (listener && keep_supervisor) {
        supervisor = Supervisor::start(std::move(*listener), {}).value();
    } else if (listener) {
        listener->reset();
    }
    EXPECT_EQ(::write(ours.get(), "r", 1), 1);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(Supervisor, AnotherProcessUsesItsOwnMemoryAndDescriptors) {
    SKIP_UNDER_QEMU("notifications of seccomp");
    EXPECT_EQ(supervised([] {
                  const int map = new_map();
                  if (map < 0 || ::fcntl(map, F_GETFD) != FD_CLOEXEC) {
                      return 1;
                  }
                  std::array<std::uint8_t, 512> value{};
                  value[7] = 42;
                  if (touch(BPF_MAP_UPDATE_ELEM, map, 3, value.data()) != 0) {
                      return 2;
                  }
                  const int copy = ::fcntl(map, F_DUPFD, 200);
                  value[7] = 0;
                  if (touch(BPF_MAP_LOOKUP_ELEM, copy, 3, value.data()) != 0 || value[7] != 42) {
                      return 3;
                  }
                  auto* mapped = static_cast<std::uint8_t*>(
                      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0));
                  return mapped != MAP_FAILED && mapped[3 * 512 + 7] == 42 ? 0 : 4;
              }),
              0);
}

int open_event(std::uint64_t config, int process, int cpu) {
    perf_event_attr attr{};
    attr.size = sizeof attr;
    attr.type = PERF_TYPE_SOFTWARE;
    attr.config = config;
    attr.sample_type = PERF_SAMPLE_RAW;
    attr.exclude_kernel = 1;
    return static_cast<int>(::syscall(SYS_perf_event_open, &attr, process, cpu, -1, 0));
}

std::string link_of(int fd) {
    std::array<char, 64> link{};
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    return ::readlink(path.c_str(), link.data(), link.size() - 1) > 0 ? link.data() : "";
}

TEST(Supervisor, EventsForProgramsAreServedHereAndOthersByTheKernel) {
    SKIP_UNDER_QEMU("notifications of seccomp");
    EXPECT_EQ(supervised([] {
                  const int ours = open_event(PERF_COUNT_SW_BPF_OUTPUT, -1, 0);
                  if (ours < 0 || !link_of(ours).starts_with("/memfd:bpf-perf_event") ||
                      ::fcntl(ours, F_GETFD) != 0) {
                      return 1;
                  }
                  if (open_event(PERF_COUNT_SW_BPF_OUTPUT, 0, 0) >= 0 || errno != EOPNOTSUPP) {
                      return 2;
                  }
                  bpf_attr attr{};
                  attr.map_type = BPF_MAP_TYPE_PERF_EVENT_ARRAY;
                  attr.key_size = 4;
                  attr.value_size = 4;
                  attr.max_entries = 1;
                  const auto map = static_cast<int>(bpf(BPF_MAP_CREATE, attr));
                  int value = ours;
                  if (map < 0 || touch(BPF_MAP_UPDATE_ELEM, map, 0, &value) != 0) {
                      return 3;
                  }
                  const int others = open_event(PERF_COUNT_SW_DUMMY, 0, -1);
                  if (others < 0) {
                      return errno == EACCES || errno == ENOENT ? 0 : 4;  // not allowed here
                  }
                  value = others;
                  return link_of(others) == "anon_inode:[perf_event]" &&
                                 touch(BPF_MAP_UPDATE_ELEM, map, 0, &value) != 0 &&
                                 errno == EOPNOTSUPP
                             ? 0
                             : 5;
              }),
              0);
}

TEST(Supervisor, ChildrenShareWhatTheyInherit) {
    SKIP_UNDER_QEMU("notifications of seccomp");
    EXPECT_EQ(supervised([] {
                  const int map = new_map();
                  std::array<std::uint8_t, 512> value{};
                  const pid_t child = ::fork();
                  if (child == 0) {
                      value[0] = 9;
                      ::_exit(touch(BPF_MAP_UPDATE_ELEM, map, 1, value.data()) == 0 ? 0 : 1);
                  }
                  int status = 1;
                  if (::waitpid(child, &status, 0) != child || status != 0) {
                      return 1;
                  }
                  return touch(BPF_MAP_LOOKUP_ELEM, map, 1, value.data()) == 0 && value[0] == 9 ? 0
                                                                                                : 2;
              }),
              0);
}

TEST(Supervisor, AProcessThatEndsLeavesNothing) {
    SKIP_UNDER_QEMU("notifications of seccomp");
    EXPECT_EQ(supervised([] {
                  for (int i = 0; i < 300; ++i) {
                      if (new_map() < 0) {
                          return 1;
                      }
                  }
                  bpf_attr attr{};
                  return bpf(BPF_MAP_GET_NEXT_ID, attr) == 0 ? 0 : 2;
              }),
              0);
    for (int i = 0; i < 500 && syscall::object_store::size() != 0; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        syscall::object_store::collect();
    }
    EXPECT_EQ(syscall::object_store::size(), 0U);
}

TEST(Supervisor, ClosedDescriptorsDoNotPileUp) {
    SKIP_UNDER_QEMU("notifications of seccomp");
    EXPECT_EQ(supervised([] {
                  for (int i = 0; i < 3000; ++i) {
                      const int map = new_map();
                      if (map < 0 || ::close(map) != 0) {
                          return 1;
                      }
                  }
                  return 0;
              }),
              0);
}

TEST(Supervisor, BadPointersAndCommandsAreErrors) {
    SKIP_UNDER_QEMU("notifications of seccomp");
    EXPECT_EQ(
        supervised([] {
            if (::syscall(SYS_bpf, BPF_MAP_CREATE, 4096, 64) != -1 || errno != EFAULT) {
                return 1;
            }
            bpf_attr attr{};
            if (bpf(4711, attr) != -1 || errno != EINVAL) {
                return 2;
            }
            PrivateAttr asked{.fd = 0};
            if (::syscall(SYS_bpf, kFirstPrivate, &asked, sizeof asked) != -1 || errno != EINVAL) {
                return 3;
            }
            if (::syscall(SYS_bpf, kFirstPrivate, &asked, 3) != -1 || errno != EINVAL) {
                return 4;
            }
            return ::syscall(SYS_bpf, static_cast<int>(PrivateCommand::end), &asked,
                             sizeof asked) == -1 &&
                           errno == EINVAL
                       ? 0
                       : 5;
        }),
        0);
}

TEST(Supervisor, ACallOfAKilledProcessIsForgotten) {
    SKIP_UNDER_QEMU("notifications of seccomp");
    EXPECT_EQ(supervised([] {
                  for (int i = 0; i < 20; ++i) {
                      const pid_t child = ::fork();
                      if (child == 0) {
                          for (;;) {
                              ::close(new_map());
                          }
                      }
                      ::usleep(2000);
                      ::kill(child, SIGKILL);
                      if (::waitpid(child, nullptr, 0) != child) {
                          return 1;
                      }
                  }
                  return new_map() >= 0 ? 0 : 2;
              }),
              0);
}

TEST(Supervisor, ThreadsCallAtTheSameTime) {
    SKIP_UNDER_QEMU("notifications of seccomp");
    EXPECT_EQ(supervised([] {
                  const int map = new_map();
                  std::array<int, 8> results{};
                  std::array<std::thread, 8> threads;
                  for (std::uint32_t i = 0; i < threads.size(); ++i) {
                      threads[i] = std::thread([&results, map, i] {
                          std::array<std::uint8_t, 512> value{};
                          for (int round = 0; round < 200; ++round) {
                              value[0] = static_cast<std::uint8_t>(round);
                              results[i] += touch(BPF_MAP_UPDATE_ELEM, map, i, value.data()) != 0;
                              results[i] += touch(BPF_MAP_LOOKUP_ELEM, map, i, value.data()) != 0;
                              results[i] += value[0] != static_cast<std::uint8_t>(round);
                          }
                      });
                  }
                  int wrong = 0;
                  for (std::uint32_t i = 0; i < threads.size(); ++i) {
                      threads[i].join();
                      wrong += results[i];
                  }
                  return wrong == 0 ? 0 : 1;
              }),
              0);
}

TEST(Supervisor, WithoutSupervisorCallsFailAndDoNotReachTheKernel) {
    SKIP_UNDER_QEMU("notifications of seccomp");
    EXPECT_EQ(supervised(
                  [] {
                      bpf_attr attr = syscall::test::array_attr();
                      return bpf(BPF_MAP_CREATE, attr) == -1 && errno == ENOSYS ? 0 : 1;
                  },
                  false),
              0);
}

TEST(Descriptors, OnlyTheyArePassed) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    UniqueFd near(ends[0]);
    const UniqueFd far(ends[1]);
    ASSERT_EQ(::write(near.get(), "x", 1), 1);
    EXPECT_EQ(receive_descriptor(far.get()).error().code, EPROTO);
    ASSERT_TRUE(send_descriptor(near.get(), far.get()));
    EXPECT_TRUE(receive_descriptor(far.get()));
    near.reset();
    EXPECT_EQ(receive_descriptor(far.get()).error().code, ECONNRESET);
}

}  // namespace
}  // namespace crema::ebpf::supervise
