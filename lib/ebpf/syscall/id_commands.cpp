// SPDX-License-Identifier: BSD-3-Clause
//
// *_GET_NEXT_ID and *_GET_FD_BY_ID: how tools find what is there.
#include <climits>
#include <cstdint>

#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/object_ids.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {
namespace {

using object_ids::Kind;

long next_id(const Call& call, Kind kind) {
    if (call.attr.start_id >= INT_MAX) {
        return -EINVAL;
    }
    // What nobody has open any more is not there.
    object_store::collect();
    const std::uint32_t next = object_ids::next(kind, call.attr.start_id);
    return next == 0 ? -ENOENT
                     : copy_out(call.user_attr + offsetof(bpf_attr, next_id), &next, sizeof(next));
}

long open_by_id(Kind kind, std::uint32_t id, Access access = Access::both) {
    object_store::collect();
    auto object = object_ids::find(kind, id);
    if (!object) {
        return -ENOENT;
    }
    if (auto* map = std::get_if<MapObject>(&*object); map != nullptr) {
        map->access = access;
    }
    return publish(std::move(*object));
}

}  // namespace

long prog_next_id(Call& call) {
    return next_id(call, Kind::program);
}

long map_next_id(Call& call) {
    return next_id(call, Kind::map);
}

long btf_next_id(Call& call) {
    return next_id(call, Kind::btf);
}

long link_next_id(Call& call) {
    return next_id(call, Kind::link);
}

long prog_by_id(Call& call) {
    return open_by_id(Kind::program, call.attr.prog_id);
}

long map_by_id(Call& call) {
    Access access = Access::both;
    if (const int err = read_access(call.attr.open_flags, access); err != 0) {
        return err;
    }
    return open_by_id(Kind::map, call.attr.map_id, access);
}

long btf_by_id(Call& call) {
    return open_by_id(Kind::btf, call.attr.btf_id);
}

long link_by_id(Call& call) {
    return open_by_id(Kind::link, call.attr.link_id);
}

}  // namespace crema::ebpf::syscall
