// SPDX-License-Identifier: BSD-3-Clause
//
// Perf events that this process has mapped. poll() looks at its descriptors only when there are
// some; epoll_ctl finds again what stands for one.
#pragma once

namespace crema::preload {

/// The descriptor that tells of new records; -1: not an event that was mapped.
[[nodiscard]] int wakeups_of(int fd);

/// `fd` is about to be mapped.
void remember_event(int fd);

/// The ioctl request is one of perf events, and `fd` is one of ours.
[[nodiscard]] bool is_event_request(int fd, unsigned long request);

/// Its result, with errno.
int event_request(int fd, unsigned long request, const void* argument);

}  // namespace crema::preload
