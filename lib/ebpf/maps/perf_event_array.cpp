// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/perf_event_array.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/ebpf/maps/target_hooks.h"

namespace crema::ebpf::maps {

Result<std::shared_ptr<Map>> PerfEventArray::make(const MapSpec& spec) {
    constexpr std::uint32_t kSlotsMax = 1U << 24U;  // 128 MiB of slots
    if (spec.max_entries > kSlotsMax) {
        return fail(ENOMEM, "map {}: {} slots for perf events, at most {} are served", spec.name,
                    spec.max_entries, kSlotsMax);
    }
    return std::make_shared<PerfEventArray>(spec);
}

PerfEventArray::PerfEventArray(const MapSpec& spec) : IndexedMap(spec), slots_(spec.max_entries) {}

PerfEventArray::~PerfEventArray() {
    // No program that uses the map is left, so nobody waits for these.
    for (auto& slot : slots_) {
        delete slot.load(std::memory_order_relaxed);
    }
}

bool PerfEventArray::replace(std::uint32_t index, const Entry* entry) {
    const Entry* old = nullptr;
    {
        const std::lock_guard lock(mutex_);
        old = slots_[index].exchange(entry, std::memory_order_acq_rel);
    }
    if (old == nullptr) {
        return false;
    }
    retired_.retire(old);
    return true;
}

int PerfEventArray::put(std::uint32_t index, std::shared_ptr<PerfEvent> event, UserId user) {
    if (index >= slots_.size()) {
        return -E2BIG;
    }
    if (event->spec().is_inherited) {
        return -EOPNOTSUPP;
    }
    auto fresh = std::make_unique<const Entry>(Entry{.event = std::move(event), .user = user});
    replace(index, fresh.release());
    return 0;
}

int PerfEventArray::do_update(const void* key, const void* value, std::uint64_t flags) {
    return do_update_by(nullptr, key, value, flags);
}

int PerfEventArray::do_update_by(UserId user,
                                 const void* key,
                                 const void* value,
                                 std::uint64_t flags) {
    if (flags != kAny) {
        return -EINVAL;
    }
    const std::uint32_t index = load_index(key);
    if (index >= slots_.size()) {
        return -E2BIG;
    }
    std::int32_t fd = -1;
    std::memcpy(&fd, value, sizeof fd);
    int error = -EBADF;
    auto event = perf_event_by_fd(fd, &error);
    return event != nullptr ? put(index, std::move(event), user) : error;
}

int PerfEventArray::do_erase(const void* key) {
    const std::uint32_t index = load_index(key);
    if (index >= slots_.size()) {
        return -E2BIG;
    }
    return replace(index, nullptr) ? 0 : -ENOENT;
}

void PerfEventArray::user_gone(UserId user) {
    if ((spec().flags & kPreserveElements) == 0) {
        remove_all_of(user);
    }
}

void PerfEventArray::remove_all_of(UserId user) {
    RetiredList<Entry>::Batch batch;
    {
        const std::lock_guard lock(mutex_);
        for (auto& slot : slots_) {
            const Entry* const shown = slot.load(std::memory_order_acquire);
            if (shown != nullptr && shown->user == user) {
                slot.store(nullptr, std::memory_order_release);
                batch.add(shown);
            }
        }
    }
    retired_.retire(batch);
}

}  // namespace crema::ebpf::maps
