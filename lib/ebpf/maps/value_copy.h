// SPDX-License-Identifier: BSD-3-Clause
//
// Copies between a map's value memory, which programs on other threads read and write at the same
// time, and plain memory. Value memory is 8-byte aligned and padded, and moves in whole words: a
// field of 8 aligned bytes is never seen half new, as in the kernel.
//
// Special fields of the value (locks, timers) are no data: writes leave them alone, they read as 0,
// and a new element has zeros there.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

#include "lib/ebpf/maps/key_hash.h"
#include "lib/ebpf/program/special_fields.h"

namespace crema::ebpf::maps {

namespace detail {
inline std::atomic<std::uint64_t>& shared_word(std::uint8_t* at) {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(at);
}

inline std::atomic<std::uint32_t>& shared_half(std::uint8_t* at) {
    return *reinterpret_cast<std::atomic<std::uint32_t>*>(at);
}

inline const std::atomic<std::uint64_t>& shared_word(const std::uint8_t* at) {
    return *reinterpret_cast<const std::atomic<std::uint64_t>*>(at);
}
}  // namespace detail

/// Bytes that a value of that size takes in storage.
[[nodiscard]] constexpr std::uint32_t stored_bytes(std::uint32_t bytes) {
    return (bytes + 7U) & ~7U;
}

/// Writes `bytes` bytes of a value; padding behind them becomes zero.
inline void write_value(std::uint8_t* to, const void* from, std::uint32_t bytes) {
    const auto* in = static_cast<const std::uint8_t*>(from);
    std::uint32_t at = 0;
    for (; at + 8 <= bytes; at += 8) {
        // A program has just written them, often field by field.
        const std::uint64_t word = load_in_pieces<std::uint32_t>(in + at, 8);
        detail::shared_word(to + at).store(word, std::memory_order_relaxed);
    }
    if (at < bytes) {
        std::uint64_t word = 0;
        std::memcpy(&word, in + at, bytes - at);
        detail::shared_word(to + at).store(word, std::memory_order_relaxed);
    }
}

inline void zero_value(std::uint8_t* to, std::uint32_t bytes) {
    for (std::uint32_t at = 0; at < bytes; at += 8) {
        detail::shared_word(to + at).store(0, std::memory_order_relaxed);
    }
}

inline void read_value(void* to, const std::uint8_t* from, std::uint32_t bytes) {
    auto* out = static_cast<std::uint8_t*>(to);
    std::uint32_t at = 0;
    for (; at + 8 <= bytes; at += 8) {
        const std::uint64_t word = detail::shared_word(from + at).load(std::memory_order_relaxed);
        std::memcpy(out + at, &word, 8);
    }
    if (at < bytes) {
        const std::uint64_t word = detail::shared_word(from + at).load(std::memory_order_relaxed);
        std::memcpy(out + at, &word, bytes - at);
    }
}

/// The same for a value with special fields, all of them aligned to four bytes and in order.
inline void write_value_around(std::uint8_t* to,
                               const void* from,
                               std::uint32_t bytes,
                               std::span<const SpecialField> fields) {
    const auto* in = static_cast<const std::uint8_t*>(from);
    auto field = fields.begin();
    for (std::uint32_t at = 0; at < bytes;) {
        if (field != fields.end() && field->offset == at) {
            at += (field++)->size;
            continue;
        }
        std::uint32_t word = 0;
        std::memcpy(&word, in + at, bytes - at < 4 ? bytes - at : 4);
        detail::shared_half(to + at).store(word, std::memory_order_relaxed);
        at += 4;
    }
}

inline void read_value_around(void* to,
                              const std::uint8_t* from,
                              std::uint32_t bytes,
                              std::span<const SpecialField> fields) {
    read_value(to, from, bytes);
    for (const SpecialField& field : fields) {
        std::memset(static_cast<std::uint8_t*>(to) + field.offset, 0, field.size);
    }
}

/// For a value's new life. Timers are left to TimerTable: a program may make one at the same
/// moment, by an address of the value's last life, and their word changes as a whole or not at all.
inline void zero_fields(std::uint8_t* value, std::span<const SpecialField> fields) {
    for (const SpecialField& field : fields) {
        if (field.kind == SpecialKind::timer) {
            continue;
        }
        for (std::uint32_t at = 0; at < field.size; at += 4) {
            detail::shared_half(value + field.offset + at).store(0, std::memory_order_relaxed);
        }
    }
}

}  // namespace crema::ebpf::maps
