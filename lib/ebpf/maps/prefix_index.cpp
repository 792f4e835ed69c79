// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/prefix_index.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace crema::ebpf::maps {

Result<PrefixIndex> PrefixIndex::make(std::uint32_t entries) {
    const std::uint64_t buckets = std::bit_ceil(std::max<std::uint64_t>(1, entries));
    auto memory =
        Memory::allocate(buckets * sizeof(std::uint32_t), Memory::Sharing::private_reserved);
    if (!memory) {
        return forward_error(memory);
    }
    return PrefixIndex(std::move(*memory), buckets);
}

void PrefixIndex::count(std::uint32_t length, std::int32_t change) {
    const bool was_there = counts_[length] != 0;
    counts_[length] += static_cast<std::uint32_t>(change);
    if (was_there == (counts_[length] != 0)) {
        return;
    }
    // From the shortest, so that the longest ends up in the lowest byte.
    std::uint64_t packed = ~std::uint64_t{0};
    std::uint32_t lengths = 0;
    for (std::uint32_t at = 0; at <= kBitsMax; at++) {
        if (counts_[at] != 0) {
            packed = packed << 8U | at;
            lengths++;
        }
    }
    if (lengths > kLengthsMax) {
        packed = Lengths::kTooMany;
    }
    lengths_.store(packed, std::memory_order_release);
}

}  // namespace crema::ebpf::maps
