// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/lowering/straight_run.h"

#include <algorithm>
#include <bit>

namespace crema::ebpf::lowering {

namespace {

Byte constant_byte(std::uint64_t value) {
    return {.kind = Byte::Kind::constant, .value = static_cast<std::uint8_t>(value), .from = {}};
}

Bytes constant_bytes(std::uint64_t value) {
    Bytes bytes;
    for (std::size_t i = 0; i < bytes.size(); i++) {
        bytes[i] = constant_byte(value >> (8 * i));
    }
    return bytes;
}

Bytes sign_extended(std::int32_t value) {
    return constant_bytes(static_cast<std::uint64_t>(std::int64_t{value}));
}

bool is_constant(const Byte& byte) {
    return byte.kind == Byte::Kind::constant;
}

bool is_zero(const Byte& byte) {
    return is_constant(byte) && byte.value == 0;
}

Bytes entry_bytes(Reg reg) {
    Bytes bytes;
    for (std::size_t i = 0; i < bytes.size(); i++) {
        bytes[i] = {.kind = Byte::Kind::entry,
                    .value = static_cast<std::uint8_t>(i),
                    .from = {.root = reg, .offset = 0}};
    }
    return bytes;
}

/// An address that nobody moved is as good as its bytes.
std::optional<Bytes> bytes_of(const RunValue& value) {
    if (!value.is_address) {
        return value.bytes;
    }
    return value.address.offset == 0 ? std::optional(entry_bytes(value.address.root))
                                     : std::nullopt;
}

std::optional<Byte> joined(std::uint8_t operation, const Byte& a, const Byte& b) {
    const bool both_constant = is_constant(a) && is_constant(b);
    switch (operation) {
        case op::kAnd:
            if (is_zero(a) || is_zero(b)) {
                return Byte{};
            }
            if (is_constant(b) && b.value == UINT8_MAX) {
                return a;
            }
            if (is_constant(a) && a.value == UINT8_MAX) {
                return b;
            }
            return both_constant ? std::optional(constant_byte(a.value & b.value)) : std::nullopt;
        case op::kOr:
        case op::kXor:
            if (is_zero(b)) {
                return a;
            }
            if (is_zero(a)) {
                return b;
            }
            if (!both_constant) {
                return std::nullopt;
            }
            return constant_byte(operation == op::kOr ? a.value | b.value : a.value ^ b.value);
        default:
            return std::nullopt;
    }
}

std::optional<Bytes> joined(std::uint8_t operation, const Bytes& a, const Bytes& b) {
    Bytes result;
    for (std::size_t i = 0; i < result.size(); i++) {
        const auto byte = joined(operation, a[i], b[i]);
        if (!byte) {
            return std::nullopt;
        }
        result[i] = *byte;
    }
    return result;
}

/// Of the low `size` bytes; the rest becomes zero.
std::optional<Bytes> shifted(std::uint8_t operation,
                             const Bytes& from,
                             std::int32_t bits,
                             std::size_t size) {
    if (bits % 8 != 0 || (operation != op::kLsh && operation != op::kRsh)) {
        return std::nullopt;
    }
    const auto by = static_cast<std::size_t>(bits / 8);
    Bytes result{};
    for (std::size_t i = by; i < size; i++) {
        if (operation == op::kLsh) {
            result[i] = from[i - by];
        } else {
            result[i - by] = from[i];
        }
    }
    return result;
}

void zero_upper_half(Bytes& bytes) {
    std::fill(bytes.begin() + 4, bytes.end(), Byte{});
}

}  // namespace

StraightRun::StraightRun() {
    for (Reg reg = 0; reg <= kFrame; reg++) {
        regs_[reg] = {.is_address = true, .address = {.root = reg, .offset = 0}, .bytes = {}};
    }
}

bool StraightRun::step(const Insn& insn, std::int32_t second, const verifier::InsnFacts& facts) {
    const bool followed = follow(insn, second, facts);
    steps_ += followed ? 1 : 0;
    return followed;
}

bool StraightRun::follow(const Insn& insn, std::int32_t second, const verifier::InsnFacts& facts) {
    switch (op::insn_class(insn.code)) {
        case op::kLd:
            if (insn.src != 0) {
                return false;
            }
            set(insn.dst, constant_bytes(static_cast<std::uint64_t>(second) << 32U |
                                         static_cast<std::uint32_t>(insn.imm)));
            return true;
        case op::kLdx:
            return follow_load(insn, facts);
        case op::kSt:
        case op::kStx:
            return follow_store(insn, facts);
        case op::kAlu:
        case op::kAlu64:
            return follow_alu(insn);
        default:
            return false;
    }
}

void StraightRun::set(Reg reg, const Bytes& bytes) {
    RunValue& value = regs_[reg];
    const bool is_register = bytes[0].kind == Byte::Kind::entry && bytes[0].value == 0 &&
                             bytes == entry_bytes(bytes[0].from.root);
    value = {.is_address = is_register,
             .address = {.root = bytes[0].from.root, .offset = 0},
             .bytes = bytes};
    written_ |= reg_bit(reg);
    written_by_[reg] = steps_;
}

std::optional<Location> StraightRun::access(Reg base,
                                            const Insn& insn,
                                            const verifier::InsnFacts& facts,
                                            bool writes) {
    const RunValue& address = regs_[base];
    const bool known = op::mode(insn.code) == op::kMem &&
                       facts.access == verifier::Access::memory &&
                       (facts.regions == verifier::kPacket || facts.regions == verifier::kStack);
    if (!known || !address.is_address) {
        return std::nullopt;
    }
    const Location at{.root = address.address.root, .offset = address.address.offset + insn.off};
    Region& region = regions_[facts.regions == verifier::kPacket ? 0 : 1];
    Region then = region;
    (writes ? then.written : then.read) |= reg_bit(at.root);
    if (then.written != 0 && !std::has_single_bit(then.read | then.written)) {
        return std::nullopt;  // one of the two may be where the other is
    }
    region = then;
    accesses_++;
    return at;
}

bool StraightRun::follow_load(const Insn& insn, const verifier::InsnFacts& facts) {
    const auto at = access(insn.src, insn, facts, false);
    if (!at) {
        return false;
    }
    Bytes bytes{};
    const auto size = static_cast<std::int32_t>(op::access_bytes(insn.code));
    for (std::int32_t i = 0; i < size; i++) {
        const Location from{.root = at->root, .offset = at->offset + i};
        const auto stored = stores_.find(from);
        bytes[static_cast<std::size_t>(i)] =
            stored != stores_.end() ? stored->second.byte
                                    : Byte{.kind = Byte::Kind::memory, .value = 0, .from = from};
    }
    set(insn.dst, bytes);
    return true;
}

bool StraightRun::follow_store(const Insn& insn, const verifier::InsnFacts& facts) {
    const bool of_register = op::insn_class(insn.code) == op::kStx;
    const auto bytes =
        of_register ? bytes_of(regs_[insn.src]) : std::optional(sign_extended(insn.imm));
    if (!bytes) {
        return false;
    }
    // What a program stores on its stack are keys, above all. They are read again at once, each
    // part as wide as it was stored (plan.h): that must stay true.
    if (facts.regions != verifier::kPacket) {
        return false;
    }
    const auto at = access(insn.dst, insn, facts, true);
    if (!at) {
        return false;
    }
    const auto size = static_cast<std::int32_t>(op::access_bytes(insn.code));
    for (std::int32_t i = 0; i < size; i++) {
        stores_[{.root = at->root, .offset = at->offset + i}] = {
            .byte = (*bytes)[static_cast<std::size_t>(i)], .by = steps_};
    }
    return true;
}

/// Moves of addresses and by constants.
bool StraightRun::follow_address(const Insn& insn) {
    constexpr std::int64_t kOffsetMax = 1 << 24;
    const std::uint8_t operation = op::operation(insn.code);
    const bool by_register = op::is_reg_source(insn.code);
    RunValue value = regs_[operation == op::kMov ? insn.src : insn.dst];
    if (operation == op::kAdd && !by_register) {
        const std::int64_t offset = std::int64_t{value.address.offset} + insn.imm;
        if (offset > kOffsetMax || offset < -kOffsetMax) {
            return false;
        }
        value.address.offset = static_cast<std::int32_t>(offset);
    } else if (operation != op::kMov || !by_register) {
        return false;
    }
    regs_[insn.dst] = value;
    written_ |= reg_bit(insn.dst);
    written_by_[insn.dst] = steps_;
    return true;
}

bool StraightRun::follow_alu(const Insn& insn) {
    if (insn.off != 0) {
        return false;  // sign-extending moves, signed division
    }
    const bool is64 = op::insn_class(insn.code) == op::kAlu64;
    const std::uint8_t operation = op::operation(insn.code);
    const bool by_register = op::is_reg_source(insn.code);
    const bool moves = operation == op::kMov;
    if (is64 && regs_[moves && by_register ? insn.src : insn.dst].is_address &&
        ((moves && by_register) || operation == op::kAdd)) {
        return follow_address(insn);
    }
    const auto right =
        by_register ? bytes_of(regs_[insn.src]) : std::optional(sign_extended(insn.imm));
    const auto left = moves ? right : bytes_of(regs_[insn.dst]);
    if (!left || !right || operation == op::kEnd) {
        return false;
    }
    std::optional<Bytes> result = right;
    if (operation == op::kLsh || operation == op::kRsh) {
        result = by_register ? std::nullopt : shifted(operation, *left, insn.imm, is64 ? 8 : 4);
    } else if (!moves) {
        result = joined(operation, *left, *right);
    }
    if (!result) {
        return false;
    }
    if (!is64) {
        zero_upper_half(*result);
    }
    set(insn.dst, *result);
    return true;
}

}  // namespace crema::ebpf::lowering
