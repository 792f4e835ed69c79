// SPDX-License-Identifier: BSD-3-Clause
//
// Sums a MAC computes: the FCS (CRC-32) and
// the Internet checksum. The FCS is real and not a constant: it lies in every receive buffer, a
// driver may hand it on, and a frame with a damaged FCS must be found.
// Measured beside the engine's other work per frame: see the room's README.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace crema::neta::model {

/// Ethernet FCS of data[0, bytes), as the 32-bit value whose little-endian bytes follow the frame.
[[nodiscard]] std::uint32_t fcs_of(const std::uint8_t* data, std::uint32_t bytes);

/// Ones' complement sum in memory order, not folded. A checksum field that is right makes the
/// folded sum 0xffff; fold and invert to fill one in.
[[nodiscard]] inline std::uint64_t sum_bytes(const std::uint8_t* data,
                                             std::size_t bytes,
                                             std::uint64_t sum = 0) {
    std::size_t i = 0;
    for (; i + 8 <= bytes; i += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, data + i, 8);
        sum += (word & 0xffffffffU) + (word >> 32U);
    }
    std::uint64_t rest = 0;
    std::memcpy(&rest, data + i, bytes - i);
    return sum + (rest & 0xffffffffU) + (rest >> 32U);
}

/// Adds a 16-bit number given in host order.
[[nodiscard]] inline std::uint64_t sum_number(std::uint16_t value, std::uint64_t sum) {
    const std::uint8_t bytes[2] = {static_cast<std::uint8_t>(value >> 8U),
                                   static_cast<std::uint8_t>(value & 0xffU)};
    std::uint16_t word = 0;
    std::memcpy(&word, bytes, 2);
    return sum + word;
}

[[nodiscard]] inline std::uint16_t fold_sum(std::uint64_t sum) {
    while ((sum >> 16U) != 0) {
        sum = (sum & 0xffffU) + (sum >> 16U);
    }
    return static_cast<std::uint16_t>(sum);
}

}  // namespace crema::neta::model
