// SPDX-License-Identifier: BSD-3-Clause
//
// Map definitions from before BTF: a struct of numbers per map in section "maps" (or "maps/NAME"),
// one symbol each. There were several such structs; they share their first five words, and which
// one an object used shows in the size:
//
//   20 bytes  type, key_size, value_size, max_entries, map_flags: struct bpf_map_def of libbpf
//   28        the same, inner_map_idx, numa_node: the kernel's samples
//   36        the same, id, pinning, inner_id, inner_idx: struct bpf_elf_map of iproute2
//   280       the same, pinning, a name space of 256 letters: gobpf
//
// Any other size is taken when what follows the five words is zero, as libbpf before 1.0 did.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/ebpf/loader/elf_sections.h"

namespace crema::ebpf::loader {

struct LegacyMap {
    std::string name;
    std::uint32_t type = 0;
    std::uint32_t key_size = 0;
    std::uint32_t value_size = 0;
    std::uint32_t max_entries = 0;
    std::uint32_t flags = 0;
    std::uint32_t numa_node = 0;
    bool pinned = false;

    /// iproute2's number of the map: programs in section "ID/SLOT" go into slots of it.
    std::optional<std::uint32_t> id;
    /// Map of maps: the one of this object, by index, that its inner maps are like.
    std::optional<std::size_t> inner;
    /// Slot of the map of maps with this one as `inner` that it is put into.
    std::optional<std::uint32_t> slot_in_outer;

    std::size_t section = 0;  // that it is defined in
    std::size_t symbol = 0;   // its entry of the symbol table
};

/// True for a section of such definitions.
[[nodiscard]] bool is_legacy_maps(std::string_view section_name);

/// All that the object defines, in the order of its symbols; none for an object of today.
/// Errors: ENOEXEC, definitions that do not fill their section; ENOTSUP, a struct that nobody
/// knows.
[[nodiscard]] Result<std::vector<LegacyMap>> read_legacy_maps(const std::string& path,
                                                              const Sections& sections);

}  // namespace crema::ebpf::loader
