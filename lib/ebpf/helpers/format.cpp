// SPDX-License-Identifier: BSD-3-Clause
//
// See format.h. write() takes from the gathered bytes what put() left there, in the same order.
#include "lib/ebpf/helpers/format.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/ebpf/helpers/checked_read.h"
#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

namespace {

using Kind = Conversion::Kind;

constexpr int kPointerDigits = 16;

/// Text that may end anywhere: counts what does not fit.
class Sink {
  public:
    explicit Sink(std::span<char> text) : text_(text) {}

    void add(char c) {
        if (length_ < text_.size()) {
            text_[length_] = c;
        }
        ++length_;
    }

    void add(std::string_view text) {
        for (const char c : text) {
            add(c);
        }
    }

    void fill(char c, std::size_t count) {
        const std::size_t begin = std::min(length_, text_.size());
        std::memset(text_.data() + begin, c, std::min(count, text_.size() - begin));
        length_ += count;
    }

    /// Ends the text with NUL; the length of all of it.
    std::size_t end() {
        if (!text_.empty()) {
            text_[std::min(length_, text_.size() - 1)] = '\0';
        }
        return length_;
    }

  private:
    std::span<char> text_;
    std::size_t length_ = 0;
};

std::size_t padding(int width, std::size_t length) {
    const auto wanted = static_cast<std::size_t>(std::max(width, 0));
    return wanted > length ? wanted - length : 0;
}

/// Digits of a number, least significant last.
class Digits {
  public:
    Digits(std::uint64_t value, unsigned base, bool upper) {
        const char* const symbols = upper ? "0123456789ABCDEF" : "0123456789abcdef";
        do {
            digits_[--first_] = symbols[value % base];
            value /= base;
        } while (value != 0);
    }

    [[nodiscard]] std::string_view text() const {
        return {digits_.data() + first_, digits_.size() - first_};
    }

  private:
    std::array<char, 20> digits_{};  // of 2^64 in base 10
    std::size_t first_ = digits_.size();
};

void add_number(Sink& sink, const Conversion& format, std::string_view sign, const Digits& digits) {
    const std::size_t length = sign.size() + digits.text().size();
    const std::size_t pad = padding(format.width, length);
    const bool zeros = format.zero && !format.left;
    if (!format.left && !zeros) {
        sink.fill(' ', pad);
    }
    sink.add(sign);
    if (zeros) {
        sink.fill('0', pad);
    }
    sink.add(digits.text());
    if (format.left) {
        sink.fill(' ', pad);
    }
}

void add_signed(Sink& sink, const Conversion& format, std::int64_t value) {
    const std::string_view sign = value < 0 ? "-" : format.plus ? "+" : format.space ? " " : "";
    const auto magnitude = static_cast<std::uint64_t>(value);
    add_number(sink, format, sign, Digits(value < 0 ? 0 - magnitude : magnitude, 10, false));
}

void add_padded(Sink& sink, const Conversion& format, std::string_view text) {
    const std::size_t pad = padding(format.width, text.size());
    if (!format.left) {
        sink.fill(' ', pad);
    }
    sink.add(text);
    if (format.left) {
        sink.fill(' ', pad);
    }
}

void add_pointer(Sink& sink, Conversion format, std::uint64_t value) {
    if (format.width < 0) {
        format.width = kPointerDigits;
        format.zero = true;
    }
    add_number(sink, format, "", Digits(value, 16, false));
}

/// The name of a symbol that is not known.
void add_symbol(Sink& sink, std::uint64_t address) {
    sink.add("0x");
    sink.add(Digits(address, 16, false).text());
}

void add_ipv4(Sink& sink, const std::uint8_t* ip, bool leading_zeros) {
    Conversion octet;
    octet.width = leading_zeros ? 3 : -1;
    octet.zero = true;
    for (int i = 0; i < 4; ++i) {
        if (i != 0) {
            sink.add('.');
        }
        add_number(sink, octet, "", Digits(ip[i], 10, false));
    }
}

void add_ipv6(Sink& sink, const std::uint8_t* ip, bool colons) {
    Conversion octet;
    octet.width = 2;
    octet.zero = true;
    for (int i = 0; i < 16; ++i) {
        if (colons && i != 0 && i % 2 == 0) {
            sink.add(':');
        }
        add_number(sink, octet, "", Digits(ip[i], 16, false));
    }
}

/// Reads what put() left. A format may lie in memory that changes between the two: behind the end
/// there are zeros.
class Source {
  public:
    explicit Source(std::string_view bytes) : bytes_(bytes) {}

    std::uint64_t number(std::size_t bytes) {
        at_ = (at_ + 3) / 4 * 4;
        std::uint64_t value = 0;
        if (const std::string_view found = take(bytes); found.size() == bytes) {
            std::memcpy(&value, found.data(), bytes);
        }
        return value;
    }

    char character() {
        const std::string_view found = take(1);
        return found.empty() ? '\0' : found.front();
    }

    std::string_view text() {
        const std::size_t begin = std::min(at_, bytes_.size());
        const std::size_t nul = std::min(bytes_.find('\0', begin), bytes_.size());
        at_ = nul + 1;
        return bytes_.substr(begin, nul - begin);
    }

  private:
    std::string_view take(std::size_t bytes) {
        const std::string_view found = bytes_.substr(std::min(at_, bytes_.size()), bytes);
        at_ += bytes;
        return found;
    }

    std::string_view bytes_;
    std::size_t at_ = 0;
};

void add_conversion(Sink& sink, const Conversion& format, Source& source) {
    switch (format.kind) {
        case Kind::number_signed: {
            const std::uint64_t value = source.number(format.bytes);
            add_signed(sink, format,
                       format.bytes == 8 ? static_cast<std::int64_t>(value)
                                         : static_cast<std::int32_t>(value));
            return;
        }
        case Kind::number_unsigned:
            add_number(sink, format, "", Digits(source.number(format.bytes), 10, false));
            return;
        case Kind::hex_lower:
        case Kind::hex_upper:
            add_number(sink, format, "",
                       Digits(source.number(format.bytes), 16, format.kind == Kind::hex_upper));
            return;
        case Kind::character: {
            const char c = source.character();
            add_padded(sink, format, std::string_view(&c, 1));
            return;
        }
        case Kind::string:
        case Kind::user_string:
            add_padded(sink, format, source.text());
            return;
        case Kind::ip:
        case Kind::symbol_text:
            sink.add(source.text());  // gathered as text: flags and width say nothing
            return;
        case Kind::symbol: {
            std::array<char, 24> name{};
            Sink text(name);
            add_symbol(text, source.number(format.bytes));
            add_padded(sink, format, std::string_view(name.data(), text.end()));
            return;
        }
        case Kind::pointer_hashed: {
            const std::uint64_t address = source.number(format.bytes);
            add_pointer(sink, format, address == 0 ? 0 : hash_of_pointer(address));
            return;
        }
        case Kind::pointer_hex:
            add_pointer(sink, format, source.number(format.bytes));
            return;
    }
}

}  // namespace

std::int64_t Formatter::put_number(std::uint64_t value, std::size_t bytes) {
    used_ = (used_ + 3) / 4 * 4;
    if (room() < bytes) {
        return -ENOSPC;
    }
    std::memcpy(bytes_.data() + used_, &value, bytes);
    used_ += bytes;
    return 0;
}

std::int64_t Formatter::put_text(std::string_view text) {
    if (room() == 0) {
        return -ENOSPC;
    }
    const std::size_t length = std::min(text.size(), room() - 1);
    std::memcpy(bytes_.data() + used_, text.data(), length);
    bytes_[used_ + length] = '\0';
    used_ += length + 1;
    return 0;
}

// A string that cannot be read is empty.
std::int64_t Formatter::put_string(std::uint64_t address) {
    if (room() == 0) {
        return -ENOSPC;
    }
    const std::int64_t length = checked_read_string(bytes_.data() + used_, address, room());
    if (length < 0) {
        return put_text("");
    }
    used_ += static_cast<std::size_t>(length);
    return 0;
}

std::int64_t Formatter::put(const Conversion& conversion, std::uint64_t value) {
    std::array<char, 48> text{};
    Sink sink(text);
    switch (conversion.kind) {
        case Kind::character: {
            if (room() == 0) {
                return -ENOSPC;
            }
            bytes_[used_++] = static_cast<char>(value);
            return 0;
        }
        case Kind::string:
            return put_string(value);
        case Kind::user_string:
            return put_text("");  // there is no user space to read from
        case Kind::symbol_text:
            add_symbol(sink, value);
            return put_text({text.data(), sink.end()});
        case Kind::ip: {
            const bool is_v4 = conversion.ip_family == '4';
            std::array<std::uint8_t, 16> ip{};
            if (room() < (is_v4 ? 4 : ip.size())) {
                return -ENOSPC;
            }
            if (checked_read(ip.data(), value, is_v4 ? 4 : ip.size()) != 0) {
                ip.fill(0);
            }
            if (is_v4) {
                add_ipv4(sink, ip.data(), conversion.ip_style == 'i');
            } else {
                add_ipv6(sink, ip.data(), conversion.ip_style == 'I');
            }
            return put_text({text.data(), sink.end()});
        }
        default:
            return put_number(value, conversion.bytes);
    }
}

std::int64_t Formatter::gather(std::span<const char> format, std::span<const std::uint64_t> args) {
    const auto* const nul = static_cast<const char*>(
        format.empty() ? nullptr : std::memchr(format.data(), '\0', format.size()));
    if (nul == nullptr) {
        return -EINVAL;
    }
    format_ = {format.data(), static_cast<std::size_t>(nul - format.data())};
    used_ = 0;
    std::size_t next_arg = 0;
    for (std::size_t at = 0; at < format_.size();) {
        const char c = format_[at++];
        if (!is_format_text(c)) {
            return -EINVAL;
        }
        if (c != '%') {
            continue;
        }
        if (at < format_.size() && format_[at] == '%') {
            ++at;
            continue;
        }
        const auto conversion = parse_conversion(format_, at);
        if (next_arg == args.size() || !conversion) {
            return -EINVAL;
        }
        if (const std::int64_t error = put(*conversion, args[next_arg++]); error != 0) {
            return error;
        }
        at = conversion->end;
    }
    return 0;
}

std::size_t Formatter::write(std::span<char> text) const {
    Sink sink(text);
    Source source({bytes_.data(), used_});
    for (std::size_t at = 0; at < format_.size();) {
        const char c = format_[at++];
        if (c != '%') {
            sink.add(c);
        } else if (at < format_.size() && format_[at] == '%') {
            sink.add('%');
            ++at;
        } else if (const auto conversion = parse_conversion(format_, at)) {
            add_conversion(sink, *conversion, source);
            at = conversion->end;
        }
    }
    return sink.end();
}

}  // namespace crema::ebpf::helpers
