// SPDX-License-Identifier: BSD-3-Clause
//
// Cpumap, bpf(2) side. Values are {queue size} or {queue size, program fd}; reading them back gives
// the program's id. Order of errors as measured on the kernel, also the odd one: a program that
// does not fit is reported as ENOMEM.
#include "lib/ebpf/maps/cpumap.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/ebpf/program/program.h"

namespace crema::ebpf::maps {

namespace {

constexpr std::uint32_t kQueueMax = 16384;

struct CpuValue {
    std::uint32_t queue_size;
    std::int32_t program;  // fd when written, id when read
};

}  // namespace

Result<std::shared_ptr<Map>> Cpumap::make(const MapSpec& spec) {
    return std::make_shared<Cpumap>(spec);
}

Cpumap::Cpumap(const MapSpec& spec) : IndexedMap(spec), places_(spec.max_entries) {}

Cpumap::~Cpumap() {
    abandon();
}

Map::Holdings Cpumap::holdings() const {
    return {.programs = programs_.all(), .maps = {}};
}

void Cpumap::abandon() {
    for (auto& place : places_) {
        const std::unique_ptr<CpumapEntry> gone(place.exchange(nullptr, std::memory_order_acq_rel));
        if (gone != nullptr && gone->acquired) {
            target_hooks().cpu_release(gone->target);
        }
    }
    retired_.clear();
}

void Cpumap::replace(std::uint32_t cpu, CpumapEntry* entry) {
    std::unique_ptr<CpumapEntry> old(places_[cpu].exchange(entry, std::memory_order_acq_rel));
    if (old == nullptr) {
        return;
    }
    if (old->acquired) {
        target_hooks().cpu_release(old->target);  // waits until no reader is left
        return;
    }
    retired_.add(std::move(old));
}

int Cpumap::do_lookup(const void* key, void* value_out) {
    const CpumapEntry* entry = find(load_index(key));
    if (entry == nullptr) {
        return -ENOENT;
    }
    const CpuValue value{entry->queue_size, static_cast<std::int32_t>(entry->program_id)};
    std::memcpy(value_out, &value, spec().value_size);
    return 0;
}

int Cpumap::do_update(const void* key, const void* value_in, std::uint64_t flags) {
    retired_.prepare();
    const std::uint32_t cpu = load_index(key);
    CpuValue value{};
    std::memcpy(&value, value_in, spec().value_size);
    if (flags > kExist) {
        return -EINVAL;
    }
    if (cpu >= spec().max_entries) {
        return -E2BIG;
    }
    if (flags == kNoExist) {
        return -EEXIST;
    }
    if (value.queue_size > kQueueMax) {
        return -EOVERFLOW;
    }
    if (!cpu_is_possible(cpu)) {
        return -ENODEV;
    }
    if (value.queue_size == 0) {
        replace(cpu, nullptr);
        return 0;
    }
    auto entry = std::make_unique<CpumapEntry>();
    entry->queue_size = value.queue_size;
    if (value.program > 0) {
        ProgramRef program = program_by_fd(value.program);
        if (program.program == nullptr || program.traits.expected_attach_type != kAttachXdpCpumap ||
            !admits(program.traits)) {
            return -ENOMEM;
        }
        entry->program_id = program.id;
        entry->program = programs_.share(std::move(program.program));
    }
    if (target_hooks().cpu_acquire != nullptr) {
        const int rc =
            target_hooks().cpu_acquire({cpu, value.queue_size, entry->program}, &entry->target);
        if (rc != 0) {
            return rc;
        }
        entry->acquired = true;
    }
    replace(cpu, entry.release());
    return 0;
}

int Cpumap::do_erase(const void* key) {
    retired_.prepare();
    const std::uint32_t cpu = load_index(key);
    if (cpu >= spec().max_entries) {
        return -EINVAL;
    }
    replace(cpu, nullptr);
    return 0;
}

}  // namespace crema::ebpf::maps
