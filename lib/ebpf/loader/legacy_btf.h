// SPDX-License-Identifier: BSD-3-Clause
//
// Map definitions as libbpf 1.0 and later want them: variables of BTF section ".maps", whose types
// say what the numbers of the old structs said.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "lib/ebpf/loader/legacy_maps.h"

namespace crema::ebpf::loader {

/// Where a map's variable lies in section ".maps".
struct MapVariable {
    std::uint32_t offset;
    std::uint32_t size;
};

/// Section ".maps" as the object has it already; some objects (Cilium's) define maps both ways.
struct PresentMaps {
    struct Place {
        std::string_view name;
        std::uint32_t offset;
    };

    std::vector<Place> places;        // of its variables, by their symbols
    std::uint32_t section_bytes = 0;  // 0: there is none
};

struct DescribedMaps {
    Bytes btf;                           // the object's whole BTF
    std::vector<MapVariable> variables;  // of each map
    std::uint32_t section_bytes = 0;     // of ".maps", present ones included
};

/// `btf`: the object's own, checked, or empty. Types of key and value are taken from it where a
/// struct ____btf_map_NAME tells them (BPF_ANNOTATE_KV_PAIR).
/// The maps that are `present` stay what they are, in front of the described ones.
/// Errors: ENOEXEC, libbpf does not take the BTF, or it has maps in ".maps" that no symbol places;
/// ENOMEM.
[[nodiscard]] Result<DescribedMaps> describe_maps(const std::string& path,
                                                  std::span<const std::uint8_t> btf,
                                                  std::span<const LegacyMap> maps,
                                                  const PresentMaps& present);

}  // namespace crema::ebpf::loader
