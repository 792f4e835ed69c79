// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/run_stats.h"

#include <fcntl.h>
#include <mutex>
#include <optional>
#include <unistd.h>

#include "lib/base/unique_fd.h"

namespace crema::ebpf::run_stats {

void follow_sysctl(const char* path) {
    static constinit std::mutex mutex;
    static constinit std::optional<User> user;
    const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
    char digit = '0';
    // Where it cannot be read nobody has said anything.
    const bool wanted =
        file.valid() && ::read(file.get(), &digit, sizeof digit) == 1 && digit != '0';
    const std::lock_guard lock(mutex);
    if (wanted && !user) {
        user.emplace();
    } else if (!wanted) {
        user.reset();
    }
}

}  // namespace crema::ebpf::run_stats
