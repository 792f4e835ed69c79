// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_strncmp, bpf_strtol and bpf_strtoul. The verifier has proved the memory that is read.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::size_t kNumberBytesMax = 63;  // the kernel looks at no more

struct Number {
    std::int64_t consumed = 0;  // or a negative errno
    std::uint64_t magnitude = 0;
    bool is_negative = false;
};

bool is_space(char c) {
    // The kernel's tables are Latin-1: a no-break space is space.
    return c == ' ' || (c >= '\t' && c <= '\r') || static_cast<unsigned char>(c) == 0xa0;
}

/// The digit's value; 16 or more: none of base 16 or less.
unsigned digit_of(char c) {
    if (c >= '0' && c <= '9') {
        return static_cast<unsigned>(c - '0');
    }
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? static_cast<unsigned>(lower - 'a') + 10 : 16;
}

Number error_of(int error) {
    return {.consumed = -error, .magnitude = 0, .is_negative = false};
}

Number parse(std::uint64_t text, std::uint64_t bytes, std::uint64_t flags) {
    if (flags != 0 && flags != 8 && flags != 10 && flags != 16) {
        return error_of(EINVAL);
    }
    const auto* const begin = reinterpret_cast<const char*>(memory_at(text));
    const char* const end = begin + static_cast<std::uint32_t>(bytes);
    const char* at = std::find_if_not(begin, end, is_space);
    Number number;
    if (at < end && *at == '-') {
        number.is_negative = true;
        ++at;
    }
    const char* const stop =
        at + std::min<std::size_t>(static_cast<std::size_t>(end - at), kNumberBytesMax);
    const auto char_at = [&](std::size_t i) { return at + i < stop ? at[i] : '\0'; };
    const bool has_hex_mark = char_at(0) == '0' && (char_at(1) | 0x20) == 'x';
    unsigned base = static_cast<unsigned>(flags);
    if (base == 0) {
        base = char_at(0) != '0' ? 10 : has_hex_mark && digit_of(char_at(2)) < 16 ? 16 : 8;
    }
    if (base == 16 && has_hex_mark) {
        at += 2;
    }
    const char* const digits = at;
    bool is_too_big = false;
    for (; at < stop && digit_of(*at) < base; ++at) {
        std::uint64_t product = 0;
        is_too_big |= __builtin_mul_overflow(number.magnitude, std::uint64_t{base}, &product);
        is_too_big |=
            __builtin_add_overflow(product, std::uint64_t{digit_of(*at)}, &number.magnitude);
    }
    if (is_too_big) {
        return error_of(ERANGE);
    }
    if (at == digits) {
        return error_of(EINVAL);
    }
    number.consumed = at - begin;
    return number;
}

void store_result(std::uint64_t r4, std::uint64_t value) {
    std::memcpy(memory_at(r4), &value, sizeof value);
}

}  // namespace

// r1 text, r2 its size, r3 constant text that ends with NUL. Result: -1, 0 or 1.
std::uint64_t strncmp(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    const int order =
        std::strncmp(reinterpret_cast<const char*>(memory_at(r1)),
                     reinterpret_cast<const char*>(memory_at(r3)), static_cast<std::uint32_t>(r2));
    return static_cast<std::uint64_t>(std::int64_t{(order > 0) - (order < 0)});
}

// r1 text, r2 its size, r3 base, r4 where the number goes (zero on error). Result: bytes consumed.
std::uint64_t strtol(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    store_result(r4, 0);
    const Number number = parse(r1, r2, r3);
    if (number.consumed < 0) {
        return static_cast<std::uint64_t>(number.consumed);
    }
    const std::uint64_t limit = std::uint64_t{INT64_MAX} + (number.is_negative ? 1 : 0);
    if (number.magnitude > limit) {
        return error_result(ERANGE);
    }
    store_result(r4, number.is_negative ? 0 - number.magnitude : number.magnitude);
    return static_cast<std::uint64_t>(number.consumed);
}

std::uint64_t strtoul(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    store_result(r4, 0);
    const Number number = parse(r1, r2, r3);
    if (number.consumed < 0) {
        return static_cast<std::uint64_t>(number.consumed);
    }
    if (number.is_negative) {
        return error_result(EINVAL);
    }
    store_result(r4, number.magnitude);
    return static_cast<std::uint64_t>(number.consumed);
}

}  // namespace crema::ebpf::helpers
