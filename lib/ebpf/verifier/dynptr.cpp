// SPDX-License-Identifier: BSD-3-Clause
//
// Dynptrs: sixteen bytes of the frame that stand for memory of a size known at run time. The
// program sees no byte of them; it hands their address to helpers, and gets slices that go stale
// with them.
#include <algorithm>
#include <cerrno>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

using helpers::DynptrKind;
using helpers::Use;

const char* kind_name(DynptrKind kind) {
    switch (kind) {
        case DynptrKind::local:
            return "local";
        case DynptrKind::ringbuf:
            return "ringbuf";
        case DynptrKind::xdp:
            return "xdp";
        case DynptrKind::any:
            break;
    }
    return "";
}

bool is_counted(DynptrKind kind) {
    return kind == DynptrKind::ringbuf;
}

}  // namespace

Result<std::int64_t> Machine::object_offset(const Reg& reg, const char* what, std::uint32_t slots) {
    constexpr std::int64_t kBytes = kSlotBytes;
    if (!reg.s.is_const()) {
        return fail(EINVAL, "{} has to be at a constant offset", what);
    }
    const std::int64_t at = std::int64_t{reg.off} + static_cast<std::int64_t>(reg.s.bits.value);
    // One of a single slot above the frame is left to the check of the write to it.
    const bool above = (-at - 1) / kBytes + 1 < std::int64_t{slots};
    if (at % kBytes != 0 || above) {
        return fail(EINVAL, "cannot pass in {} at an offset={}", what, at);
    }
    return at;
}

Result<std::int64_t> Machine::dynptr_offset(const Reg& reg) {
    return object_offset(reg, "dynptr", 2);
}

/// The dynptr whose first byte `reg` points to, or null.
const Reg* Machine::dynptr_at(const Reg& reg) const {
    const auto at = dynptr_offset(reg);
    const Stack& stack = cur_.frame_at(reg.frame).stack;
    if (!at || slot_of(*at) >= stack.size()) {
        return nullptr;
    }
    const Slot& slot = stack[slot_of(*at)];
    return slot.bytes[0] == Byte::dynptr && slot.object().first_slot ? &slot.object() : nullptr;
}

Status Machine::check_dynptr(Call& call, const helpers::Arg& arg, std::uint32_t regno) {
    const Reg reg = cur_.regs[regno];
    if (arg.use == Use::write) {
        return make_dynptr(arg.dynptr, regno);
    }
    if (reg.type == RegType::dynptr) {
        if (arg.use != Use::read) {
            return fail(EINVAL, "cannot pass pointer to const bpf_dynptr, the helper mutates it");
        }
        call.dynptr = reg.id;
        return {};
    }
    const auto at = dynptr_offset(reg);
    const Reg* dynptr = dynptr_at(reg);
    if (!at || dynptr == nullptr) {
        const std::string why = at ? "" : at.error().message + "; ";
        return fail(EINVAL, "{}Expected an initialized dynptr as arg #{}", why, regno - 1);
    }
    if (arg.dynptr != DynptrKind::any && dynptr->dynptr_kind != arg.dynptr) {
        return fail(EINVAL, "Expected a dynptr of type {} as arg #{}", kind_name(arg.dynptr),
                    regno - 1);
    }
    call.dynptr = dynptr->id;
    call.dynptr_ref = dynptr->ref;
    mark_range_read(reg.frame, *at, *at + 2 * std::int64_t{kSlotBytes});
    touched_slots_ |= std::uint64_t{1} << slot_of(*at);
    return {};
}

/// A helper or kernel function initialises a dynptr at R`regno`.
Status Machine::make_dynptr(DynptrKind kind, std::uint32_t regno) {
    return put_dynptr(kind, regno, 0);
}

/// A second one that stands for the same memory: what must be given back is given back once.
Status Machine::clone_dynptr(const Reg& original, std::uint32_t regno) {
    return put_dynptr(original.dynptr_kind, regno, original.ref);
}

/// ref: that it shares; 0: of its own, where the kind needs one.
Status Machine::put_dynptr(DynptrKind kind, std::uint32_t regno, std::uint32_t ref) {
    const Reg ptr = cur_.regs[regno];
    const auto at = dynptr_offset(ptr);
    if (!at || ptr.type != RegType::stack) {
        const std::string why = at ? "" : at.error().message + "; ";
        return fail(EINVAL, "{}Dynptr has to be an uninitialized dynptr", why);
    }
    constexpr std::uint32_t kBytes = 2 * kSlotBytes;
    if (auto ok = check_stack(regno, ptr.off, kBytes, Direction::write); !ok) {
        return ok;
    }
    if (auto ok = destroy_objects(ptr.frame, *at, kBytes); !ok) {
        return ok;
    }
    Reg dynptr = Reg::pointer(RegType::dynptr);
    dynptr.dynptr_kind = kind;
    dynptr.id = ++ids_;
    dynptr.ref = is_counted(kind) && ref == 0 ? acquire() : ref;
    for (std::uint32_t half = 0; half < 2; ++half) {
        dynptr.first_slot = half == 0;
        const std::int64_t start = *at + half * std::int64_t{kSlotBytes};
        write_slot(ptr.frame, start, kSlotBytes, Byte::dynptr);
        cur_.edit_frame(ptr.frame).stack.edit(slot_of(start)).spilled.edit() = dynptr;
    }
    return {};
}

/// The dynptr with that id is no more, and nor are its slices.
void Machine::forget_dynptr(std::uint32_t id) {
    for (std::uint32_t n = 0; n <= cur_.depth(); ++n) {
        for (std::uint32_t i = 0; i < cur_.frame_at(n).stack.size(); ++i) {
            const Slot& slot = cur_.frame_at(n).stack[i];
            if (slot.bytes[0] == Byte::dynptr && slot.object().id == id) {
                cur_.edit_frame(n).stack.edit(i) = Slot{};
            }
        }
    }
    // Slices that kernel functions made stay where what they lie in does not go with the dynptr.
    cur_.update_regs(
        [&](const Reg& reg) {
            const bool stays = reg.dynptr_kind != DynptrKind::any && !is_counted(reg.dynptr_kind);
            return reg.type == RegType::memory && reg.dynptr == id && !stays;
        },
        [](Reg& reg) { reg = Reg::scalar(Scalar::unknown()); });
}

/// Gives back what the dynptr at `ptr` holds; copies of it go with it.
Status Machine::release_dynptr(const Reg& ptr) {
    const Reg* found = dynptr_at(ptr);
    if (found == nullptr) {
        return fail(EINVAL, "Expected an initialized dynptr as arg #0");
    }
    const std::uint32_t ref = found->ref;
    std::vector<std::uint32_t> copies;
    for (std::uint32_t n = 0; n <= cur_.depth(); ++n) {
        const Stack& stack = cur_.frame_at(n).stack;
        for (std::uint32_t i = 0; i < stack.size(); ++i) {
            if (stack[i].bytes[0] == Byte::dynptr && stack[i].object().first_slot &&
                stack[i].object().ref == ref) {
                copies.push_back(stack[i].object().id);
            }
        }
    }
    for (const std::uint32_t id : copies) {
        forget_dynptr(id);
    }
    return release(ref) ? Status{} : fail(EINVAL, "dynptr reference is not held");
}

/// Loads do not see objects on the stack, stores end them.
Status Machine::check_objects(std::uint32_t regno,
                              std::int32_t off,
                              std::uint32_t size,
                              Direction direction) {
    const Reg reg = cur_.regs[regno];
    const std::int64_t start = std::int64_t{reg.off} + off + reg.s.wide.smin;
    const std::int64_t end = std::int64_t{reg.off} + off + reg.s.wide.smax + size;
    if (direction == Direction::write) {
        return destroy_objects(reg.frame, start, end - start);
    }
    const Stack& stack = cur_.frame_at(reg.frame).stack;
    for (std::int64_t at = start; at < end; ++at) {
        if (!is_object(stack[slot_of(at)].bytes[byte_of(at)])) {
            continue;
        }
        return reg.s.is_const() ? fail(EACCES, "invalid read from stack off {}+{} size {}", start,
                                       at - start, size)
                                : fail(EACCES, "invalid read from stack R{} var_off {}+{} size {}",
                                       regno, describe_bits(reg.s.bits), at - start, size);
    }
    return {};
}

/// Bytes [start, start + size) of a frame are about to be overwritten.
Status Machine::destroy_objects(std::uint32_t frame, std::int64_t start, std::int64_t size) {
    for (std::int64_t at = start; at < start + size; ++at) {
        const Stack& stack = cur_.frame_at(frame).stack;
        if (slot_of(at) >= stack.size()) {
            continue;
        }
        const Slot& slot = stack[slot_of(at)];
        if (slot.bytes[0] != Byte::dynptr) {
            continue;
        }
        const Reg dynptr = slot.object();
        if (is_counted(dynptr.dynptr_kind)) {
            return fail(EINVAL, "cannot overwrite referenced dynptr");
        }
        forget_dynptr(dynptr.id);
    }
    return {};
}

}  // namespace crema::ebpf::verifier
