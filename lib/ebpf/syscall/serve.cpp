// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/serve.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <unistd.h>

#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {
namespace {

struct Command {
    long (*handler)(Call& call);
    std::size_t used_bytes;  // end of the last field the command reads; zeros behind it
    int number;
    bool creates;  // makes an object: needs a session
};

#define FIELD_END(field) (offsetof(bpf_attr, field) + sizeof(bpf_attr::field))

constexpr Command kCommands[] = {
    {map_create, FIELD_END(map_extra), BPF_MAP_CREATE, true},
    {map_lookup, FIELD_END(flags), BPF_MAP_LOOKUP_ELEM, false},
    {map_update, FIELD_END(flags), BPF_MAP_UPDATE_ELEM, false},
    {map_delete, FIELD_END(key), BPF_MAP_DELETE_ELEM, false},
    {map_next_key, FIELD_END(next_key), BPF_MAP_GET_NEXT_KEY, false},
    {map_freeze, FIELD_END(map_fd), BPF_MAP_FREEZE, false},
    {map_take, FIELD_END(flags), BPF_MAP_LOOKUP_AND_DELETE_ELEM, false},
    {map_lookup_batch, FIELD_END(batch.flags), BPF_MAP_LOOKUP_BATCH, false},
    {map_take_batch, FIELD_END(batch.flags), BPF_MAP_LOOKUP_AND_DELETE_BATCH, false},
    {map_update_batch, FIELD_END(batch.flags), BPF_MAP_UPDATE_BATCH, false},
    {map_delete_batch, FIELD_END(batch.flags), BPF_MAP_DELETE_BATCH, false},
    {prog_load, FIELD_END(core_relo_rec_size), BPF_PROG_LOAD, true},
    {prog_bind_map, FIELD_END(prog_bind_map), BPF_PROG_BIND_MAP, false},
    {btf_load, FIELD_END(btf_log_level), BPF_BTF_LOAD, true},
    {object_info, FIELD_END(info), BPF_OBJ_GET_INFO_BY_FD, false},
};

/// Copies the caller's attributes by the kernel's size rules. 0 or a negative errno.
int read_attributes(Call& call, std::uint32_t size) {
    const auto page_bytes = static_cast<std::uint32_t>(getpagesize());
    if (size > page_bytes) {
        return -E2BIG;
    }
    const std::size_t known = std::min<std::size_t>(size, sizeof(call.attr));
    if (const int err = check_zero(call.user_attr + known, size - known); err != 0) {
        return err;
    }
    return copy_in(&call.attr, call.user_attr, known);
}

bool zero_behind(const bpf_attr& attr, std::size_t used_bytes) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&attr);
    return std::all_of(bytes + used_bytes, bytes + sizeof(attr),
                       [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

long serve(int command, void* attr, std::uint32_t size) {
    Call call;
    call.user_attr = reinterpret_cast<std::uint64_t>(attr);
    if (const int err = read_attributes(call, size); err != 0) {
        return err;
    }
    if (command == BPF_LINK_CREATE) {
        // libbpf asks with a bad program descriptor and takes EBADF for "links are known"; links
        // themselves are not served, and EBADF is also right for those who mean it: attach goes
        // through lib/xdp.
        return -EBADF;
    }
    if (command == BPF_BTF_GET_NEXT_ID) {
        return -ENOENT;  // kernel modules, which libbpf looks for, are not there
    }
    const auto* found =
        std::find_if(std::begin(kCommands), std::end(kCommands),
                     [command](const Command& entry) { return entry.number == command; });
    if (found == std::end(kCommands)) {
        return -EINVAL;
    }
    if (!zero_behind(call.attr, found->used_bytes)) {
        return refuse(EINVAL, "bpf(2) command {}: attributes behind byte {} are not zero", command,
                      found->used_bytes);
    }
    if (found->creates && Session::current() == nullptr) {
        return -EPERM;
    }
    return found->handler(call);
}

}  // namespace crema::ebpf::syscall
