// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/bare_maps.h"

#include <cerrno>
#include <cstring>

#include "lib/base/caller.h"

namespace crema::ebpf::maps {

namespace {

bool is_perf_event(int fd) {
    return caller::link_of_descriptor(fd) == "anon_inode:[perf_event]";
}

}  // namespace

Result<std::shared_ptr<Map>> PerfEventArray::make(const MapSpec& spec) {
    return std::make_shared<PerfEventArray>(spec);
}

int PerfEventArray::do_update(const void* key, const void* value, std::uint64_t flags) {
    if (flags != kAny) {
        return -EINVAL;
    }
    if (load_index(key) >= spec().max_entries) {
        return -E2BIG;
    }
    std::int32_t fd = -1;
    std::memcpy(&fd, value, sizeof fd);
    return fd >= 0 && is_perf_event(fd) ? -EOPNOTSUPP : -EBADF;
}

int PerfEventArray::do_erase(const void* key) {
    return load_index(key) >= spec().max_entries ? -E2BIG : -ENOENT;
}

Result<std::shared_ptr<Map>> StackTrace::make(const MapSpec& spec) {
    return std::make_shared<StackTrace>(spec);
}

int StackTrace::do_lookup(const void* /*key*/, void* /*value_out*/) {
    return -ENOENT;
}

int StackTrace::do_update(const void* /*key*/, const void* /*value*/, std::uint64_t /*flags*/) {
    return -EINVAL;
}

int StackTrace::do_erase(const void* key) {
    return load_index(key) >= spec().max_entries ? -E2BIG : -ENOENT;
}

int StackTrace::do_next_key(const void* /*key*/, void* /*next_out*/) {
    return -ENOENT;
}

Result<std::shared_ptr<Map>> UserRingBuffer::make(const MapSpec& spec) {
    return std::make_shared<UserRingBuffer>(spec);
}

}  // namespace crema::ebpf::maps
