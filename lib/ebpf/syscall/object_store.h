// SPDX-License-Identifier: BSD-3-Clause
//
// What bpf(2) file descriptors mean. Every object is behind a memfd and is known by the memfd's
// inode, not by a number: libbpf duplicates, renumbers and closes descriptors behind our back, and
// descriptors of other processes are looked up the same way. An array's memfd is its value memory,
// so a skeleton may mmap it; others are empty.
//
// An entry lives as long as its owner (a Session, or a ProgramFd), the object itself as long as
// somebody shares it. With the owner kDescriptors an entry lives as long as the kernel's would: as
// long as any process has its descriptor open, mapped or under way; collect() looks. Threads: any.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <variant>

#include "lib/base/result.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/perf_event.h"
#include "lib/ebpf/program/btf.h"
#include "lib/ebpf/syscall/link.h"
#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::ebpf::syscall {

/// A user reference to a map, as a descriptor is one (Map::add_user).
class MapUser {
  public:
    explicit MapUser(std::shared_ptr<maps::Map> map) : map_(std::move(map)) { map_->add_user(); }

    MapUser(const MapUser&) = delete;
    MapUser& operator=(const MapUser&) = delete;

    ~MapUser() { map_->drop_user(this); }

  private:
    std::shared_ptr<maps::Map> map_;
};

/// What a descriptor of a map allows: BPF_F_RDONLY and BPF_F_WRONLY of OBJ_GET, GET_FD_BY_ID.
enum class Access : std::uint8_t { both, read, write };

struct MapObject {
    std::shared_ptr<maps::Map> map;
    std::shared_ptr<const Btf> btf;  // may be null
    std::uint32_t btf_key_type = 0;
    std::uint32_t btf_value_type = 0;
    Access access = Access::both;
    std::shared_ptr<MapUser> user{};  // of the descriptor; the store sets it
};

struct ProgramObject {
    std::shared_ptr<const LoadedProgram> program;
};

struct BtfObject {
    std::shared_ptr<const Btf> btf;
};

struct LinkObject {
    std::shared_ptr<Link> link;
};

/// ENABLE_STATS: runs are counted for as long as it is open.
struct StatsObject {
    std::shared_ptr<run_stats::User> user;
};

/// A program of another type that libbpf loads to learn what the kernel can do, or one that was
/// refused in a session that goes on. It has no code: nothing in this process can run it.
struct ProbeProgram {};

/// Not one of bpf(2): what perf_event_open makes for programs to write to (perf_events.h).
struct EventObject {
    std::shared_ptr<maps::PerfEvent> event;
};

using StoredObject = std::variant<MapObject,
                                  ProgramObject,
                                  BtfObject,
                                  ProbeProgram,
                                  LinkObject,
                                  EventObject,
                                  StatsObject>;

namespace object_store {

/// Identity of whoever keeps an entry alive.
using Owner = const void*;

/// The processes that have the entry's descriptor.
inline constexpr char kDescriptorsAddress = 0;
inline constexpr Owner kDescriptors = &kDescriptorsAddress;

/// Returns a new close-on-exec descriptor; the caller owns it. EMFILE, ENFILE, ENOMEM.
[[nodiscard]] Result<int> add(StoredObject object, Owner owner);

/// Drops the entries of `owner`. Descriptors that are still open mean nothing afterwards.
void remove_all_of(Owner owner);

/// Drops the entries of kDescriptors that no process has open any more, and pins whose file is
/// gone.
void collect();

/// What a descriptor of the caller means (lib/base/caller.h). Null when `fd` is open but no object
/// of ours (EINVAL) or not open (EBADF); see error.
[[nodiscard]] std::shared_ptr<StoredObject> find(int fd, int* error);

/// Object of one kind: -EBADF not open, -EINVAL another kind or none of ours.
template <typename T>
[[nodiscard]] std::shared_ptr<T> find_as(int fd, int* error) {
    auto object = find(fd, error);
    if (object == nullptr) {
        return nullptr;
    }
    T* wanted = std::get_if<T>(object.get());
    if (wanted == nullptr) {
        *error = -EINVAL;
        return nullptr;
    }
    return {object, wanted};
}

/// Number of entries; 0 when no object is being loaded and no ProgramFd is alive.
[[nodiscard]] std::size_t size();

}  // namespace object_store

}  // namespace crema::ebpf::syscall
