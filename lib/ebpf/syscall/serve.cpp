// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/serve.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <new>
#include <unistd.h>

#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {
namespace {

struct Command {
    long (*handler)(Call& call);
    std::size_t used_bytes;  // end of the last field the command reads; zeros behind it
    int number;
    bool creates;  // a descriptor: needs a session
};

#define FIELD_END(field) (offsetof(bpf_attr, field) + sizeof(bpf_attr::field))

// path_fd, behind what the headers this is built with know
constexpr std::size_t kPathFdEnd = FIELD_END(file_flags) + sizeof(std::int32_t);

// with the cookie behind what the headers know
constexpr std::size_t kRawTracepointEnd =
    offsetof(bpf_attr, raw_tracepoint) + 2 * sizeof(std::uint64_t) + sizeof(std::uint64_t);

// with link_ids, link_attach_flags and revision behind what the headers know
constexpr std::size_t kQueryEnd =
    offsetof(bpf_attr, query.prog_attach_flags) + 4 * sizeof(std::uint64_t);

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
    {object_pin, kPathFdEnd, BPF_OBJ_PIN, false},
    {object_get, kPathFdEnd, BPF_OBJ_GET, true},
    {prog_next_id, FIELD_END(next_id), BPF_PROG_GET_NEXT_ID, false},
    {map_next_id, FIELD_END(next_id), BPF_MAP_GET_NEXT_ID, false},
    {btf_next_id, FIELD_END(next_id), BPF_BTF_GET_NEXT_ID, false},
    {link_next_id, FIELD_END(next_id), BPF_LINK_GET_NEXT_ID, false},
    {prog_by_id, FIELD_END(prog_id), BPF_PROG_GET_FD_BY_ID, true},
    {map_by_id, FIELD_END(open_flags), BPF_MAP_GET_FD_BY_ID, true},
    {btf_by_id, FIELD_END(btf_id), BPF_BTF_GET_FD_BY_ID, true},
    {link_by_id, FIELD_END(link_id), BPF_LINK_GET_FD_BY_ID, true},
    {prog_test_run, FIELD_END(test.batch_size), BPF_PROG_TEST_RUN, false},
    {link_create, FIELD_END(link_create), BPF_LINK_CREATE, true},
    {link_update, FIELD_END(link_update), BPF_LINK_UPDATE, false},
    {link_detach, FIELD_END(link_detach), BPF_LINK_DETACH, false},
    {enable_stats, FIELD_END(enable_stats), BPF_ENABLE_STATS, true},
    {prog_query, kQueryEnd, BPF_PROG_QUERY, false},
    {task_fd_query, FIELD_END(task_fd_query), BPF_TASK_FD_QUERY, false},
    {raw_tracepoint_open, kRawTracepointEnd, BPF_RAW_TRACEPOINT_OPEN, true},
};

const Command* command_of(int number) {
    const auto* found =
        std::find_if(std::begin(kCommands), std::end(kCommands),
                     [number](const Command& entry) { return entry.number == number; });
    return found != std::end(kCommands) ? found : nullptr;
}

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
    const Command* found = command_of(command);
    if (found == nullptr) {
        return -EINVAL;
    }
    if (!zero_behind(call.attr, found->used_bytes)) {
        return refuse(EINVAL, "bpf(2) command {}: attributes behind byte {} are not zero", command,
                      found->used_bytes);
    }
    if (found->creates && Session::current() == nullptr) {
        return -EPERM;
    }
    // The only exception that anything below can throw; what it had made is released on its way
    // here. Kernels say the same.
    try {
        return found->handler(call);
    } catch (const std::bad_alloc&) {
        return -ENOMEM;
    }
}

bool returns_descriptor(int command) {
    const Command* found = command_of(command);
    return found != nullptr && found->creates;
}

}  // namespace crema::ebpf::syscall
