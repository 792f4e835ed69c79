// SPDX-License-Identifier: BSD-3-Clause
//
// The part of perf_event_open(2) and its ioctls that belongs to BPF: events that programs write to.
// Such an event is an object of this process (maps/perf_event.h) behind a descriptor of the store;
// every other event is the kernel's business.
#pragma once

#include <cstdint>
#include <optional>

namespace crema::ebpf::syscall {

/// perf_event_open of the process of caller::current(); `attr` is an address of it. A descriptor or
/// a negative errno; nothing: not an event for programs, the kernel must answer. Needs a session.
/// Events of a process (pid), of a group, and what records may hold beyond kSampleServed are
/// -EOPNOTSUPP.
[[nodiscard]] std::optional<long> perf_event_open(std::uint64_t attr,
                                                  std::int32_t pid,
                                                  std::int32_t cpu,
                                                  std::int32_t group,
                                                  std::uint64_t flags);

/// Before the caller maps `bytes` bytes of descriptor `fd`: 0 or a negative errno (-EBADF: no event
/// of the store).
[[nodiscard]] long perf_event_map(int fd, std::uint64_t bytes, bool is_writable);

/// ioctl(2) with a request of perf events. 0 or a negative errno.
[[nodiscard]] long perf_event_control(int fd, std::uint32_t request, std::uint64_t argument);

}  // namespace crema::ebpf::syscall
