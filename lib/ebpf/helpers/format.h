// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's format language for programs (trace_printk, trace_vprintk, snprintf): conversions
// d i u x X with l and ll, c, s, %%, pointers p px pK pS ps pB pks pus, addresses pI4 pi4 pI6 pi6;
// flags "0", "+", "-", space and a width. Two steps, as there: arguments are gathered first, so an
// error in the last conversion leaves no text of the ones before it; strings are copied then.
//
// What cannot be known here: %p shows a hash of the address, other than the kernel's; a symbol is
// shown as its address, as the kernel does with one it does not know.
//
// No allocation; time is bounded by the format, the arguments and the size of the text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lib/ebpf/helpers/conversion.h"

namespace crema::ebpf::helpers {

class Formatter {
  public:
    static constexpr std::size_t kArgsMax = 12;

    /// format: up to its first NUL, which must be there. Returns 0, or -EINVAL: no NUL, a character
    /// that does not print, an unknown conversion, more conversions than arguments; -ENOSPC: the
    /// arguments and strings do not fit 512 bytes.
    [[nodiscard]] std::int64_t gather(std::span<const char> format,
                                      std::span<const std::uint64_t> args);

    /// Writes at most text.size() - 1 characters and a NUL. Returns how many characters the whole
    /// text has. After gather() returned 0.
    [[nodiscard]] std::size_t write(std::span<char> text) const;

  private:
    [[nodiscard]] std::int64_t put(const Conversion& conversion, std::uint64_t value);
    [[nodiscard]] std::int64_t put_number(std::uint64_t value, std::size_t bytes);
    /// Cut where the bytes end.
    [[nodiscard]] std::int64_t put_text(std::string_view text);
    [[nodiscard]] std::int64_t put_string(std::uint64_t address);

    [[nodiscard]] std::size_t room() const { return bytes_.size() - used_; }

    std::string_view format_;
    std::size_t used_ = 0;
    std::array<char, 512> bytes_;  // numbers at multiples of 4, texts with their NUL
};

}  // namespace crema::ebpf::helpers
