// SPDX-License-Identifier: BSD-3-Clause
//
// What all map types share: identity, access rights of user space, freezing.
// The order of the checks is the kernel's: rights first, then flags, then the type's own rules.
#include "lib/ebpf/maps/map.h"

#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <utility>

#include "lib/base/log.h"

namespace crema::ebpf::maps {

namespace {

std::uint32_t next_id() {
    static std::atomic<std::uint32_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

Map::Map(MapSpec spec) : spec_(std::move(spec)), id_(next_id()) {}

Map::~Map() = default;

bool Map::user_may_read() const {
    return (spec_.flags & kWronly) == 0;
}

bool Map::user_may_write() const {
    return (spec_.flags & kRdonly) == 0 && !frozen_;
}

int Map::lookup(const void* key, void* value_out) {
    return user_may_read() ? do_lookup(key, value_out) : -EPERM;
}

int Map::update(const void* key, const void* value, std::uint64_t flags) {
    if (!user_may_write()) {
        return -EPERM;
    }
    if ((flags & kLock) != 0) {
        return -EINVAL;
    }
    return do_update(key, value, flags);
}

int Map::erase(const void* key) {
    return user_may_write() ? do_erase(key) : -EPERM;
}

int Map::next_key(const void* key, void* next_out) {
    return user_may_read() ? do_next_key(key, next_out) : -EPERM;
}

std::uint32_t Map::user_value_bytes() const {
    return spec_.value_size;
}

int Map::freeze() {
    if (!user_may_write()) {
        return -EPERM;
    }
    frozen_ = true;
    if (memory_fd() >= 0 && fcntl(memory_fd(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0) {
        log::warning("map {}: new writable mappings of the frozen map cannot be prevented",
                     spec_.name);
    }
    return 0;
}

}  // namespace crema::ebpf::maps
