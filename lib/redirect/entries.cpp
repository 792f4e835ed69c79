// SPDX-License-Identifier: BSD-3-Clause
#include "lib/redirect/entries.h"

#include <algorithm>

#include "lib/ebpf/maps/cpumap.h"
#include "lib/ebpf/maps/devmap.h"
#include "lib/redirect/target.h"
#include "lib/xdp/quiescence.h"

namespace crema::redirect {
namespace {

using ebpf::maps::Cpumap;
using ebpf::maps::CpumapEntry;
using ebpf::maps::Devmap;
using ebpf::maps::DevmapEntry;
using ebpf::maps::Map;
using ebpf::maps::MapType;

/// While it lives no entry and no target that is seen goes.
class Look {
  public:
    Look() { reader_.enter(); }

    ~Look() { reader_.leave(); }

    Look(const Look&) = delete;
    Look& operator=(const Look&) = delete;

  private:
    xdp::Reader reader_;
};

void add_counts(EntryStatistics& entry, const Target* target) {
    if (target == nullptr) {
        return;
    }
    const EntryCounters::Sum sum = target->counters.sum();
    entry.packets = sum.packets;
    entry.drops = sum.drops;
    if (target->kind == Target::Kind::cpu) {
        entry.received = static_cast<const CpuTarget&>(*target).received();
    }
}

void add_devices(const Devmap& map, std::vector<EntryStatistics>& entries) {
    map.for_each([&entries](const DevmapEntry& entry) {
        EntryStatistics found{
            .key = entry.key, .to = entry.ifindex, .program_id = entry.program_id, .received = {}};
        add_counts(found, static_cast<const Target*>(entry.target));
        entries.push_back(found);
    });
}

void add_cpus(const Cpumap& map, std::vector<EntryStatistics>& entries) {
    for (std::uint32_t cpu = 0; cpu < map.spec().max_entries; ++cpu) {
        const CpumapEntry* const entry = map.find(cpu);
        if (entry != nullptr) {
            EntryStatistics found{.key = cpu,
                                  .to = cpu,
                                  .queue_size = entry->queue_size,
                                  .program_id = entry->program_id,
                                  .received = {}};
            add_counts(found, static_cast<const Target*>(entry->target));
            entries.push_back(found);
        }
    }
}

}  // namespace

std::vector<EntryStatistics> entries_of(const Map& map) {
    std::vector<EntryStatistics> entries;
    const MapType type = map.spec().type;
    {
        const Look look;
        if (type == MapType::devmap || type == MapType::devmap_hash) {
            add_devices(static_cast<const Devmap&>(map), entries);
        } else if (type == MapType::cpumap) {
            add_cpus(static_cast<const Cpumap&>(map), entries);
        }
    }
    std::ranges::sort(entries, {}, &EntryStatistics::key);
    return entries;
}

}  // namespace crema::redirect
