// SPDX-License-Identifier: BSD-3-Clause
#include "lib/base/caller.h"

#include <array>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace crema::caller {
namespace {

thread_local pid_t t_other = 0;  // 0: this process
thread_local const Scope::StillWaits* t_still_waits = nullptr;

std::string descriptor_path(int fd) {
    return proc_path("fd/") + std::to_string(fd);
}

}  // namespace

pid_t current() {
    return t_other != 0 ? t_other : getpid();
}

bool is_other_process() {
    return t_other != 0;
}

std::string proc_path(const char* what) {
    return t_other != 0 ? fmt::format("/proc/{}/{}", t_other, what)
                        : fmt::format("/proc/self/{}", what);
}

bool stat_descriptor(int fd, struct stat& status) {
    if (!is_other_process()) {
        return ::fstat(fd, &status) == 0;
    }
    return fd >= 0 && ::stat(descriptor_path(fd).c_str(), &status) == 0;
}

std::string link_of_descriptor(int fd) {
    std::array<char, 256> target{};
    const ssize_t bytes =
        fd < 0 ? -1 : ::readlink(descriptor_path(fd).c_str(), target.data(), target.size());
    return bytes > 0 ? std::string(target.data(), static_cast<std::size_t>(bytes)) : std::string();
}

bool still_waits() {
    return t_still_waits == nullptr || !*t_still_waits || (*t_still_waits)();
}

Scope::Scope(pid_t pid, StillWaits still_waits)
    : outer_(t_other),
      still_waits_(std::move(still_waits)),
      outer_still_waits_(std::exchange(t_still_waits, &still_waits_)) {
    t_other = pid;
}

Scope::~Scope() {
    t_other = outer_;
    t_still_waits = outer_still_waits_;
}

}  // namespace crema::caller
