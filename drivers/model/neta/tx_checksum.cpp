// SPDX-License-Identifier: BSD-3-Clause
//
// See tx_checksum.h.
#include "drivers/model/neta/tx_checksum.h"

#include <algorithm>
#include <cstring>

#include "drivers/model/neta/checksum.h"
#include "drivers/model/neta/parse.h"
#include "lib/neta/descriptors.h"

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kIpv4HeaderMin = 20;
constexpr std::uint32_t kIpv6Header = 40;
constexpr std::uint8_t kProtoTcp = 6;
constexpr std::uint8_t kProtoUdp = 17;

void store_sum(std::uint8_t* at, std::uint64_t sum, bool zero_is_ones) {
    auto value = static_cast<std::uint16_t>(~fold_sum(sum));
    if (value == 0 && zero_is_ones) {
        value = 0xffff;
    }
    std::memcpy(at, &value, sizeof(value));
}

}  // namespace

bool wants_checksums(std::uint32_t command) {
    return (command & kTxIpCsum) != 0 || kTxL4Csum.get(command) <= kTxL4CsumFull;
}

bool insert_checksums(std::uint32_t command,
                      std::uint16_t start_value,
                      std::uint8_t* frame,
                      std::uint32_t bytes) {
    const std::uint32_t l3 = kTxL3Offset.get(command);
    const std::uint32_t l3_bytes = 4 * kTxIpHlen.get(command);
    const bool ipv6 = (command & kTxL3Ipv6) != 0;
    const std::uint32_t l4 = l3 + l3_bytes;
    if (l3_bytes < (ipv6 ? kIpv6Header : kIpv4HeaderMin) || l4 > bytes) {
        return false;
    }
    std::uint8_t* const ip = frame + l3;
    const std::uint32_t mode = kTxL4Csum.get(command);
    const bool udp = (command & kTxL4Udp) != 0;
    // The datagram may be shorter than the frame (padding).
    const std::uint32_t claimed = ipv6 ? load_be16(ip + 4) + kIpv6Header : load_be16(ip + 2);
    const std::uint32_t end = l3 + claimed >= l4 ? std::min(l3 + claimed, bytes) : bytes;
    const std::uint32_t field = l4 + (udp ? 6U : 16U);
    if (mode <= kTxL4CsumFull && field + 2 > end) {
        return false;
    }
    if ((command & kTxIpCsum) != 0 && !ipv6) {
        std::memset(ip + 10, 0, 2);
        store_sum(ip + 10, sum_bytes(ip, l3_bytes), false);
    }
    if (mode <= kTxL4CsumFull) {
        std::uint64_t sum = 0;
        if (mode == kTxL4CsumFull) {
            sum = ipv6 ? sum_bytes(ip + 8, 32) : sum_bytes(ip + 12, 8);
            sum = sum_number(udp ? kProtoUdp : kProtoTcp, sum);
            sum = sum_number(static_cast<std::uint16_t>(end - l4), sum);
        } else {
            sum = sum_number(start_value, 0);
        }
        std::memset(frame + field, 0, 2);
        store_sum(frame + field, sum_bytes(frame + l4, end - l4, sum), udp);
    }
    return true;
}

}  // namespace crema::neta::model
