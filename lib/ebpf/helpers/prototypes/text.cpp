// SPDX-License-Identifier: BSD-3-Clause
//
// Text: printing, formatting, comparing, numbers.
#include <array>

#include "lib/ebpf/helpers/prototypes/families.h"

namespace crema::ebpf::helpers::prototypes {

namespace {

constexpr Arg kResult{.kind = ArgKind::memory, .use = Use::write, .aligned = true, .bytes = 8};

constexpr std::array kRows = {
    // trace_printk(format, size, ...): what the format does not ask for is not looked at
    Prototype{.id = 6,
              .args = {kIn, kSize, kUnchecked, kUnchecked, kUnchecked},
              .gpl_only = true,
              .native = trace_printk},
    // strtol(text, size, flags, result), strtoul
    Prototype{.id = 105, .args = {kIn, kSize, kAny, kResult}, .native = strtol},
    Prototype{.id = 106, .args = {kIn, kSize, kAny, kResult}, .native = strtoul},
    // snprintf_btf(to, size, btf_ptr, btf_ptr_size, flags)
    Prototype{.id = 149, .args = {kInOut, kSize, kIn, kSize, kAny}},
    // snprintf(to, size, format, data, data_size)
    Prototype{.id = 165,
              .args = {Arg{.kind = ArgKind::memory, .use = Use::update, .nullable = true},
                       kSizeOrZero, kConstString, kInOrNull, kSizeOrZero},
              .gpl_only = true,
              .native = snprintf},
    // trace_vprintk(format, size, data, data_size)
    Prototype{.id = 177,
              .args = {kIn, kSize, kInOrNull, kSizeOrZero},
              .gpl_only = true,
              .native = trace_vprintk},
    // strncmp(text, size, constant)
    Prototype{.id = 182, .args = {kIn, kSize, kConstString}, .native = strncmp},
};

}  // namespace

std::span<const Prototype> text() {
    return kRows;
}

}  // namespace crema::ebpf::helpers::prototypes
