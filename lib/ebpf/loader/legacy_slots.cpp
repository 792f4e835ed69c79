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

}  // namespace

std::vector<LegacySlot> legacy_slots(const std::vector<LegacyMap>& maps,
                                     const std::vector<ProgramPlace>& programs) {
    std::vector<LegacySlot> filled;
    for (const LegacyMap& outer : maps) {
        if (outer.inner && maps[*outer.inner].slot_in_outer) {
            const LegacyMap& inner = maps[*outer.inner];
            filled.push_back({.map = outer.name,
                              .slot = *inner.slot_in_outer,
                              .content = inner.name,
                              .is_program = false});
        }
    }
    for (const ProgramPlace& program : programs) {
        const auto place = place_of(program.section);
        if (!place) {
            continue;
        }
        const auto map = std::find_if(maps.begin(), maps.end(), [&place](const LegacyMap& each) {
            return each.id == place->id && each.type == BPF_MAP_TYPE_PROG_ARRAY;
        });
        if (map != maps.end()) {
            filled.push_back({.map = map->name,
                              .slot = place->slot,
                              .content = program.name,
                              .is_program = true});
        }
    }
    return filled;
}

Status fill_legacy_slots(const std::string& path,
                         bpf_object* object,
                         const std::vector<LegacyMap>& maps) {
    std::vector<ProgramPlace> programs;
    bpf_program* program = nullptr;
    while ((program = bpf_object__next_program(object, program)) != nullptr) {
        if (bpf_program__fd(program) >= 0) {
            programs.push_back({.name = bpf_program__name(program),
                                .section = bpf_program__section_name(program)});
        }
    }
    for (const LegacySlot& each : legacy_slots(maps, programs)) {
        const int fd =
            each.is_program
                ? bpf_program__fd(bpf_object__find_program_by_name(object, each.content.c_str()))
                : bpf_object__find_map_fd_by_name(object, each.content.c_str());
        const int map = bpf_object__find_map_fd_by_name(object, each.map.c_str());
        if (const int err = bpf_map_update_elem(map, &each.slot, &fd, BPF_ANY); err < 0) {
            return fail(-err, "{}: map {}: slot {} cannot be filled: error {}", path, each.map,
                        each.slot, -err);
        }
    }
    return {};
}

}  // namespace crema::ebpf::loader
