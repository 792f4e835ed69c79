// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/object_store.h"

#include <fcntl.h>
#include <map>
#include <mutex>
#include <sys/mman.h>
#include <sys/stat.h>
#include <utility>

#include "lib/base/unique_fd.h"

namespace crema::ebpf::syscall::object_store {
namespace {

using InodeId = std::pair<dev_t, ino_t>;

struct Entry {
    std::shared_ptr<StoredObject> object;
    UniqueFd keep;  // our own descriptor: the inode number cannot be reused while registered
    Owner owner = nullptr;
};

struct Table {
    std::mutex mutex;
    std::map<InodeId, Entry> entries;
};

// A function-local static: plug-in constructors may come here before this file's initialisers.
Table& table() {
    static Table the_table;
    return the_table;
}

int value_memory_of(const StoredObject& object) {
    const auto* map = std::get_if<MapObject>(&object);
    return map != nullptr ? map->map->memory_fd() : -1;
}

}  // namespace

Result<int> add(StoredObject object, Owner owner) {
    if (auto* map = std::get_if<MapObject>(&object); map != nullptr) {
        map->user = std::make_shared<MapUser>(map->map);
    }
    const int memory = value_memory_of(object);
    UniqueFd keep(memory >= 0 ? ::fcntl(memory, F_DUPFD_CLOEXEC, 3)
                              : ::memfd_create("crema-bpf", MFD_CLOEXEC));
    UniqueFd handle(keep.valid() ? ::fcntl(keep.get(), F_DUPFD_CLOEXEC, 3) : -1);

    struct stat status {};

    if (!handle.valid() || ::fstat(handle.get(), &status) != 0) {
        const int code = errno;
        return fail(code, "cannot create a file descriptor for a BPF object (errno {})", code);
    }
    Entry entry{std::make_shared<StoredObject>(std::move(object)), std::move(keep), owner};
    Table& store = table();
    const std::lock_guard lock(store.mutex);
    store.entries[{status.st_dev, status.st_ino}] = std::move(entry);
    return handle.release();
}

void remove_all_of(Owner owner) {
    // Objects die outside the lock: a map's slots may hold programs and look up descriptors.
    std::map<InodeId, Entry> gone;
    Table& store = table();
    {
        const std::lock_guard lock(store.mutex);
        for (auto entry = store.entries.begin(); entry != store.entries.end();) {
            const auto next = std::next(entry);
            if (entry->second.owner == owner) {
                gone.insert(store.entries.extract(entry));
            }
            entry = next;
        }
    }
}

std::shared_ptr<StoredObject> find(int fd, int* error) {
    struct stat status {};

    if (::fstat(fd, &status) != 0) {
        *error = -EBADF;
        return nullptr;
    }
    Table& store = table();
    const std::lock_guard lock(store.mutex);
    const auto found = store.entries.find({status.st_dev, status.st_ino});
    if (found == store.entries.end()) {
        *error = -EINVAL;
        return nullptr;
    }
    *error = 0;
    return found->second.object;
}

std::size_t size() {
    Table& store = table();
    const std::lock_guard lock(store.mutex);
    return store.entries.size();
}

}  // namespace crema::ebpf::syscall::object_store
