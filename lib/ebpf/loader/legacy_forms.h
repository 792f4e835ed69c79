// SPDX-License-Identifier: BSD-3-Clause
//
// Objects written for older loaders, made into what libbpf 1.0 and later open: legacy map
// definitions become BTF ones, and entry programs that are static become global. A fifth of the
// public XDP objects need it.
//
// Unusual section names need no change of the file: object.cpp takes a program for XDP unless its
// section says otherwise.
#pragma once

#include <string>
#include <vector>

#include "lib/ebpf/loader/elf_sections.h"
#include "lib/ebpf/loader/legacy_maps.h"

namespace crema::ebpf::loader {

struct CurrentForm {
    Bytes bytes;
    /// What the file defined in the old way; what follows from it after the load (iproute2's slots)
    /// is fill_legacy_slots' part.
    std::vector<LegacyMap> legacy_maps;
};

/// `bytes`, whose tables were checked, in the form of today; the same bytes for an object that is.
/// Errors: as of read_legacy_maps and describe_maps.
[[nodiscard]] Result<CurrentForm> to_current_form(const std::string& path, Bytes bytes);

}  // namespace crema::ebpf::loader
