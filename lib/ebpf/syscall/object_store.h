// SPDX-License-Identifier: BSD-3-Clause
//
// What bpf(2) file descriptors mean. Every object is behind a memfd and is known by the memfd's
// inode, not by a number: libbpf duplicates, renumbers and closes descriptors behind our back. An
// array's memfd is its value memory, so a skeleton may mmap it; others are empty.
//
// An entry lives as long as its owner (a Session, or a ProgramFd), the object itself as long as
// somebody shares it. Threads: any.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/btf.h"
#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::ebpf::syscall {

/// A user reference to a map, as a descriptor is one (Map::add_user).
class MapUser {
  public:
    explicit MapUser(std::shared_ptr<maps::Map> map) : map_(std::move(map)) { map_->add_user(); }

    MapUser(const MapUser&) = delete;
    MapUser& operator=(const MapUser&) = delete;

    ~MapUser() { map_->drop_user(); }

  private:
    std::shared_ptr<maps::Map> map_;
};

struct MapObject {
    std::shared_ptr<maps::Map> map;
    std::shared_ptr<const Btf> btf;  // may be null
    std::uint32_t btf_key_type = 0;
    std::uint32_t btf_value_type = 0;
    std::shared_ptr<MapUser> user{};  // of the descriptor; the store sets it
};

struct ProgramObject {
    std::shared_ptr<const LoadedProgram> program;
    std::shared_ptr<const Btf> btf;                        // may be null
    std::vector<std::shared_ptr<maps::Map>> bound_maps{};  // PROG_BIND_MAP, for information only
    std::uint64_t load_time_ns = 0;                        // since boot
};

struct BtfObject {
    std::shared_ptr<const Btf> btf;
};

/// A program of another type that libbpf loads to learn what the kernel can do, or one that was
/// refused in a session that goes on. It has no code: nothing in this process can run it.
struct ProbeProgram {};

using StoredObject = std::variant<MapObject, ProgramObject, BtfObject, ProbeProgram>;

namespace object_store {

/// Identity of whoever keeps an entry alive.
using Owner = const void*;

/// Returns a new close-on-exec descriptor; the caller owns it. EMFILE, ENFILE, ENOMEM.
[[nodiscard]] Result<int> add(StoredObject object, Owner owner);

/// Drops the entries of `owner`. Descriptors that are still open mean nothing afterwards.
void remove_all_of(Owner owner);

/// Null when `fd` is open but no object of ours (EINVAL) or not open (EBADF); see error.
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
