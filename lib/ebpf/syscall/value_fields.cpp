// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/value_fields.h"

#include <cerrno>
#include <string_view>
#include <vector>

#include "lib/ebpf/maps/spin_lock.h"

namespace crema::ebpf::syscall {
namespace {

/// Byte offsets of the spin locks in a structure, or among the variables of a data section.
std::vector<std::uint32_t> spin_locks_in(const Btf& btf, std::uint32_t value_type) {
    std::vector<std::uint32_t> offsets;
    const auto note = [&](std::uint32_t type, std::uint32_t offset) {
        const std::uint32_t bare = btf.bare(type);
        if (btf.bare_type(bare).kind == BtfKind::structure &&
            btf.name_of(bare) == "bpf_spin_lock" && btf.size_of(bare) == maps::kSpinLockBytes) {
            offsets.push_back(offset);
        }
    };
    const std::uint32_t bare = btf.bare(value_type);
    for (const BtfMember& member : btf.members(bare)) {
        if (member.bit_size == 0 && member.bit_offset % 8 == 0) {
            note(member.type, member.bit_offset / 8);
        }
    }
    for (const BtfSectionVariable& variable : btf.section_variables(bare)) {
        note(btf.referenced(variable.type), variable.offset);
    }
    return offsets;
}

}  // namespace

Status read_value_fields(const Btf& btf,
                         std::uint32_t key_type,
                         std::uint32_t value_type,
                         maps::MapSpec& spec) {
    if (key_type != 0 && btf.size_of(key_type) != spec.key_size) {
        return fail(EINVAL, "map {}: BTF type {} is not of key_size {}", spec.name, key_type,
                    spec.key_size);
    }
    if (btf.size_of(value_type) != spec.value_size) {
        return fail(EINVAL, "map {}: BTF type {} is not of value_size {}", spec.name, value_type,
                    spec.value_size);
    }
    const std::vector<std::uint32_t> locks = spin_locks_in(btf, value_type);
    if (locks.empty()) {
        return {};
    }
    if (locks.size() > 1) {
        return fail(E2BIG, "map {}: {} spin locks in a value, one is allowed", spec.name,
                    locks.size());
    }
    if (locks.front() % maps::kSpinLockBytes != 0 ||
        locks.front() + maps::kSpinLockBytes > spec.value_size) {
        return fail(EINVAL, "map {}: spin lock at byte {} of a value", spec.name, locks.front());
    }
    if ((spec.flags & (maps::kRdonlyProg | maps::kWronlyProg)) != 0) {
        return fail(EACCES, "map {}: a spin lock where programs may not read and write", spec.name);
    }
    if (spec.type != maps::MapType::hash && spec.type != maps::MapType::array) {
        return fail(EOPNOTSUPP, "map {}: its type has no spin locks in values", spec.name);
    }
    spec.spin_lock_offset = static_cast<std::int32_t>(locks.front());
    return {};
}

}  // namespace crema::ebpf::syscall
