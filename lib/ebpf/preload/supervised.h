// SPDX-License-Identifier: BSD-3-Clause
//
// Questions to the supervisor of this process. All calls are plain system calls and safe wherever
// the libc functions are that they stand behind.
#pragma once

#include <atomic>
#include <cstdint>

#include "lib/ebpf/supervise/private_commands.h"

namespace crema::preload {

/// Result of a private command for `fd`, or -1 with errno set: EINVAL also where nobody supervises.
long ask(ebpf::supervise::PrivateCommand command,
         int fd,
         std::uint32_t request = 0,
         std::uint64_t argument = 0);

/// True when `fd` is a descriptor that the supervisor may know: a memfd with its kind of name.
bool may_be_ours(int fd);

/// One of those that stands for a perf event.
bool may_be_event(int fd);

/// The next definition of a libc function, or abort: without it the program cannot go on either.
void* next_definition(const char* name);

/// The same, for functions that are called often: looked up once per `place`.
template <typename Function>
Function next_definition(std::atomic<void*>& place, const char* name) {
    void* found = place.load(std::memory_order_acquire);
    if (found == nullptr) {
        found = next_definition(name);
        place.store(found, std::memory_order_release);
    }
    return reinterpret_cast<Function>(found);
}

}  // namespace crema::preload
