// SPDX-License-Identifier: BSD-3-Clause
//
// Fields of a map value that are more than bytes: locks, timers, kept pointers, roots of lists and
// trees. Found by their BTF types; programs may not touch them by loads and stores, and updates go
// around them.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/program/btf.h"

namespace crema::ebpf {

enum class SpecialKind : std::uint8_t {
    spin_lock,
    res_spin_lock,
    timer,
    workqueue,
    task_work,
    kptr,
    list_head,
    rb_root,
    refcount,
};

struct SpecialField {
    SpecialKind kind = SpecialKind::spin_lock;
    std::uint32_t offset = 0;
    std::uint32_t size = 0;

    bool operator==(const SpecialField&) const = default;
};

/// The kernel's name of the field's type ("bpf_spin_lock", "kptr").
[[nodiscard]] const char* name_of(SpecialKind kind);

/// Fields of a value of type `type`: a structure, with those inside of it, or a data section. In
/// the order of their offsets. E2BIG: two locks, timers or work queues, more fields than the
/// kernel keeps, or types too deep or too wide; EINVAL: one that is not aligned; EEXIST: one
/// that overlaps another.
[[nodiscard]] Result<std::vector<SpecialField>> special_fields(const Btf& btf, std::uint32_t type);

}  // namespace crema::ebpf
