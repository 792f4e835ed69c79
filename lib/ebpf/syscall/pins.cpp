// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/pins.h"

#include <fcntl.h>
#include <map>
#include <mutex>
#include <sys/stat.h>
#include <utility>

namespace crema::ebpf::syscall::pins {
namespace {

using InodeId = std::pair<dev_t, ino_t>;

constexpr InodeId kNone{0, 0};  // no file has it

struct Pin {
    UniqueFd file;  // keeps the inode's number from being used again
    std::shared_ptr<StoredObject> object;
};

struct Table {
    std::mutex mutex;
    InodeId directory = kNone;
    std::map<InodeId, Pin> pins;
};

Table& table() {
    static Table the_table;
    return the_table;
}

InodeId inode_of(int fd) {
    struct stat status {};

    return ::fstat(fd, &status) == 0 ? InodeId{status.st_dev, status.st_ino} : kNone;
}

bool has_no_name(int file) {
    struct stat status {};

    return ::fstat(file, &status) != 0 || status.st_nlink == 0;
}

}  // namespace

Status set_directory(const std::string& path) {
    const UniqueFd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const InodeId inode = inode_of(directory.get());
    if (inode == kNone) {
        const int code = errno;
        return fail(code, "{}: cannot stand for the BPF file system (errno {})", path, code);
    }
    Table& all = table();
    const std::lock_guard lock(all.mutex);
    all.directory = inode;
    return {};
}

bool is_inside(int directory) {
    Table& all = table();
    InodeId wanted;
    {
        const std::lock_guard lock(all.mutex);
        wanted = all.directory;
    }
    if (wanted == kNone) {
        return false;
    }
    // Upwards until the root, which is its own parent. Paths are at most a page long.
    constexpr int kLevelsMax = 2048;
    UniqueFd at(::fcntl(directory, F_DUPFD_CLOEXEC, 3));
    InodeId below = kNone;
    for (int level = 0; level < kLevelsMax && at.valid(); ++level) {
        const InodeId here = inode_of(at.get());
        if (here == wanted) {
            return true;
        }
        if (here == below) {
            return false;
        }
        below = here;
        at.reset(::openat(at.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    return false;
}

void add(UniqueFd file, std::shared_ptr<StoredObject> object) {
    const InodeId inode = inode_of(file.get());
    if (inode == kNone) {
        return;
    }
    Table& all = table();
    const std::lock_guard lock(all.mutex);
    all.pins[inode] = {std::move(file), std::move(object)};
}

std::shared_ptr<StoredObject> find(int file) {
    Table& all = table();
    const std::lock_guard lock(all.mutex);
    const auto found = all.pins.find(inode_of(file));
    return found != all.pins.end() ? found->second.object : nullptr;
}

void collect() {
    std::map<InodeId, Pin> gone;  // dies outside the lock
    Table& all = table();
    const std::lock_guard lock(all.mutex);
    for (auto pin = all.pins.begin(); pin != all.pins.end();) {
        const auto next = std::next(pin);
        if (has_no_name(pin->second.file.get())) {
            gone.insert(all.pins.extract(pin));
        }
        pin = next;
    }
}

void clear() {
    std::map<InodeId, Pin> gone;
    Table& all = table();
    const std::lock_guard lock(all.mutex);
    gone.swap(all.pins);
    all.directory = kNone;
}

}  // namespace crema::ebpf::syscall::pins
