// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/stack_trace.h"

#include <cerrno>

#include "lib/ebpf/maps/index_keys.h"

namespace crema::ebpf::maps {

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

}  // namespace crema::ebpf::maps
