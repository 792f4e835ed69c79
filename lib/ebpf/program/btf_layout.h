// SPDX-License-Identifier: BSD-3-Clause
//
// How BTF lies in memory: fields of records, and which kinds carry what. For the two sources of
// class Btf. Source: the kernel's BTF documentation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/ebpf/program/btf.h"

namespace crema::ebpf::btf_layout {

inline constexpr std::uint32_t kHeadBytes = 12;
inline constexpr std::uint32_t kNoSize = ~std::uint32_t{0};
inline constexpr std::uint32_t kPointerBytes = 8;

// bits of the second word of a record
inline constexpr std::uint32_t kVlenMask = 0xffff, kKindShift = 24, kKindMask = 0x1f,
                               kKindFlag = 1U << 31, kReservedInfo = 0x60ff'0000;

[[nodiscard]] constexpr BtfType head(std::uint32_t name,
                                     std::uint32_t info,
                                     std::uint32_t size_or_type) {
    return {.kind = static_cast<BtfKind>(info >> kKindShift & kKindMask),
            .flag = (info & kKindFlag) != 0,
            .vlen = info & kVlenMask,
            .name = name,
            .size_or_type = size_or_type};
}

[[nodiscard]] constexpr bool is_modifier(BtfKind kind) {
    return kind == BtfKind::type_name || kind == BtfKind::is_volatile ||
           kind == BtfKind::is_const || kind == BtfKind::is_restrict || kind == BtfKind::type_tag;
}

/// Kinds whose third word is a type.
[[nodiscard]] constexpr bool refers(BtfKind kind) {
    return is_modifier(kind) || kind == BtfKind::pointer || kind == BtfKind::function ||
           kind == BtfKind::function_proto || kind == BtfKind::variable ||
           kind == BtfKind::decl_tag;
}

/// Words behind the head.
[[nodiscard]] constexpr std::uint32_t extra_words(const BtfType& type) {
    switch (type.kind) {
        case BtfKind::integer:
        case BtfKind::variable:
        case BtfKind::decl_tag:
            return 1;
        case BtfKind::array:
            return 3;
        case BtfKind::structure:
        case BtfKind::union_of:
        case BtfKind::data_section:
        case BtfKind::enumeration64:
            return type.vlen * 3;
        case BtfKind::enumeration:
        case BtfKind::function_proto:
            return type.vlen * 2;
        default:
            return 0;
    }
}

/// A member's position word: with the struct's flag, bits and size of a bit field.
[[nodiscard]] constexpr std::uint32_t bit_offset(const BtfType& parent, std::uint32_t position) {
    return parent.flag ? position & 0xff'ffff : position;
}

[[nodiscard]] constexpr std::uint32_t bit_size(const BtfType& parent, std::uint32_t position) {
    return parent.flag ? position >> 24 : 0;
}

// word behind the head of an integer: encoding << 24 | offset << 16 | bits
[[nodiscard]] constexpr std::uint32_t encoding(std::uint32_t word) {
    return word >> 24 & 0xf;
}

[[nodiscard]] constexpr std::uint32_t integer_offset(std::uint32_t word) {
    return word >> 16 & 0xff;
}

[[nodiscard]] constexpr std::uint32_t integer_bits(std::uint32_t word) {
    return word & 0xff;
}

}  // namespace crema::ebpf::btf_layout
