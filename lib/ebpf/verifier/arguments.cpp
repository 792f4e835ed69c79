// SPDX-License-Identifier: BSD-3-Clause
//
// Arguments of helper calls against the prototype: which pointers an argument takes, in the
// kernel's words, and that the memory behind them may be read or written as far as the call does.
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

using helpers::Arg;
using helpers::ArgKind;
using helpers::Use;

/// One of the pointers that an argument takes: a type and the kernel's name of it.
struct Taken {
    RegType type;
    const char* name;
    bool read_only = false;
    bool record = false;
};

// Names and order are those of the kernel's "expected=".
constexpr std::array kMemory = {
    Taken{RegType::stack, "fp"},
    Taken{RegType::packet, "pkt"},
    Taken{RegType::packet_meta, "pkt_meta"},
    Taken{RegType::map_key, "map_key"},
    Taken{RegType::map_value, "map_value"},
    Taken{RegType::memory, "mem"},
    Taken{.type = RegType::memory, .name = "ringbuf_mem", .record = true},
    Taken{RegType::not_init, "buf"},
    Taken{RegType::not_init, "trusted_ptr_"},
};
constexpr std::array kScalar = {Taken{RegType::scalar, "scalar"}};
constexpr std::array kCtx = {Taken{RegType::ctx, "ctx"}};
constexpr std::array kMapPointer = {Taken{RegType::map_ptr, "map_ptr"}};
constexpr std::array kFunction = {Taken{RegType::function, "func"}};
constexpr std::array kFrame = {Taken{RegType::stack, "fp"}};
constexpr std::array kMapValue = {Taken{RegType::map_value, "map_value"}};
constexpr std::array kValueOrOwned = {Taken{RegType::map_value, "map_value"},
                                      Taken{RegType::not_init, "ptr_"}};
constexpr std::array kRecord = {
    Taken{.type = RegType::memory, .name = "ringbuf_mem", .record = true}};
constexpr std::array kDynptr = {Taken{RegType::stack, "fp"}, Taken{RegType::dynptr, "dynptr_ptr"}};
constexpr std::array kSocket = {
    Taken{RegType::sock_common, "sock_common"}, Taken{RegType::socket, "sock"},
    Taken{RegType::not_init, "tcp_sock"},       Taken{RegType::xdp_sock, "xdp_sock"},
    Taken{RegType::kernel_object, "ptr_"},      Taken{RegType::kernel_object, "trusted_ptr_"}};
constexpr std::array kObject = {Taken{RegType::kernel_object, "ptr_"},
                                Taken{RegType::kernel_object, "trusted_ptr_"},
                                Taken{RegType::not_init, "rcu_ptr_"}};
constexpr std::array kPercpu = {Taken{RegType::not_init, "percpu_ptr_"},
                                Taken{RegType::not_init, "percpu_rcu_ptr_"},
                                Taken{RegType::not_init, "percpu_trusted_ptr_"}};

std::span<const Taken> taken_by(ArgKind kind) {
    switch (kind) {
        case ArgKind::ctx:
            return kCtx;
        case ArgKind::map:
            return kMapPointer;
        case ArgKind::map_key:
        case ArgKind::map_value:
        case ArgKind::memory:
            return kMemory;
        case ArgKind::size:
        case ArgKind::size_or_zero:
        case ArgKind::alloc_size:
            return kScalar;
        case ArgKind::const_string:
        case ArgKind::timer:
            return kMapValue;
        case ArgKind::spin_lock:
        case ArgKind::kptr_field:
            return kValueOrOwned;
        case ArgKind::callback:
            return kFunction;
        case ArgKind::frame_or_null:
            return kFrame;
        case ArgKind::ringbuf_record:
            return kRecord;
        case ArgKind::dynptr:
            return kDynptr;
        case ArgKind::sock_common:
            return kSocket;
        case ArgKind::sock_known:
            return std::span(kSocket).first(4);
        case ArgKind::kernel_object:
        case ArgKind::owned_object:
            return kObject;
        case ArgKind::percpu_object:
            return kPercpu;
        default:
            return {};
    }
}

bool may_be_null(const Arg& arg) {
    return arg.nullable || arg.kind == ArgKind::frame_or_null;
}

bool takes(const Arg& arg, const Taken& taken, const Reg& reg) {
    if (taken.type != reg.type || (reg.or_null && !may_be_null(arg))) {
        return false;
    }
    return reg.type != RegType::memory ||
           (taken.record == reg.record && (!reg.read_only || arg.use == Use::read));
}

std::string expected(std::span<const Taken> list) {
    std::string text;
    for (const Taken& taken : list) {
        text += text.empty() ? "" : ", ";
        text += taken.name;
    }
    return text;
}

/// Pointers that arguments take anywhere inside of what they point to.
bool may_have_offset(RegType type) {
    switch (type) {
        case RegType::scalar:
        case RegType::stack:
        case RegType::packet:
        case RegType::packet_meta:
        case RegType::map_key:
        case RegType::map_value:
        case RegType::memory:
            return true;
        default:
            return false;
    }
}

Direction direction_of(const Arg& arg) {
    return arg.use == Use::read ? Direction::read : Direction::write;
}

}  // namespace

Status Machine::check_argument_type(const Arg& arg, std::uint32_t regno) const {
    const Reg& reg = cur_.regs[regno];
    const std::span<const Taken> list = taken_by(arg.kind);
    for (const Taken& taken : list) {
        if (takes(arg, taken, reg)) {
            return {};
        }
    }
    return fail(EACCES, "R{} type={} expected={}", regno, type_name(reg), expected(list));
}

Status Machine::check_argument(Call& call, std::uint32_t index) {
    const Arg& arg = call.helper->args[index];
    const std::uint32_t regno = index + 1;
    const Reg& reg = cur_.regs[regno];
    if (arg.kind == ArgKind::unchecked) {
        return {};
    }
    if (reg.type == RegType::not_init) {
        return fail(EACCES, "R{} !read_ok", regno);
    }
    if (arg.kind == ArgKind::anything) {
        return {};
    }
    if (reg.is_packet() && !call.helper->packet_args) {
        return fail(EACCES, "helper access to the packet is not allowed");
    }
    if (!reg.is_zero() || !may_be_null(arg)) {
        if (auto ok = check_argument_type(arg, regno); !ok) {
            return ok;
        }
        if (arg.releases && arg.kind != ArgKind::dynptr && (reg.off != 0 || !reg.s.is_const(0))) {
            return fail(EINVAL,
                        "R{} must have zero offset when passed to release func or trusted arg to "
                        "kfunc",
                        regno);
        }
        if (!may_have_offset(reg.type)) {
            if (auto ok = check_unmodified(regno); !ok) {
                return ok;
            }
        }
    } else {
        mark_reg_precise(regno);  // another number is no null pointer
    }
    if (auto ok = note_reference(call, arg, regno); !ok) {
        return ok;
    }
    return check_argument_value(call, index);
}

/// What lies behind an argument of the right type.
Status Machine::check_argument_value(Call& call, std::uint32_t index) {
    const Arg& arg = call.helper->args[index];
    const std::uint32_t regno = index + 1;
    const Reg& reg = cur_.regs[regno];
    switch (arg.kind) {
        case ArgKind::map:
            return note_map(call, reg);
        case ArgKind::map_key:
            if (call.map == nullptr) {
                return fail(EACCES, "invalid map_ptr to access map->key");
            }
            return check_memory(call, regno, call.map->key_size, Direction::read, false, false);
        case ArgKind::map_value:
            if (may_be_null(arg) && reg.is_zero()) {
                return {};
            }
            if (call.map == nullptr) {
                return fail(EACCES, "invalid map_ptr to access map->value");
            }
            return check_value_argument(call, arg, regno);
        case ArgKind::memory:
            if (arg.bytes == 0) {
                return {};  // judged with its size
            }
            if (auto ok = check_memory(call, regno, arg.bytes, direction_of(arg), false,
                                       arg.use == Use::write);
                !ok || !arg.aligned) {
                return ok;
            }
            return check_argument_alignment(regno, arg.bytes);
        case ArgKind::size:
        case ArgKind::size_or_zero:
            return check_size(call, call.helper->args[index - 1], regno,
                              arg.kind == ArgKind::size_or_zero);
        case ArgKind::alloc_size:
            if (!reg.s.is_const()) {
                return fail(EACCES, "R{} is not a known constant'", regno);
            }
            call.alloc_size = reg.s.bits.value;
            mark_reg_precise(regno);
            return {};
        case ArgKind::const_string:
            return check_const_string(regno);
        case ArgKind::callback:
            call.callback = reg.function;
            return {};
        case ArgKind::spin_lock:
            return do_spin_lock(regno, call.helper->id);
        case ArgKind::timer:
            return check_timer(call, regno);
        case ArgKind::dynptr:
            return check_dynptr(call, arg, regno);
        case ArgKind::kptr_field:
            return fail(ENOTSUP, "pointers kept in map values (kptr) are not served yet");
        default:
            return {};
    }
}

Status Machine::note_map(Call& call, const Reg& reg) {
    const bool sets_timer = call.helper->args[0].kind == ArgKind::timer;
    const Reg& own = call.map_reg;  // the timer's
    if (sets_timer &&
        (own.map != reg.map || own.inner != reg.inner || own.map_uid != reg.map_uid)) {
        return fail(EINVAL,
                    "timer pointer in R1 map_uid={} doesn't match map pointer in R2 map_uid={}",
                    own.map_uid, reg.map_uid);
    }
    call.map = &spec_of(reg);
    call.map_reg = reg;
    std::int32_t& known = proof_.insns[insn_].map;
    const std::int32_t map = reg.inner ? kMapVaries : static_cast<std::int32_t>(reg.map);
    known = known == kNoMap || known == map ? map : kMapVaries;
    return {};
}

Status Machine::check_value_argument(Call& call, const Arg& arg, std::uint32_t regno) {
    // A bloom filter is asked for a value, it does not give one.
    const bool asked = call.map->type == maps::MapType::bloom_filter;
    const bool writes = arg.use != Use::read && !asked;
    return check_memory(call, regno, call.map->value_size,
                        writes ? Direction::write : Direction::read, false, writes);
}

Status Machine::check_argument_alignment(std::uint32_t regno, std::uint32_t bytes) {
    const Reg& reg = cur_.regs[regno];
    if (reg.is_packet()) {
        return check_aligned(reg, 0, bytes, "packet ");
    }
    const char* what = reg.type == RegType::stack       ? "stack "
                       : reg.type == RegType::map_value ? "value "
                                                        : "pointer ";
    return check_aligned(reg, 0, bytes, what);
}

Status Machine::check_size(Call& call, const Arg& memory, std::uint32_t regno, bool zero_allowed) {
    const Scalar& size = cur_.regs[regno].s;
    call.size_max = size.wide.umax;
    if (size.wide.smin < 0) {
        return fail(EACCES, "R{} min value is negative, either use unsigned or 'var &= const'",
                    regno);
    }
    if (size.wide.umin == 0 && !zero_allowed) {
        return fail(EACCES, "R{} invalid zero-sized read: u64=[{},{}]", regno, size.wide.umin,
                    size.wide.umax);
    }
    if (size.wide.umax >= static_cast<std::uint64_t>(kMaxVarOff)) {
        return fail(EACCES, "R{} unbounded memory access, use 'var &= const' or 'if (var < const)'",
                    regno);
    }
    // A helper writes fewer bytes than the bound, where the size is not known: what it may leave
    // alone has to be there before.
    const bool fills = memory.use == Use::write && size.is_const();
    const auto bytes = static_cast<std::int64_t>(size.wide.umax);
    if (auto ok = check_memory(call, regno - 1, bytes, direction_of(memory), zero_allowed, fills);
        !ok) {
        return ok;
    }
    mark_reg_precise(regno);
    return {};
}

Status Machine::check_memory(Call& call,
                             std::uint32_t regno,
                             std::int64_t size,
                             Direction direction,
                             bool zero_allowed,
                             bool fills) {
    const Reg& reg = cur_.regs[regno];
    switch (reg.type) {
        case RegType::packet:
        case RegType::packet_meta:
            return check_packet(regno, reg.off, size, zero_allowed);
        case RegType::map_key:
            if (direction == Direction::write) {
                return fail(EACCES, "R{} cannot write into {}", regno, type_name(reg));
            }
            return check_region(regno, reg.off, size, spec_of(reg).key_size, zero_allowed);
        case RegType::map_value:
            if (auto ok = check_map_value(regno, reg.off, size, direction, zero_allowed); !ok) {
                return ok;
            }
            return check_plain_bytes(regno, reg.off, size, true);
        case RegType::memory:
            if (direction == Direction::write && reg.read_only) {
                return fail(EACCES, "R{} cannot write into {}", regno, type_name(reg));
            }
            return check_region(regno, reg.off, size, reg.size, zero_allowed);
        case RegType::stack:
            return check_stack_argument(call, regno, size, direction, zero_allowed, fills);
        default:
            if (zero_allowed && size == 0 && reg.is_zero()) {
                return {};
            }
            return fail(EACCES, "R{} type={} expected=fp", regno, type_name(reg));
    }
}

Status Machine::check_stack_argument(Call& call,
                                     std::uint32_t regno,
                                     std::int64_t size,
                                     Direction direction,
                                     bool zero_allowed,
                                     bool fills) {
    if (size == 0 && !zero_allowed) {
        return fail(EACCES, "invalid zero-sized read");
    }
    const Reg reg = cur_.regs[regno];
    if (auto ok = check_stack(regno, reg.off, size, direction); !ok) {
        return ok;
    }
    const std::int64_t start = std::int64_t{reg.off} + reg.s.wide.smin;
    const std::int64_t end = std::int64_t{reg.off} + reg.s.wide.smax + size;
    const bool raw = fills && reg.s.is_const();
    for (std::int64_t at = start; at < end; ++at) {
        const Byte byte = cur_.frame_at(reg.frame).stack[slot_of(at)].bytes[byte_of(at)];
        if (!is_object(byte)) {
            continue;
        }
        if (raw && byte == Byte::dynptr) {
            return fail(EACCES, "potential write to dynptr at off={} disallowed", at);
        }
        if (!raw) {
            return reg.s.is_const()
                       ? fail(EACCES, "invalid read from stack R{} off {}+{} size {}", regno, start,
                              at - start, size)
                       : fail(EACCES, "invalid read from stack R{} var_off {}+{} size {}", regno,
                              describe_bits(reg.s.bits), at - start, size);
        }
    }
    if (raw) {
        call.filled = {.start = start, .end = end, .frame = reg.frame};
        return {};
    }
    if (start < end) {
        mark_range_read(reg.frame, start, end);
        if (direction == Direction::write) {
            forget_bytes(reg.frame, start, end);
        }
    }
    return {};
}

/// The helper leaves something unknown there.
void Machine::forget_bytes(std::uint32_t frame, std::int64_t start, std::int64_t end) {
    Stack& stack = cur_.edit_frame(frame).stack;
    for (std::int64_t at = start; at < end; ++at) {
        Slot& slot = stack.edit(slot_of(at));
        slot.scrub();
        slot.bytes[byte_of(at)] = Byte::misc;
    }
}

/// The memory that a call has to leave written, byte by byte as stores would.
Status Machine::fill_written(const Call& call) {
    const auto& [start, end, frame] = call.filled;
    for (std::int64_t at = start; at < end; ++at) {
        if (auto ok = destroy_objects(frame, at, 1); !ok) {
            return ok;
        }
    }
    for (std::int64_t at = start; at < end;) {
        const bool whole = byte_of(at) == 0 && end - at >= kSlotBytes;
        const std::uint32_t bytes = whole ? kSlotBytes : 1;
        write_slot(frame, at, bytes, Byte::misc);
        at += bytes;
    }
    return {};
}

Status Machine::check_const_string(std::uint32_t regno) {
    const Reg& reg = cur_.regs[regno];
    const maps::Map& map = map_of(reg);
    const maps::MapSpec& spec = map.spec();
    if (reg.inner || (spec.flags & maps::kRdonlyProg) == 0 || !map.frozen()) {
        return fail(EACCES, "R{} does not point to a readonly map'", regno);
    }
    if (!reg.s.is_const()) {
        return fail(EACCES, "R{} is not a constant address'", regno);
    }
    const maps::ValueLayout layout = map.layout();
    if (layout.base == nullptr || spec.type != maps::MapType::array) {
        return fail(EACCES, "no direct value access support for this map type");
    }
    if (auto ok = check_map_value(regno, reg.off, std::int64_t{spec.value_size} - reg.off,
                                  Direction::read, false);
        !ok) {
        return ok;
    }
    const std::int64_t at = std::int64_t{reg.off} + static_cast<std::int64_t>(reg.s.bits.value);
    if (std::memchr(layout.base + at, 0, static_cast<std::size_t>(spec.value_size - at)) ==
        nullptr) {
        return fail(EINVAL, "string is not zero-terminated");
    }
    return {};
}

}  // namespace crema::ebpf::verifier
