// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/loader/legacy_slots.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

namespace crema::ebpf::loader {
namespace {

struct Place {
    std::uint32_t id;
    std::uint32_t slot;
};

/// "ID/SLOT", two decimal numbers.
std::optional<Place> place_of(std::string_view section) {
    Place place{};
    const char* end = section.data() + section.size();
    const auto id = std::from_chars(section.data(), end, place.id);
    if (id.ec != std::errc() || id.ptr == end || *id.ptr != '/') {
        return std::nullopt;
    }
    const auto slot = std::from_chars(id.ptr + 1, end, place.slot);
    return slot.ec == std::errc() && slot.ptr == end ? std::optional(place) : std::nullopt;
}

int fd_of(const bpf_object* object, const LegacyMap& map) {
    return bpf_object__find_map_fd_by_name(object, map.name.c_str());
}

Status put(const std::string& path,
           const bpf_object* object,
           const LegacyMap& map,
           std::uint32_t slot,
           int fd) {
    if (const int err = bpf_map_update_elem(fd_of(object, map), &slot, &fd, BPF_ANY); err < 0) {
        return fail(-err, "{}: map {}: slot {} of {} cannot be filled: error {}", path, map.name,
                    slot, map.max_entries, -err);
    }
    return {};
}

Status put_programs(const std::string& path,
                    bpf_object* object,
                    const std::vector<LegacyMap>& maps) {
    bpf_program* program = nullptr;
    while ((program = bpf_object__next_program(object, program)) != nullptr) {
        const auto place = place_of(bpf_program__section_name(program));
        const int fd = bpf_program__fd(program);
        if (!place || fd < 0) {
            continue;
        }
        const auto map = std::find_if(maps.begin(), maps.end(), [&place](const LegacyMap& each) {
            return each.id == place->id && each.type == BPF_MAP_TYPE_PROG_ARRAY;
        });
        if (map == maps.end()) {
            continue;
        }
        if (auto done = put(path, object, *map, place->slot, fd); !done) {
            return done;
        }
    }
    return {};
}

}  // namespace

Status fill_legacy_slots(const std::string& path,
                         bpf_object* object,
                         const std::vector<LegacyMap>& maps) {
    for (const LegacyMap& outer : maps) {
        if (!outer.inner || !maps[*outer.inner].slot_in_outer) {
            continue;
        }
        const LegacyMap& inner = maps[*outer.inner];
        if (auto done = put(path, object, outer, *inner.slot_in_outer, fd_of(object, inner));
            !done) {
            return done;
        }
    }
    return put_programs(path, object, maps);
}

}  // namespace crema::ebpf::loader
