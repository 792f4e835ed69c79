// SPDX-License-Identifier: BSD-3-Clause
//
// The handlers behind serve(). Only this room includes it: it brings in <linux/bpf.h>, which
// cannot meet DPDK's BPF header.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fmt/format.h>
#include <string>
#include <utility>

#include <linux/bpf.h>

#include "lib/base/result.h"
#include "lib/ebpf/syscall/element_lock.h"
#include "lib/ebpf/syscall/object_ids.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/session.h"

namespace crema::ebpf::syscall {

/// One call. `attr` is our zero-extended copy; outputs inside it go back through `user_attr`.
struct Call {
    bpf_attr attr{};
    std::uint64_t user_attr = 0;
};

long map_create(Call& call);
long map_lookup(Call& call);
long map_take(Call& call);
long map_update(Call& call);
long map_delete(Call& call);
long map_next_key(Call& call);
long map_freeze(Call& call);
long map_lookup_batch(Call& call);
long map_take_batch(Call& call);
long map_update_batch(Call& call);
long map_delete_batch(Call& call);
long prog_load(Call& call);
long prog_bind_map(Call& call);
long btf_load(Call& call);
long object_info(Call& call);
long prog_next_id(Call& call);
long map_next_id(Call& call);
long btf_next_id(Call& call);
long link_next_id(Call& call);
long prog_by_id(Call& call);
long map_by_id(Call& call);
long btf_by_id(Call& call);
long link_by_id(Call& call);
long object_pin(Call& call);
long object_get(Call& call);
long prog_test_run(Call& call);
long link_create(Call& call);
long link_update(Call& call);
long link_detach(Call& call);
long raw_tracepoint_open(Call& call);
long enable_stats(Call& call);
long prog_query(Call& call);
long task_fd_query(Call& call);

/// BPF_F_RDONLY and BPF_F_WRONLY of a command that opens a map. 0 or -EINVAL.
inline int read_access(std::uint32_t flags, Access& access) {
    switch (flags) {
        case 0:
            access = Access::both;
            return 0;
        case BPF_F_RDONLY:
            access = Access::read;
            return 0;
        case BPF_F_WRONLY:
            access = Access::write;
            return 0;
        default:
            return -EINVAL;
    }
}

/// What the descriptor and the map together let user space do.
[[nodiscard]] inline bool allows(const MapObject& object, Access wanted) {
    const bool may_read = object.access != Access::write && object.map->user_may_read();
    const bool may_write = object.access != Access::read && object.map->user_may_write();
    return (wanted == Access::write || may_read) && (wanted == Access::read || may_write);
}

/// Leaves the reason with the session, for the loader's message, and returns the negative errno.
inline long refuse(Error why) {
    const int code = why.code;
    if (Session* session = Session::current(); session != nullptr) {
        session->note_refusal(std::move(why));
    }
    return -code;
}

template <typename... Args>
long refuse(int code, fmt::format_string<Args...> text, Args&&... args) {
    return refuse(Error{code, fmt::format(text, std::forward<Args>(args)...)});
}

/// Hands an object to the store under the current session. Descriptor or negative errno. What was
/// refused before did not matter then (libbpf retries maps without BTF).
inline long publish(StoredObject object) {
    Session* session = Session::current();
    session->clear_refusal();
    object_ids::note(object);
    auto fd = object_store::add(std::move(object), session->owner());
    return fd ? *fd : refuse(fd.error());
}

/// Reads a name field of bpf_attr: letters, digits, '_' and '.', ended inside the field.
/// False: EINVAL.
template <std::size_t N>
[[nodiscard]] bool read_name(const char (&field)[N], std::string& name) {
    name.clear();
    for (const char letter : field) {
        if (letter == '\0') {
            return true;
        }
        const bool valid = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                           (letter >= '0' && letter <= '9') || letter == '_' || letter == '.';
        if (!valid) {
            return false;
        }
        name.push_back(letter);
    }
    return false;
}

}  // namespace crema::ebpf::syscall
