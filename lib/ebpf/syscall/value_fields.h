// SPDX-License-Identifier: BSD-3-Clause
//
// What the BTF of a map says about its values: whether the types are of the map's sizes, and where
// a bpf_spin_lock lies. Fields that this version gives no meaning (timers, kept pointers, lists)
// are plain bytes here; helpers that need them are refused at load.
#pragma once

#include <cstdint>

#include "lib/base/result.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/btf.h"

namespace crema::ebpf::syscall {

/// Sets spec.spin_lock_offset. Types are ids in `btf`, key_type may be 0. Errors as the kernel's:
/// EINVAL sizes, E2BIG two locks, EOPNOTSUPP or EACCES a lock in a map that cannot have one.
[[nodiscard]] Status read_value_fields(const Btf& btf,
                                       std::uint32_t key_type,
                                       std::uint32_t value_type,
                                       maps::MapSpec& spec);

}  // namespace crema::ebpf::syscall
