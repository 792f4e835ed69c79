// SPDX-License-Identifier: BSD-3-Clause
//
// Hash of a destination address into the "other multicast" filter table: CRC-8, polynomial 0x07,
// initial value 0, each byte most significant bit first. Control path only: bit by bit.
// Source: hardware page 2.3.4, "DA filter tables".
#pragma once

#include <array>
#include <cstdint>

namespace crema::neta {

using MacAddress = std::array<std::uint8_t, 6>;

[[nodiscard]] constexpr std::uint8_t da_crc8(const std::uint8_t* address) {
    std::uint32_t crc = 0;
    for (unsigned i = 0; i < 6; ++i) {
        crc ^= address[i];
        for (unsigned step = 0; step < 8; ++step) {
            crc = (crc & 0x80U) != 0 ? ((crc << 1U) ^ 0x07U) & 0xffU : crc << 1U;
        }
    }
    return static_cast<std::uint8_t>(crc);
}

/// True for 01:00:5e:00:00:xx, which the "special multicast" table holds by its last byte.
[[nodiscard]] constexpr bool da_is_special(const std::uint8_t* address) {
    return address[0] == 0x01 && address[1] == 0x00 && address[2] == 0x5e && address[3] == 0 &&
           address[4] == 0;
}

}  // namespace crema::neta
