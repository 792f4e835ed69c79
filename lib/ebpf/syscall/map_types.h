// SPDX-License-Identifier: BSD-3-Clause
//
// The BTF types of a map's keys and values, as MAP_CREATE names them: they have the sizes of the
// map, and special fields only where the kernel has them.
#pragma once

#include <cstdint>

#include "lib/base/result.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/btf.h"

namespace crema::ebpf::syscall {

/// Sets what the value type says in spec. Errors are the kernel's.
[[nodiscard]] Status set_map_types(const Btf& btf,
                                   std::uint32_t key_type,
                                   std::uint32_t value_type,
                                   maps::MapSpec& spec);

}  // namespace crema::ebpf::syscall
