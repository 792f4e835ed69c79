// SPDX-License-Identifier: BSD-3-Clause
//
// Fields of map values that are no plain bytes: the spin lock and what may happen while it is held,
// timers, and that loads, stores and helpers keep away from all of them.
#include <cerrno>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

constexpr std::uint32_t kSpinLockHelper = 93;

const SpecialField* find_field(const maps::MapSpec& spec, SpecialKind kind) {
    for (const SpecialField& field : spec.fields) {
        if (field.kind == kind) {
            return &field;
        }
    }
    return nullptr;
}

}  // namespace

bool has_lock(const maps::MapSpec& spec) {
    return find_field(spec, SpecialKind::spin_lock) != nullptr ||
           find_field(spec, SpecialKind::res_spin_lock) != nullptr;
}

bool has_timer(const maps::MapSpec& spec) {
    return find_field(spec, SpecialKind::timer) != nullptr;
}

/// [off, off + size) from R`regno`, in all it may point to, touches no special field.
Status Machine::check_plain_bytes(std::uint32_t regno,
                                  std::int64_t off,
                                  std::int64_t size,
                                  bool by_helper) const {
    const Reg& reg = cur_.regs[regno];
    const std::int64_t start = off + reg.s.wide.smin;
    const std::int64_t end = off + static_cast<std::int64_t>(reg.s.wide.umax) + size;
    for (const SpecialField& field : spec_of(reg).fields) {
        if (start >= std::int64_t{field.offset} + field.size || end <= field.offset) {
            continue;
        }
        if (field.kind != SpecialKind::kptr) {
            return fail(EACCES, "{} cannot be accessed directly by load/store",
                        name_of(field.kind));
        }
        return by_helper ? fail(EACCES, "kptr cannot be accessed indirectly by helper")
                         : fail(ENOTSUP, "pointers kept in map values (kptr) are not served yet");
    }
    return {};
}

/// The special field of that kind that R`regno` must point to.
Status Machine::check_field(std::uint32_t regno, SpecialKind kind, const char* user) const {
    const Reg& reg = cur_.regs[regno];
    const maps::MapSpec& spec = spec_of(reg);
    if (!reg.s.is_const()) {
        return fail(EINVAL, "R{} doesn't have constant offset. {} has to be at the constant offset",
                    regno, user);
    }
    if (!spec.has_btf) {
        return fail(EINVAL, "map '{}' has to have BTF in order to use {}", spec.name, user);
    }
    const SpecialField* field = find_field(spec, kind);
    if (field == nullptr) {
        return fail(EINVAL, "map '{}' has no valid {}", spec.name, user);
    }
    const std::int64_t at = std::int64_t{reg.off} + static_cast<std::int64_t>(reg.s.bits.value);
    if (at != field->offset) {
        return fail(EINVAL, "off {} doesn't point to 'struct {}' that is at {}", at, name_of(kind),
                    field->offset);
    }
    return {};
}

Status Machine::do_spin_lock(std::uint32_t regno, std::uint32_t helper) {
    if (auto ok = check_field(regno, SpecialKind::spin_lock, "bpf_spin_lock"); !ok) {
        return ok;
    }
    const Reg& reg = cur_.regs[regno];
    HeldLock& lock = cur_.held.lock;
    if (helper == kSpinLockHelper) {
        if (lock.is_held) {
            return fail(EINVAL, "Locking two bpf_spin_locks are not allowed");
        }
        lock = {.is_held = true, .map = reg.map, .id = reg.id};
        return {};
    }
    if (!lock.is_held) {
        return fail(EINVAL, "bpf_spin_unlock without taking a lock");
    }
    if (lock.map != reg.map || lock.id != reg.id) {
        return fail(EINVAL, "bpf_spin_unlock of different lock");
    }
    lock = {};
    return {};
}

Status Machine::check_timer(Call& call, std::uint32_t regno) {
    if (auto ok = check_field(regno, SpecialKind::timer, "bpf_timer"); !ok) {
        return ok;
    }
    call.map_reg = cur_.regs[regno];  // the map argument behind it must be its map
    return {};
}

}  // namespace crema::ebpf::verifier
