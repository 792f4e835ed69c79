// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/key_hash.h"

#include <ctime>
#include <unistd.h>

namespace crema::ebpf::maps {

HashSecret HashSecret::make(bool fixed) {
    HashSecret secret{
        .first = 0x9e3779b97f4a7c15, .second = 0xd6e8feb86659fd93, .third = 0xa0761d6478bd642f};
    if (fixed) {
        return secret;
    }
    HashSecret random;
    if (getentropy(&random, sizeof random) != 0) {
        // A sandbox without the call: where this stack lies and when is better than nothing.
        timespec now{};
        clock_gettime(CLOCK_MONOTONIC, &now);
        random.first = folded_product(secret.first ^ reinterpret_cast<std::uintptr_t>(&now),
                                      secret.second ^ static_cast<std::uint64_t>(now.tv_nsec));
        random.second = folded_product(random.first, secret.third);
        random.third = folded_product(random.second, secret.first);
    }
    // An odd multiplier keeps the low bits of the product a permutation of the key's.
    random.second |= 1U;
    return random;
}

}  // namespace crema::ebpf::maps
