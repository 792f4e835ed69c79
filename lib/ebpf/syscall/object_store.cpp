// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/object_store.h"

#include <array>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include "lib/base/caller.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/circles.h"
#include "lib/ebpf/syscall/object_ids.h"
#include "lib/ebpf/syscall/pins.h"

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

/// The memory that a descriptor of the object offers to mmap, or -1. A descriptor with fewer rights
/// than the memory does not offer it.
int value_memory_of(const StoredObject& object) {
    if (const auto* event = std::get_if<EventObject>(&object); event != nullptr) {
        return event->event->memory_fd();
    }
    const auto* map = std::get_if<MapObject>(&object);
    return map != nullptr && map->access == Access::both ? map->map->memory_fd() : -1;
}

/// What /proc/PID/fd shows behind "/memfd:"; tools look for these words.
const char* name_of(const StoredObject& object) {
    static constexpr std::array<const char*, std::variant_size_v<StoredObject>> kNames = {
        "bpf-map", "bpf-prog", "btf", "bpf-prog", "bpf_link", "bpf-perf_event", "bpf-stats"};
    return kNames[object.index()];
}

/// Another open file of the same memfd: the kernel counts it by itself. Without /proc a duplicate.
UniqueFd open_again(int fd) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    UniqueFd again(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    return again.valid() ? std::move(again) : UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

/// True when nobody else has the file open for writing, as every descriptor that add() hands out
/// is. The kernel says so by granting a lease; it is given back at once.
bool is_last(int fd) {
    if (::fcntl(fd, F_SETLEASE, F_WRLCK) != 0) {
        return false;
    }
    (void)::fcntl(fd, F_SETLEASE, F_UNLCK);
    return true;
}

}  // namespace

Result<int> add(StoredObject object, Owner owner) {
    if (auto* map = std::get_if<MapObject>(&object); map != nullptr) {
        map->user = std::make_shared<MapUser>(map->map);
    }
    const int memory = value_memory_of(object);
    const UniqueFd fresh(memory >= 0 ? -1 : ::memfd_create(name_of(object), MFD_CLOEXEC));
    const int base = memory >= 0 ? memory : fresh.get();
    UniqueFd keep = base >= 0 ? open_again(base) : UniqueFd();
    UniqueFd handle = base >= 0 ? open_again(base) : UniqueFd();

    struct stat status {};

    if (!keep.valid() || !handle.valid() || ::fstat(handle.get(), &status) != 0) {
        const int code = errno;
        return fail(code, "cannot create a file descriptor for a BPF object (errno {})", code);
    }
    Table& store = table();
    const std::lock_guard lock(store.mutex);
    // Value memory may be registered already, for another descriptor of the same map.
    store.entries.try_emplace(
        {status.st_dev, status.st_ino},
        Entry{std::make_shared<StoredObject>(std::move(object)), std::move(keep), owner});
    return handle.release();
}

void remove_all_of(Owner owner) {
    {
        // Objects die outside the lock: a map's slots may hold programs and look up descriptors.
        std::map<InodeId, Entry> gone;
        Table& store = table();
        const std::lock_guard lock(store.mutex);
        for (auto entry = store.entries.begin(); entry != store.entries.end();) {
            const auto next = std::next(entry);
            if (entry->second.owner == owner) {
                gone.insert(store.entries.extract(entry));
            }
            entry = next;
        }
    }
    circles::collect();
}

void collect() {
    pins::collect();
    {
        std::map<InodeId, Entry> gone;
        Table& store = table();
        const std::lock_guard lock(store.mutex);
        for (auto entry = store.entries.begin(); entry != store.entries.end();) {
            const auto next = std::next(entry);
            if (entry->second.owner == kDescriptors && is_last(entry->second.keep.get())) {
                gone.insert(store.entries.extract(entry));
            }
            entry = next;
        }
    }
    circles::collect();
    object_ids::collect();
}

std::shared_ptr<StoredObject> find(int fd, int* error) {
    struct stat status {};

    if (!caller::stat_descriptor(fd, status)) {
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
