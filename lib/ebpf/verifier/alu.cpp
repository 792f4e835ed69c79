// SPDX-License-Identifier: BSD-3-Clause
//
// Arithmetic: scalars through the domain of scalar.h, pointers by the kernel's rules (add and
// subtract bounded numbers, nothing else; subtracting two pointers gives an unknown number), and
// LD_IMM64.
#include <cerrno>
#include <limits>

#include "lib/ebpf/program/disassemble.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

constexpr std::int64_t kS32Max = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kS32Min = std::numeric_limits<std::int32_t>::min();

bool fits_off(std::int64_t v) {
    return v >= kS32Min && v <= kS32Max;
}

bool is_wide(const Insn& insn) {
    return op::insn_class(insn.code) == op::kAlu64;
}

Scalar immediate(const Insn& insn) {
    return Scalar::constant(static_cast<std::uint64_t>(std::int64_t{insn.imm}));
}

bool may_move(RegType type) {
    switch (type) {
        case RegType::ctx:
        case RegType::map_key:
        case RegType::map_value:
        case RegType::stack:
        case RegType::packet:
        case RegType::packet_meta:
        case RegType::memory:
        case RegType::kernel_object:
        case RegType::function:
        case RegType::dynptr:
            return true;
        default:
            return false;
    }
}

/// By how much the sum or difference that `insn` makes of a number differs from it, where that can
/// be remembered. In 32 bits: of a number that has no more.
std::optional<std::int32_t> distance_of(const Insn& insn, const Scalar& by, const Scalar& number) {
    const std::uint8_t operation = op::operation(insn.code);
    if ((operation != op::kAdd && operation != op::kSub) || !by.is_const()) {
        return std::nullopt;
    }
    auto value = static_cast<std::int64_t>(by.bits.value);
    if (!is_wide(insn)) {
        if (number.wide.umax > std::numeric_limits<std::uint32_t>::max()) {
            return std::nullopt;
        }
        value = static_cast<std::int32_t>(value);
    }
    const bool fits = fits_off(value) && (operation == op::kAdd || value != kS32Min);
    if (!fits) {
        return std::nullopt;
    }
    return static_cast<std::int32_t>(operation == op::kAdd ? value : -value);
}

}  // namespace

void Machine::give_id(Reg& reg) {
    if (!reg.is_scalar() || reg.s.is_const()) {
        return;
    }
    if (reg.linked_sum) {
        // A copy of "id + constant" starts its own family.
        reg.linked_sum = false;
        reg.narrow_sum = false;
        reg.off = 0;
        reg.id = 0;
    }
    if (reg.id == 0) {
        reg.id = ++ids_;
    }
}

void Machine::move_sign_extended(const Insn& insn, Reg& src, Reg& dst) {
    const auto bytes = static_cast<std::uint32_t>(insn.off) / 8;
    if (!src.is_scalar()) {
        dst = Reg::scalar(is_wide(insn) ? Scalar::unknown() : Scalar::unknown_bytes(4));
        return;
    }
    const bool same_number = src.s.fits_positive(bytes);
    if (same_number) {
        give_id(src);
    }
    dst = src;
    if (!same_number) {
        dst.id = 0;
        dst.linked_sum = false;
        dst.narrow_sum = false;
        dst.off = 0;
    }
    if (is_wide(insn)) {
        dst.s.sign_extend(bytes);
    } else {
        dst.s.truncate(4);
        dst.s.sign_extend(bytes);
        dst.s.truncate(4);
    }
}

void Machine::do_move(const Insn& insn) {
    Reg& dst = cur_.regs[insn.dst];
    if (!op::is_reg_source(insn.code)) {
        dst = Reg::scalar(is_wide(insn) ? immediate(insn)
                                        : Scalar::constant(static_cast<std::uint32_t>(insn.imm)));
        return;
    }
    Reg& src = cur_.regs[insn.src];
    if (insn.off != 0) {
        move_sign_extended(insn, src, dst);
        return;
    }
    if (is_wide(insn)) {
        give_id(src);
        dst = src;
        return;
    }
    if (!src.is_scalar()) {
        dst = Reg::scalar(Scalar::unknown_bytes(4));
        return;
    }
    const bool same_number = src.s.wide.umax <= std::numeric_limits<std::uint32_t>::max();
    if (same_number) {
        give_id(src);
    }
    dst = src;
    if (!same_number) {
        dst.id = 0;
        dst.linked_sum = false;
        dst.narrow_sum = false;
        dst.off = 0;
    }
    dst.s.truncate(4);
}

Status Machine::check_sane_offset(const Reg& reg, RegType type) const {
    const char* name = type_name(type);
    if (reg.s.is_const()) {
        const auto v = static_cast<std::int64_t>(reg.s.bits.value);
        if (v >= kMaxVarOff || v <= -kMaxVarOff) {
            return fail(EINVAL, "math between {} pointer and {} is not allowed", name, v);
        }
    }
    if (reg.is_pointer() && (reg.off >= kMaxVarOff || reg.off <= -kMaxVarOff)) {
        return fail(EINVAL, "{} pointer offset {} is not allowed", name, reg.off);
    }
    const std::int64_t smin = reg.s.wide.smin;
    if (smin == std::numeric_limits<std::int64_t>::min()) {
        return fail(EINVAL,
                    "math between {} pointer and register with unbounded min value is not allowed",
                    name);
    }
    if (smin >= kMaxVarOff || smin <= -kMaxVarOff) {
        return fail(EINVAL, "value {} makes {} pointer be out of bounds", smin, name);
    }
    return {};
}

/// `ptr` after `offset` was added or subtracted; both were judged sane.
Reg Machine::moved_pointer(const Reg& ptr, const Reg& offset, bool adds) {
    Reg result = ptr;
    const std::int64_t known = offset.s.wide.smin;
    const std::int64_t moved = adds ? ptr.off + known : ptr.off - known;
    // Past data_end stays past it only when the pointer moves up.
    if (result.range < 0 && (adds ? known < 0 : offset.s.wide.smax > 0)) {
        result.range = 0;
    }
    if (offset.s.is_const() && fits_off(moved)) {
        result.off = static_cast<std::int32_t>(moved);
    } else {
        // The kernel keeps no 32-bit ranges of pointers; neither do we rely on them.
        result.s = alu(adds ? op::kAdd : op::kSub, true, ptr.s, offset.s);
        if (ptr.is_packet()) {
            result.id = ++ids_;
            if (adds || known < 0) {
                result.range = 0;
            }
        }
    }
    return result;
}

Status Machine::do_pointer_math(const Insn& insn, const Reg& ptr, const Reg& offset) {
    const std::uint8_t operation = op::operation(insn.code);
    Reg& dst = cur_.regs[insn.dst];
    if (!is_wide(insn)) {
        if (operation == op::kSub) {
            dst = Reg::scalar(Scalar::unknown());
            return {};
        }
        return fail(EACCES, "R{} 32-bit pointer arithmetic prohibited", unsigned{insn.dst});
    }
    if (ptr.or_null) {
        return fail(EACCES, "R{} pointer arithmetic on {} prohibited, null-check it first",
                    unsigned{insn.dst}, type_name(ptr));
    }
    const bool adds_zero =
        ptr.type == RegType::map_ptr && operation == op::kAdd && offset.s.is_const(0);
    if (!may_move(ptr.type) && !adds_zero) {
        return fail(EACCES, "R{} pointer arithmetic on {} prohibited", unsigned{insn.dst},
                    type_name(ptr.type));
    }
    if (auto sane = check_sane_offset(offset, ptr.type); !sane) {
        return sane;
    }
    if (auto sane = check_sane_offset(ptr, ptr.type); !sane) {
        return sane;
    }
    if (operation == op::kAnd || operation == op::kOr || operation == op::kXor) {
        return fail(EACCES, "R{} bitwise operator {} on pointer prohibited", unsigned{insn.dst},
                    alu_operator(insn.code));
    }
    if (operation != op::kAdd && operation != op::kSub) {
        return fail(EACCES, "R{} pointer arithmetic with {} operator prohibited",
                    unsigned{insn.dst}, alu_operator(insn.code));
    }
    const bool adds = operation == op::kAdd;
    if (!adds && cur_.regs[insn.dst].is_scalar()) {
        return fail(EACCES, "R{} tried to subtract pointer from scalar", unsigned{insn.dst});
    }
    if (!adds && ptr.type == RegType::stack) {
        return fail(EACCES, "R{} subtraction from stack pointer prohibited", unsigned{insn.dst});
    }
    const Reg result = moved_pointer(ptr, offset, adds);
    if (auto sane = check_sane_offset(result, ptr.type); !sane) {
        return sane;
    }
    dst = result;
    return {};
}

Status Machine::do_arithmetic(const Insn& insn) {
    const bool by_reg = op::is_reg_source(insn.code);
    const std::uint8_t operation = op::operation(insn.code);
    Reg& dst = cur_.regs[insn.dst];
    const Reg src = by_reg ? cur_.regs[insn.src] : Reg::scalar(immediate(insn));
    if (dst.is_pointer() && src.is_pointer()) {
        if (operation != op::kSub) {
            return fail(EACCES, "R{} pointer {} pointer prohibited", unsigned{insn.dst},
                        alu_operator(insn.code));
        }
        dst = Reg::scalar(Scalar::unknown());
        return {};
    }
    if (dst.is_pointer()) {
        if (by_reg) {
            mark_reg_precise(insn.src);
        }
        return do_pointer_math(insn, Reg(dst), src);
    }
    if (src.is_pointer()) {
        mark_reg_precise(insn.dst);
        return do_pointer_math(insn, src, Reg(dst));
    }
    const auto distance = dst.id != 0 && !dst.linked_sum && !(by_reg && insn.src == insn.dst)
                              ? distance_of(insn, src.s, dst.s)
                              : std::nullopt;
    dst.s = alu(operation, is_wide(insn), dst.s, src.s);
    dst.linked_sum = distance.has_value();
    dst.narrow_sum = distance && !is_wide(insn);
    dst.off = distance.value_or(0);
    if (!distance) {
        dst.id = 0;
    }
    return {};
}

Status Machine::do_alu(const Insn& insn) {
    Reg& dst = cur_.regs[insn.dst];
    switch (op::operation(insn.code)) {
        case op::kMov:
            do_move(insn);
            return {};
        case op::kEnd:
            dst = Reg::scalar(
                dst.is_scalar()
                    ? byte_swap(dst.s, insn.imm, is_wide(insn) || op::is_reg_source(insn.code))
                    : Scalar::unknown());
            return {};
        case op::kNeg:
            dst = Reg::scalar(dst.is_scalar() ? alu(op::kNeg, is_wide(insn), dst.s, dst.s)
                                              : Scalar::unknown());
            return {};
        default:
            return do_arithmetic(insn);
    }
}

Status Machine::do_ld_function(const Insn& insn) {
    const std::uint32_t function =
        function_of(functions_, static_cast<std::uint32_t>(*function_target(insn, insn_)));
    if (functions_[function].btf_type == 0) {
        return fail(EINVAL, "missing btf func_info");
    }
    if (is_global(function)) {
        return fail(EINVAL, "callback function not static");
    }
    proof_.insns[insn_].function = static_cast<std::int32_t>(function);
    cur_.regs[insn.dst] = Reg::pointer(RegType::function);
    cur_.regs[insn.dst].function = function;
    return {};
}

/// Addresses inside of a map's value are judged wherever they stand, also in code that is not
/// reached.
Status Machine::check_direct_value(std::uint32_t at) const {
    const Insn& insn = program_.insns[at];
    const maps::MapSpec& spec = program_.maps[static_cast<std::size_t>(insn.imm)]->spec();
    const auto off = static_cast<std::uint32_t>(program_.insns[at + 1].imm);
    if (off >= kMaxVarOff) {
        return fail(EINVAL, "direct value offset of {} is not allowed", off);
    }
    if (spec.type != maps::MapType::array || spec.max_entries != 1) {
        return fail(EINVAL,
                    "no direct value access support for this map type (map {} of type {} with {} "
                    "entries)",
                    spec.name, static_cast<unsigned>(spec.type), spec.max_entries);
    }
    if (off >= spec.value_size) {
        return fail(EINVAL, "invalid access to map value pointer, value_size={} off={}",
                    spec.value_size, off);
    }
    return {};
}

Status Machine::check_direct_values() const {
    for (std::uint32_t at = 0; at < program_.insns.size(); ++at) {
        const Insn& insn = program_.insns[at];
        if (insn.code != op::kLdImm64) {
            continue;
        }
        if (insn.src == op::kPseudoMapValue) {
            if (auto ok = check_direct_value(at); !ok) {
                return tl::unexpected<Error>(located(ok.error().code, at, ok.error().message));
            }
        }
        ++at;
    }
    return {};
}

Status Machine::do_ld_imm64(const Insn& insn) {
    const std::int32_t upper = program_.insns[insn_ + 1].imm;
    Reg& dst = cur_.regs[insn.dst];
    switch (insn.src) {
        case 0:
            dst = Reg::scalar(
                Scalar::constant((std::uint64_t{static_cast<std::uint32_t>(upper)} << 32) |
                                 static_cast<std::uint32_t>(insn.imm)));
            return {};
        case op::kPseudoMap:
            dst = Reg::pointer(RegType::map_ptr);
            dst.map = static_cast<std::uint32_t>(insn.imm);
            return {};
        case op::kPseudoMapValue: {
            const auto off = static_cast<std::uint32_t>(upper);
            dst = Reg::pointer(RegType::map_value);
            dst.map = static_cast<std::uint32_t>(insn.imm);
            dst.off = static_cast<std::int32_t>(off);
            return {};
        }
        case op::kPseudoFunc:
            return do_ld_function(insn);
        case op::kPseudoBtfId:
            // A function that may be missing is compared with null before it is called.
            if (upper == 0 && kfuncs::find(insn.imm) != nullptr) {
                dst = Reg::pointer(RegType::memory);
                dst.read_only = true;
                return {};
            }
            return fail(ENOTSUP, "address of a kernel variable (ksym) is not served yet");
        default:
            return fail(EINVAL, "unrecognized bpf_ld_imm64 insn");
    }
}

}  // namespace crema::ebpf::verifier
