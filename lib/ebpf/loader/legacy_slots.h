// SPDX-License-Identifier: BSD-3-Clause
//
// What iproute2 does after it has loaded an object: programs of section "ID/SLOT" go into that slot
// of the program array with that id, and a map with an inner_idx goes into that slot of the maps of
// maps that name it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/loader/legacy_maps.h"

struct bpf_object;

namespace crema::ebpf::loader {

struct ProgramPlace {
    std::string name;
    std::string section;
};

/// One slot of a map to be filled.
struct LegacySlot {
    std::string map;
    std::uint32_t slot = 0;
    std::string content;  // name of the program, or of the inner map
    bool is_program = false;
};

/// `programs`: those that are loaded. Asks no libbpf.
[[nodiscard]] std::vector<LegacySlot> legacy_slots(const std::vector<LegacyMap>& maps,
                                                   const std::vector<ProgramPlace>& programs);

/// `object` is loaded. Refused programs are left out. Errors: those of the updates, by map and
/// slot.
[[nodiscard]] Status fill_legacy_slots(const std::string& path,
                                       bpf_object* object,
                                       const std::vector<LegacyMap>& maps);

}  // namespace crema::ebpf::loader
