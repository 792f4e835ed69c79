// SPDX-License-Identifier: BSD-3-Clause
//
// OBJ_PIN and OBJ_GET. A path is the caller's: it starts at the caller's root or working directory,
// in the caller's mount namespace.
#include <climits>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "lib/base/caller.h"
#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/pins.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {
namespace {

// Newer than the headers this is built with.
constexpr std::uint32_t kPathFd = 1U << 14;  // BPF_F_PATH_FD
constexpr std::size_t kPathFdAt = offsetof(bpf_attr, file_flags) + sizeof(bpf_attr::file_flags);

int path_fd_of(const bpf_attr& attr) {
    std::int32_t fd = 0;
    std::memcpy(&fd, reinterpret_cast<const std::uint8_t*>(&attr) + kPathFdAt, sizeof fd);
    return fd;
}

/// Opens `path` as the caller would. Invalid: errno.
UniqueFd open_of_caller(const std::string& path, int path_fd, std::uint64_t flags) {
    const bool absolute = path.starts_with('/');
    std::string start = caller::proc_path(absolute ? "root" : "cwd");
    if (!absolute && path_fd != AT_FDCWD) {
        start = caller::proc_path("fd/") + std::to_string(path_fd);
    }
    const UniqueFd from(::open(start.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!from.valid()) {
        return {};
    }
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.resolve = absolute ? RESOLVE_IN_ROOT : 0;
    return UniqueFd(
        static_cast<int>(::syscall(SYS_openat2, from.get(), path.c_str(), &how, sizeof how)));
}

/// The path of the call. 0 or a negative errno.
int read_path(const bpf_attr& attr, std::string& path) {
    if (const int err = copy_in_string(path, attr.pathname, PATH_MAX); err != 0) {
        return err;
    }
    if (path.empty()) {
        return -ENOENT;
    }
    return path.size() == PATH_MAX ? -ENAMETOOLONG : 0;
}

bool path_flags_valid(const bpf_attr& attr, std::uint32_t others) {
    const bool by_fd = (attr.file_flags & kPathFd) != 0;
    return (attr.file_flags & ~(kPathFd | others)) == 0 && (by_fd || path_fd_of(attr) == 0);
}

int start_of(const bpf_attr& attr) {
    return (attr.file_flags & kPathFd) != 0 ? path_fd_of(attr) : AT_FDCWD;
}

/// Creates the file of a pin. Invalid: *error.
UniqueFd create_pin(const std::string& path, int path_fd, int* error) {
    const std::size_t slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    const std::string parent = slash == std::string::npos ? "."
                               : slash == 0               ? "/"
                                                          : path.substr(0, slash);
    const UniqueFd directory = open_of_caller(parent, path_fd, O_PATH | O_DIRECTORY);
    if (!directory.valid()) {
        *error = -errno;
        return {};
    }
    if (name.empty() || name == "." || name == "..") {
        *error = -EEXIST;
        return {};
    }
    // Names of the BPF file system have no dots; the kernel keeps them for itself.
    if (::faccessat(directory.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        *error = -EEXIST;
        return {};
    }
    if (!pins::is_inside(directory.get()) || name.find('.') != std::string::npos) {
        *error = -EPERM;
        return {};
    }
    constexpr mode_t kOwnerOnly = 0600;
    UniqueFd file(::openat(directory.get(), name.c_str(),
                           O_CREAT | O_EXCL | O_NOFOLLOW | O_RDONLY | O_CLOEXEC, kOwnerOnly));
    *error = file.valid() ? 0 : -errno;
    return file;
}

}  // namespace

long object_pin(Call& call) {
    const bpf_attr& attr = call.attr;
    if (!path_flags_valid(attr, 0)) {
        return -EINVAL;
    }
    int error = 0;
    auto object = object_store::find(static_cast<int>(attr.bpf_fd), &error);
    if (object == nullptr || std::holds_alternative<BtfObject>(*object) ||
        std::holds_alternative<EventObject>(*object) ||
        std::holds_alternative<StatsObject>(*object)) {
        return -EINVAL;  // also for one that is not open
    }
    std::string path;
    if (const int err = read_path(attr, path); err != 0) {
        return err;
    }
    pins::collect();
    UniqueFd file = create_pin(path, start_of(attr), &error);
    if (!file.valid()) {
        return error;
    }
    if (const auto* map = std::get_if<MapObject>(object.get()); map != nullptr) {
        // A user of its own: what goes with the descriptor does not stay for the pin.
        MapObject pinned = *map;
        pinned.user = std::make_shared<MapUser>(pinned.map);
        object = std::make_shared<StoredObject>(std::move(pinned));
    }
    pins::add(std::move(file), std::move(object));
    return 0;
}

long object_get(Call& call) {
    const bpf_attr& attr = call.attr;
    if (attr.bpf_fd != 0 || !path_flags_valid(attr, BPF_F_RDONLY | BPF_F_WRONLY)) {
        return -EINVAL;
    }
    Access access = Access::both;
    if (const int err = read_access(attr.file_flags & ~kPathFd, access); err != 0) {
        return err;
    }
    std::string path;
    if (const int err = read_path(attr, path); err != 0) {
        return err;
    }
    const UniqueFd file = open_of_caller(path, start_of(attr), O_PATH);
    if (!file.valid()) {
        return -errno;
    }
    const auto object = pins::find(file.get());
    if (object == nullptr) {
        return -EACCES;  // to the kernel: a file of another file system
    }
    if (const auto* map = std::get_if<MapObject>(object.get()); map != nullptr) {
        MapObject opened = *map;
        opened.access = access;
        return publish(std::move(opened));
    }
    if (const auto* link = std::get_if<LinkObject>(object.get()); link != nullptr) {
        return access == Access::both ? publish(*link) : -EINVAL;
    }
    const auto* program = std::get_if<ProgramObject>(object.get());
    return program != nullptr ? publish(*program) : publish(ProbeProgram{});
}

}  // namespace crema::ebpf::syscall
