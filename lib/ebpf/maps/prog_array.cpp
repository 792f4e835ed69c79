// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/prog_array.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/ebpf/maps/reclaim.h"
#include "lib/ebpf/maps/target_hooks.h"

namespace crema::ebpf::maps {

Result<std::shared_ptr<Map>> ProgArray::make(const MapSpec& spec) {
    constexpr std::uint32_t kSlotsMax = 1U << 24U;  // 128 MiB of slots
    if (spec.max_entries > kSlotsMax) {
        return fail(ENOMEM, "map {}: {} program slots, at most {} are served", spec.name,
                    spec.max_entries, kSlotsMax);
    }
    return std::make_shared<ProgArray>(spec);
}

ProgArray::ProgArray(const MapSpec& spec) : IndexedMap(spec), slots_(spec.max_entries) {}

ProgArray::~ProgArray() {
    // No program that uses the map is left, so nobody waits for these.
    for (auto& slot : slots_) {
        delete slot.load(std::memory_order_relaxed);
    }
}

bool ProgArray::replace(std::uint32_t index, std::unique_ptr<const TailTarget> target) {
    const TailTarget* const old =
        slots_[index].exchange(target.release(), std::memory_order_acq_rel);
    if (old == nullptr) {
        return false;
    }
    retired_.retire(old);
    return true;
}

int ProgArray::do_lookup(const void* key, void* value_out) {
    const TailTarget* found = target(load_index(key));
    if (found == nullptr) {
        return -ENOENT;
    }
    std::memcpy(value_out, &found->program_id, sizeof found->program_id);
    return 0;
}

int ProgArray::do_update(const void* key, const void* value, std::uint64_t flags) {
    if (flags != kAny) {
        return -EINVAL;
    }
    const std::uint32_t index = load_index(key);
    if (index >= slots_.size()) {
        return -E2BIG;
    }
    std::int32_t fd = -1;
    std::memcpy(&fd, value, sizeof fd);
    ProgramRef program = program_by_fd(fd);
    if (program.program == nullptr) {
        return program.error;
    }
    if (!admits(program.traits)) {
        return -EINVAL;
    }
    if (program.as_member != nullptr) {
        program.program = program.as_member(program.program);
        if (program.program == nullptr) {
            return -EBUSY;
        }
    }
    replace(index, std::make_unique<TailTarget>(TailTarget{.entry = program.entry,
                                                           .self = program.self,
                                                           .program_id = program.id,
                                                           .program = std::move(program.program)}));
    return 0;
}

int ProgArray::do_erase(const void* key) {
    const std::uint32_t index = load_index(key);
    if (index >= slots_.size()) {
        return -E2BIG;
    }
    return replace(index, nullptr) ? 0 : -ENOENT;
}

void ProgArray::users_gone() {
    RetiredList<TailTarget>::Batch batch;
    for (auto& slot : slots_) {
        if (const TailTarget* target = slot.exchange(nullptr, std::memory_order_acq_rel);
            target != nullptr) {
            batch.add(target);
        }
    }
    retired_.retire(batch);
}

}  // namespace crema::ebpf::maps
