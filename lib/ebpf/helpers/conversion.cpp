// SPDX-License-Identifier: BSD-3-Clause
//
// See conversion.h.
#include "lib/ebpf/helpers/conversion.h"

#include <algorithm>

namespace crema::ebpf::helpers {

namespace {

using Kind = Conversion::Kind;

constexpr int kWidthMax = (1 << 23) - 1;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// The kernel's character classes: Latin-1, whatever the locale.

unsigned code_of(char c) {
    return static_cast<unsigned char>(c);
}

bool is_alnum(char c) {
    constexpr unsigned kFirstLetter = 0xc0, kTimes = 0xd7, kDivision = 0xf7;
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (code_of(c) >= kFirstLetter && code_of(c) != kTimes && code_of(c) != kDivision);
}

bool is_space_or_punct(char c) {
    constexpr unsigned kFirst = 0xa0;
    return (c >= '\t' && c <= '\r') || (c >= ' ' && c <= '~' && !is_alnum(c)) ||
           (code_of(c) >= kFirst && !is_alnum(c));
}

/// Reads along a format; behind its end there are NULs.
class Cursor {
  public:
    Cursor(std::string_view format, std::size_t at) : format_(format), at_(at) {}

    [[nodiscard]] char peek(std::size_t ahead = 0) const {
        return at_ + ahead < format_.size() ? format_[at_ + ahead] : '\0';
    }

    void skip(std::size_t characters) { at_ += characters; }

    [[nodiscard]] std::size_t at() const { return at_; }

    /// A string's conversion must be followed by something else than a word.
    [[nodiscard]] bool ends_word(std::size_t ahead) const {
        return peek(ahead) == '\0' || is_space_or_punct(peek(ahead));
    }

  private:
    std::string_view format_;
    std::size_t at_;
};

void parse_flags(Cursor& cursor, Conversion& conversion) {
    for (;; cursor.skip(1)) {
        switch (cursor.peek()) {
            case '0':
                conversion.zero = true;
                break;
            case '+':
                conversion.plus = true;
                break;
            case '-':
                conversion.left = true;
                break;
            case ' ':
                conversion.space = true;
                break;
            default:
                return;
        }
    }
}

void parse_width(Cursor& cursor, Conversion& conversion) {
    if (!is_digit(cursor.peek())) {
        return;
    }
    conversion.width = 0;
    for (; is_digit(cursor.peek()); cursor.skip(1)) {
        conversion.width = std::min(conversion.width * 10 + (cursor.peek() - '0'), kWidthMax);
    }
}

/// cursor: at the 'p'.
bool parse_pointer(Cursor& cursor, Conversion& conversion) {
    const char form = cursor.peek(1);
    conversion.bytes = 8;
    if (cursor.ends_word(1)) {
        conversion.kind = Kind::pointer_hashed;
        cursor.skip(1);
        return true;
    }
    if ((form == 'k' || form == 'u') && cursor.peek(2) == 's') {
        conversion.kind = form == 'k' ? Kind::string : Kind::user_string;
        conversion.left = false;  // as of all texts behind a 'p': printed as they are
        conversion.width = -1;
        cursor.skip(3);
        return cursor.ends_word(0);
    }
    switch (form) {
        case 'K':
            conversion.kind = Kind::pointer_hashed;
            break;
        case 'x':
            conversion.kind = Kind::pointer_hex;
            break;
        case 's':
        case 'S':
            conversion.kind = Kind::symbol;
            break;
        case 'B':
            conversion.kind = Kind::symbol_text;
            break;
        case 'i':
        case 'I':
            conversion.kind = Kind::ip;
            conversion.ip_style = form;
            conversion.ip_family = cursor.peek(2);
            if (conversion.ip_family != '4' && conversion.ip_family != '6') {
                return false;
            }
            break;
        default:
            return false;
    }
    // Letters and digits behind a pointer's form belong to it and say nothing.
    do {
        cursor.skip(1);
    } while (is_alnum(cursor.peek()));
    return true;
}

bool parse_number(Cursor& cursor, Conversion& conversion) {
    for (int i = 0; i < 2 && cursor.peek() == 'l'; ++i) {
        conversion.bytes = 8;
        cursor.skip(1);
    }
    switch (cursor.peek()) {
        case 'd':
        case 'i':
            conversion.kind = Kind::number_signed;
            break;
        case 'u':
            conversion.kind = Kind::number_unsigned;
            break;
        case 'x':
            conversion.kind = Kind::hex_lower;
            break;
        case 'X':
            conversion.kind = Kind::hex_upper;
            break;
        default:
            return false;
    }
    cursor.skip(1);
    return true;
}

bool parse_kind(Cursor& cursor, Conversion& conversion) {
    switch (cursor.peek()) {
        case 'p':
            return parse_pointer(cursor, conversion);
        case 's':
            conversion.kind = Kind::string;
            cursor.skip(1);
            return cursor.ends_word(0);
        case 'c':
            conversion.kind = Kind::character;
            cursor.skip(1);
            return true;
        default:
            return parse_number(cursor, conversion);
    }
}

}  // namespace

bool is_format_text(char c) {
    constexpr unsigned kAsciiEnd = 0x80;
    return (c >= '\t' && c <= '\r') || (c >= ' ' && c <= '~') || code_of(c) >= kAsciiEnd;
}

std::optional<Conversion> parse_conversion(std::string_view format, std::size_t at) {
    Cursor cursor(format, at);
    Conversion conversion;
    parse_flags(cursor, conversion);
    parse_width(cursor, conversion);
    if (!parse_kind(cursor, conversion)) {
        return std::nullopt;
    }
    conversion.end = cursor.at();
    return conversion;
}

}  // namespace crema::ebpf::helpers
