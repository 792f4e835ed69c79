// SPDX-License-Identifier: BSD-3-Clause
//
// One conversion of the kernel's format language ("%-08llx", "%pI4"), as data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace crema::ebpf::helpers {

struct Conversion {
    enum class Kind : std::uint8_t {
        number_signed,
        number_unsigned,
        hex_lower,
        hex_upper,
        character,
        string,
        user_string,
        ip,
        symbol_text,  // a symbol's name, looked up when arguments are gathered
        symbol,       // looked up when the text is written
        pointer_hashed,
        pointer_hex,
    };
    Kind kind = Kind::number_signed;
    bool left = false;      // flag '-'
    bool plus = false;      // flag '+'
    bool space = false;     // flag ' '
    bool zero = false;      // flag '0'
    int width = -1;         // -1: none
    std::size_t bytes = 4;  // of a number or pointer
    char ip_style = 'I';
    char ip_family = '4';
    std::size_t end = 0;  // where the format goes on
};

/// The conversion that begins behind the '%' at format[at - 1]. Nothing: programs may not use it.
[[nodiscard]] std::optional<Conversion> parse_conversion(std::string_view format, std::size_t at);

/// May stand in a format outside of conversions: what prints, spaces, and all that is not ASCII.
[[nodiscard]] bool is_format_text(char c);

}  // namespace crema::ebpf::helpers
