// SPDX-License-Identifier: BSD-3-Clause
//
// Array map, bpf(2) side. Order of errors as measured on the kernel.
#include "lib/ebpf/maps/array.h"

#include <cerrno>
#include <fcntl.h>
#include <utility>

#include "lib/ebpf/maps/spin_lock.h"
#include "lib/ebpf/maps/timers.h"
#include "lib/ebpf/maps/value_copy.h"

namespace crema::ebpf::maps {

Result<std::shared_ptr<Map>> ArrayMap::make(const MapSpec& spec) {
    // Locks and timers are nobody's to map, as in the kernel.
    const bool is_shared = (spec.flags & kMmapable) != 0 && spec.fields.empty();
    auto memory =
        Memory::allocate(std::uint64_t{stored_bytes(spec.value_size)} * spec.max_entries,
                         is_shared ? Memory::Sharing::memfd : Memory::Sharing::private_pages);
    if (!memory) {
        return forward_error(memory);
    }
    // The verifier takes what is in there for constants once the map is frozen: user space may map
    // it for reading only, from the start, as in the kernel.
    const bool constants = (spec.flags & kRdonlyProg) != 0 && memory->fd() >= 0;
    if (constants && fcntl(memory->fd(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0) {
        return fail(ENOMEM, "map {}: its memory cannot be kept from being written, errno {}",
                    spec.name, errno);
    }
    return std::make_shared<ArrayMap>(spec, std::move(*memory));
}

ArrayMap::ArrayMap(const MapSpec& spec, Memory memory)
    : IndexedMap(spec), memory_(std::move(memory)), stride_(stored_bytes(spec.value_size)) {}

ArrayMap::~ArrayMap() {
    end_timers();
}

int ArrayMap::put(std::uint32_t index, const void* value_in, std::uint64_t flags) const {
    if ((flags & ~kLock) > kExist) {
        return -EINVAL;
    }
    std::uint8_t* to = value(index);
    if (to == nullptr) {
        return -E2BIG;
    }
    if ((flags & kNoExist) != 0) {
        return -EEXIST;
    }
    if (spec().fields.empty()) [[likely]] {
        if ((flags & kLock) != 0) {
            return -EINVAL;
        }
        write_value(to, value_in, spec().value_size);
        return 0;
    }
    const std::int32_t lock_offset = spec().spin_lock_offset;
    if ((flags & kLock) != 0) {
        if (lock_offset < 0) {
            return -EINVAL;
        }
        lock_value(to + lock_offset);
    }
    write_value_around(to, value_in, spec().value_size, spec().fields);
    if ((flags & kLock) != 0) {
        unlock_value(to + lock_offset);
    }
    if (timers() != nullptr) {
        timers()->drop(to);
    }
    return 0;
}

int ArrayMap::do_lookup(const void* key, void* value_out) {
    const std::uint8_t* found = value(load_index(key));
    if (found == nullptr) {
        return -ENOENT;
    }
    read_value_around(value_out, found, spec().value_size, spec().fields);
    return 0;
}

int ArrayMap::do_update(const void* key, const void* value_in, std::uint64_t flags) {
    return put(load_index(key), value_in, flags);
}

std::uint8_t* ArrayMap::lockable_value(const void* key) {
    return value(load_index(key));
}

int ArrayMap::do_erase(const void* /*key*/) {
    return -EINVAL;
}

}  // namespace crema::ebpf::maps
