// SPDX-License-Identifier: BSD-3-Clause
//
// CRC-32 of IEEE 802.3 (reflected polynomial 0xedb88320), eight bytes per step through eight
// tables ("slicing by 8"). Own code because rte_net_crc stays with its one-byte-per-step table
// until EAL has chosen a vector width, and says so on stderr; the model also runs without EAL.
#include "drivers/model/neta/checksum.h"

#include <array>
#include <bit>

namespace crema::neta::model {
namespace {

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables kTables = [] {
    Tables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte;
        for (int step = 0; step < 8; ++step) {
            crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
        }
        tables[0][byte] = crc;
    }
    for (std::uint32_t slice = 1; slice < 8; ++slice) {
        for (std::uint32_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t crc = tables[slice - 1][byte];
            tables[slice][byte] = (crc >> 8U) ^ tables[0][crc & 0xffU];
        }
    }
    return tables;
}();

static_assert(std::endian::native == std::endian::little, "words are taken low byte first");

}  // namespace

std::uint32_t fcs_of(const std::uint8_t* data, std::uint32_t bytes) {
    std::uint32_t crc = ~std::uint32_t{0};
    for (; bytes >= 8; data += 8, bytes -= 8) {
        std::uint32_t low = 0;
        std::uint32_t high = 0;
        std::memcpy(&low, data, 4);
        std::memcpy(&high, data + 4, 4);
        low ^= crc;
        crc = kTables[7][low & 0xffU] ^ kTables[6][(low >> 8U) & 0xffU] ^
              kTables[5][(low >> 16U) & 0xffU] ^ kTables[4][low >> 24U] ^ kTables[3][high & 0xffU] ^
              kTables[2][(high >> 8U) & 0xffU] ^ kTables[1][(high >> 16U) & 0xffU] ^
              kTables[0][high >> 24U];
    }
    for (; bytes > 0; ++data, --bytes) {
        crc = (crc >> 8U) ^ kTables[0][(crc ^ *data) & 0xffU];
    }
    return ~crc;
}

}  // namespace crema::neta::model
