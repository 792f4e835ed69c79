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
#include "lib/ebpf/maps/spin_lock.h"
#include "lib/ebpf/maps/timers.h"
#include "lib/ebpf/maps/value_copy.h"

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

int Map::lookup(const void* key, void* value_out, std::uint64_t flags) {
    if (!user_may_read()) {
        return -EPERM;
    }
    if (flags == 0) {
        return do_lookup(key, value_out);
    }
    return flags == kLock && spec_.spin_lock_offset >= 0 ? lookup_locked(key, value_out) : -EINVAL;
}

int Map::lookup_locked(const void* key, void* value_out) {
    std::uint8_t* value = lockable_value(key);
    if (value == nullptr) {
        return -ENOENT;
    }
    std::uint8_t* lock = value + spec_.spin_lock_offset;
    lock_value(lock);
    read_value_around(value_out, value, spec_.value_size, spec_.fields);
    unlock_value(lock);
    return 0;
}

int Map::update(const void* key, const void* value, std::uint64_t flags, UserId by) {
    if (!user_may_write()) {
        return -EPERM;
    }
    if ((flags & kLock) != 0 && spec_.spin_lock_offset < 0) {
        return -EINVAL;
    }
    return do_update_by(by, key, value, flags);
}

int Map::take(const void* key, void* value_out, std::uint64_t flags) {
    if (!user_may_read() || !user_may_write()) {
        return -EPERM;
    }
    if (flags != 0 && (flags != kLock || spec_.spin_lock_offset < 0)) {
        return -EINVAL;
    }
    return do_take(key, value_out);
}

int Map::do_lookup(const void* /*key*/, void* /*value_out*/) {
    return -kNotSupported;
}

int Map::do_update(const void* /*key*/, const void* /*value*/, std::uint64_t /*flags*/) {
    return -kNotSupported;
}

int Map::do_erase(const void* /*key*/) {
    return -kNotSupported;
}

int Map::do_next_key(const void* /*key*/, void* /*next_out*/) {
    return -kNotSupported;
}

int Map::do_take(const void* /*key*/, void* /*value_out*/) {
    return -kNotSupported;
}

std::uint8_t* Map::lockable_value(const void* /*key*/) {
    return nullptr;
}

bool Map::read_bucket(std::uint32_t /*at*/,
                      std::uint32_t /*count_max*/,
                      bool /*remove*/,
                      Bucket& /*out*/) {
    return false;
}

bool Map::admits(const ProgramTraits& program) {
    if (!owner_) {
        owner_ = program;
        return true;
    }
    return owner_->has_frags == program.has_frags &&
           (spec_.type != MapType::prog_array ||
            owner_->expected_attach_type == program.expected_attach_type);
}

void Map::add_user() {
    users_.fetch_add(1);
}

void Map::drop_user(UserId user) {
    if (user != nullptr) {
        user_gone(user);
    }
    if (users_.fetch_sub(1) == 1) {
        if (timers_ != nullptr) {
            timers_->drop_all();
        }
        users_gone();
    }
}

Status Map::make_timers() {
    for (const SpecialField& field : spec_.fields) {
        if (field.kind == SpecialKind::timer) {
            auto made = TimerTable::make(*this, element_count(), field.offset);
            if (!made) {
                return forward_error(made);
            }
            timers_ = std::move(*made);
        }
    }
    return {};
}

ElementPlace Map::element_place(std::uint32_t /*element*/) const {
    return {};  // such a type has no elements
}

void Map::end_timers() {
    timers_.reset();
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
    if ((spec_.flags & kMmapable) != 0 && memory_fd() >= 0 &&
        fcntl(memory_fd(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0) {
        log::warning("map {}: new writable mappings of the frozen map cannot be prevented",
                     spec_.name);
    }
    return 0;
}

}  // namespace crema::ebpf::maps
