// SPDX-License-Identifier: BSD-3-Clause
//
// What both machines share: pinning, and the form in which map contents are compared.
#include "tests/support/machine.h"

#include <algorithm>
#include <sched.h>

namespace crema::test {

std::uint32_t pin_to_one_cpu() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    std::uint32_t cpu = 0;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
        return cpu;
    }
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &allowed)) {
        ++cpu;
    }
    CPU_ZERO(&allowed);
    CPU_SET(cpu, &allowed);
    if (sched_setaffinity(0, sizeof(allowed), &allowed) != 0) {
        return 0;
    }
    return cpu;
}

bool has_percpu_values(std::uint32_t map_type) {
    constexpr std::uint32_t kPercpuHash = 5, kPercpuArray = 6, kLruPercpuHash = 10;
    return map_type == kPercpuHash || map_type == kPercpuArray || map_type == kLruPercpuHash;
}

bool holds_objects(std::uint32_t map_type) {
    constexpr std::uint32_t kProgArray = 3, kArrayOfMaps = 12, kHashOfMaps = 13;
    return map_type == kProgArray || map_type == kArrayOfMaps || map_type == kHashOfMaps;
}

std::string hex(const std::uint8_t* bytes, std::size_t n) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(2 * n);
    for (std::size_t i = 0; i < n; ++i) {
        text += kDigits[bytes[i] >> 4];
        text += kDigits[bytes[i] & 15];
    }
    return text;
}

void add_entry(MapState& state,
               const std::string& map,
               const Bytes& key,
               const Bytes& values,
               std::size_t value_bytes,
               bool is_per_cpu,
               std::uint32_t cpu) {
    const std::string name = map + "[" + hex(key.data(), key.size()) + "]";
    const std::size_t stride = is_per_cpu ? (value_bytes + 7) / 8 * 8 : value_bytes;
    for (std::size_t at = 0; at + value_bytes <= values.size(); at += stride) {
        const std::uint8_t* value = values.data() + at;
        const std::size_t slot = at / stride;
        if (std::all_of(value, value + value_bytes, [](std::uint8_t byte) { return byte == 0; })) {
            continue;
        }
        const bool is_own = !is_per_cpu || slot == cpu;
        state[is_own ? name : name + " of CPU " + std::to_string(slot)] = hex(value, value_bytes);
    }
}

std::string canonical_map_name(const std::string& name) {
    const std::size_t dot = name.find('.');
    return dot == std::string::npos ? name : name.substr(dot);
}

}  // namespace crema::test
