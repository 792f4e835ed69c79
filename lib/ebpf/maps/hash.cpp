// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/hash.h"

#include <cerrno>
#include <utility>

#include "lib/ebpf/maps/spin_lock.h"
#include "lib/ebpf/maps/timers.h"
#include "lib/ebpf/maps/value_copy.h"

namespace crema::ebpf::maps {

Result<std::shared_ptr<Map>> HashMap::make(const MapSpec& spec) {
    auto core = HashCore::make(spec, spec.value_size);
    if (!core) {
        return forward_error(core);
    }
    return std::make_shared<HashMap>(spec, std::move(*core));
}

HashMap::HashMap(const MapSpec& spec, std::unique_ptr<HashCore> core)
    : HashedMap(spec, std::move(core)) {
    for (const SpecialField& field : spec.fields) {
        if (field.kind == SpecialKind::timer) {
            this->core().set_loser({.lose = lose, .self = this});
        }
    }
}

HashMap::~HashMap() {
    end_timers();
}

void HashMap::lose(void* self, std::uint32_t element) {
    const auto& map = *static_cast<const HashMap*>(self);
    map.timers()->drop(map.core().cells().value(element));
}

void HashMap::write_new(std::uint32_t element, const void* value) const {
    std::uint8_t* to = core().cells().value(element);
    if (spec().fields.empty()) [[likely]] {
        write_value(to, value, spec().value_size);
        return;
    }
    write_value_around(to, value, spec().value_size, spec().fields);
    if (timers() != nullptr) {
        timers()->drop(to);  // one that was made by an address of the element's last life
    }
    zero_fields(to, spec().fields);
}

void HashMap::read(std::uint32_t element, void* value_out) const {
    read_value_around(value_out, core().cells().value(element), spec().value_size, spec().fields);
}

template <typename Piece>
int HashMap::put(std::uint32_t list,
                 const void* key,
                 const void* value,
                 std::uint64_t flags) const {
    if (flags > kExist) [[unlikely]] {
        if ((flags & kLock) == 0 || (flags & ~kLock) > kExist || spec().spin_lock_offset < 0) {
            return -EINVAL;
        }
        const int done = put_locked(key, value, flags & ~kLock);
        if (done <= 0) {
            return done;
        }
        flags &= ~kLock;
    }
    return core().with_key<Piece>(key, [&](const auto& words) {
        return core().put<HashCore::Existing::replace>(
            list, words, flags, [&](std::uint32_t element, bool) { write_new(element, value); });
    });
}

// BPF_F_LOCK writes into the element that is there. 1: there is none.
int HashMap::put_locked(const void* key, const void* value, std::uint64_t flags) const {
    const std::uint32_t element = core().find(key);
    if (element == 0) {
        return flags == kExist ? -ENOENT : 1;
    }
    if (flags == kNoExist) {
        return -EEXIST;
    }
    std::uint8_t* to = core().cells().value(element);
    std::uint8_t* lock = to + spec().spin_lock_offset;
    lock_value(lock);
    write_value_around(to, value, spec().value_size, spec().fields);
    unlock_value(lock);
    if (timers() != nullptr) {
        timers()->drop(to);
    }
    return 0;
}

int HashMap::do_lookup(const void* key, void* value_out) {
    const std::uint32_t element = core().find(key);
    if (element == 0) {
        return -ENOENT;
    }
    read(element, value_out);
    return 0;
}

std::uint8_t* HashMap::lockable_value(const void* key) {
    const std::uint32_t element = core().find(key);
    return element != 0 ? core().cells().value(element) : nullptr;
}

int HashMap::do_update(const void* key, const void* value, std::uint64_t flags) {
    return put(core().control(), key, value, flags);
}

int HashMap::do_take(const void* key, void* value_out) {
    return core().take(core().control(), core().in_memory(key),
                       [&](std::uint32_t element) { read(element, value_out); });
}

bool HashMap::read_bucket(std::uint32_t at, std::uint32_t count_max, bool remove, Bucket& out) {
    return core().read_bucket(at, count_max, remove, spec().value_size, out,
                              [this](std::uint32_t element, void* to) { read(element, to); });
}

template int HashMap::put<std::uint32_t>(std::uint32_t,
                                         const void*,
                                         const void*,
                                         std::uint64_t) const;
template int HashMap::put<std::uint16_t>(std::uint32_t,
                                         const void*,
                                         const void*,
                                         std::uint64_t) const;
template int HashMap::put<std::uint8_t>(std::uint32_t,
                                        const void*,
                                        const void*,
                                        std::uint64_t) const;

}  // namespace crema::ebpf::maps
