// SPDX-License-Identifier: BSD-3-Clause
//
// What a program holds and has to give back before it ends: references (ring buffer records,
// sockets) and locks. A reference is a number; every pointer that goes back to it carries it and is
// a plain number once it was given back.
#include <algorithm>
#include <cerrno>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

using helpers::ArgKind;

std::uint32_t Machine::acquire() {
    const std::uint32_t id = ++ids_;
    cur_.held.references.push_back({.id = id, .insn = insn_});
    return id;
}

bool Held::drop(std::uint32_t id) {
    const auto found = std::find_if(references.begin(), references.end(),
                                    [&](const Reference& held) { return held.id == id; });
    if (found == references.end()) {
        return false;
    }
    references.erase(found);
    return true;
}

/// False when nobody holds it.
bool Machine::release(std::uint32_t id) {
    if (!cur_.held.drop(id)) {
        return false;
    }
    cur_.update_regs([&](const Reg& reg) { return reg.ref == id; },
                     [](Reg& reg) { reg = Reg::scalar(Scalar::unknown()); });
    return true;
}

/// An argument that holds a reference, or has to.
Status Machine::note_reference(Call& call, const helpers::Arg& arg, std::uint32_t regno) {
    const Reg& reg = cur_.regs[regno];
    if (arg.releases && arg.kind == ArgKind::dynptr) {
        if (reg.type != RegType::stack) {
            return fail(EINVAL, "cannot release unowned const bpf_dynptr");
        }
        const Reg* dynptr = dynptr_at(reg);
        if (dynptr == nullptr || dynptr->ref == 0) {
            return fail(EINVAL, "arg {} is an unacquired reference", regno);
        }
        call.released = regno;
    } else if (arg.releases) {
        if (reg.ref == 0 && !reg.is_zero()) {
            return fail(EINVAL, "R{} must be referenced when passed to release function", regno);
        }
        call.released = regno;
    }
    if (reg.ref != 0 && arg.kind != ArgKind::kptr_field) {
        if (call.reference != 0) {
            return fail(EFAULT, "more than one arg with ref_obj_id R{} {} {}", regno, reg.ref,
                        call.reference);
        }
        call.reference = reg.ref;
    }
    return {};
}

/// The helper takes the object of argument `call.released`.
Status Machine::release_argument(const Call& call) {
    const Reg reg = cur_.regs[call.released];
    if (call.helper->args[call.released - 1].kind == ArgKind::dynptr) {
        return release_dynptr(reg);
    }
    if (reg.is_zero() || (call.reference != 0 && release(call.reference))) {
        return {};
    }
    return fail(EINVAL, "func bpf_{}#{} reference has not been acquired before",
                helpers::name_of(call.helper->id), call.helper->id);
}

/// Nothing may be held where the program ends. A function that a tail call leaves goes back to its
/// caller, who still has what it holds.
Status Machine::check_nothing_held(const char* what, bool locks_too) const {
    if (locks_too && cur_.held.lock.is_held) {
        return fail(EINVAL, "{} cannot be used inside bpf_spin_lock-ed region", what);
    }
    if (cur_.callers.empty() && !cur_.held.references.empty()) {
        std::string text;
        for (const Reference& held : cur_.held.references) {
            text += fmt::format("Unreleased reference id={} alloc_insn={}; ", held.id, held.insn);
        }
        return fail(EINVAL, "{}{} would lead to reference leak", text, what);
    }
    if (locks_too && cur_.held.rcu) {
        return fail(EINVAL, "{} cannot be used inside bpf_rcu_read_lock-ed region", what);
    }
    if (locks_too && cur_.held.preempt_off != 0) {
        return fail(EINVAL, "{} cannot be used inside bpf_preempt_disable-ed region", what);
    }
    return {};
}

}  // namespace crema::ebpf::verifier
