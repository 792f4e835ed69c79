// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_trace_printk, bpf_trace_vprintk and bpf_snprintf.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "lib/ebpf/helpers/format.h"
#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/trace_ring.h"

namespace crema::ebpf::helpers {

namespace {

std::span<const char> text_at(std::uint64_t address, std::size_t bytes) {
    return {reinterpret_cast<const char*>(memory_at(address)), bytes};
}

/// Arguments in memory: an array of 64-bit words.
bool are_valid(std::uint64_t address, std::uint32_t bytes) {
    return bytes % 8 == 0 && bytes <= Formatter::kArgsMax * 8 && (bytes == 0 || address != 0);
}

// Verified memory of words is aligned as a program keeps it: perhaps not at all.
std::array<std::uint64_t, Formatter::kArgsMax> words_at(std::uint64_t address,
                                                        std::uint32_t bytes) {
    std::array<std::uint64_t, Formatter::kArgsMax> words{};
    if (bytes != 0) {
        std::memcpy(words.data(), memory_at(address), bytes);
    }
    return words;
}

std::uint64_t print(std::span<const char> format, std::span<const std::uint64_t> args) {
    Formatter formatter;
    if (const std::int64_t error = formatter.gather(format, args); error != 0) {
        return static_cast<std::uint64_t>(error);
    }
    std::array<char, kTraceTextMax + 1> text;
    const std::size_t length = formatter.write(text);
    trace({text.data(), std::min(length, kTraceTextMax)});
    return length;
}

}  // namespace

// r1 format, r2 its size, r3..r5 arguments. Result: length of the line.
std::uint64_t trace_printk(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    const std::array<std::uint64_t, 3> args = {r3, r4, r5};
    return print(text_at(r1, static_cast<std::uint32_t>(r2)), args);
}

// r1 format, r2 its size, r3 arguments in memory, r4 their size.
std::uint64_t trace_vprintk(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    const auto bytes = static_cast<std::uint32_t>(r4);
    if (!are_valid(r3, bytes)) {
        return error_result(EINVAL);
    }
    const auto words = words_at(r3, bytes);
    return print(text_at(r1, static_cast<std::uint32_t>(r2)), std::span(words).first(bytes / 8));
}

// r1 text, r2 its size, r3 constant format, r4 arguments in memory, r5 their size. Result: length
// of the whole text and its NUL.
std::uint64_t snprintf(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    const auto bytes = static_cast<std::uint32_t>(r5);
    if (!are_valid(r4, bytes)) {
        return error_result(EINVAL);
    }
    const auto words = words_at(r4, bytes);
    const auto* const format = reinterpret_cast<const char*>(memory_at(r3));
    Formatter formatter;
    // The verifier has found the format's NUL.
    const std::int64_t error =
        formatter.gather({format, std::strlen(format) + 1}, std::span(words).first(bytes / 8));
    if (error != 0) {
        return static_cast<std::uint64_t>(error);
    }
    auto* const text = reinterpret_cast<char*>(memory_at(r1));
    return formatter.write({text, static_cast<std::uint32_t>(r2)}) + 1;
}

}  // namespace crema::ebpf::helpers
