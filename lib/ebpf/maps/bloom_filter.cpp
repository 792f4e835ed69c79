// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/bloom_filter.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <utility>

namespace crema::ebpf::maps {

namespace {

constexpr std::uint32_t kFunctionsByDefault = 5;

std::uint32_t functions_of(const MapSpec& spec) {
    return spec.extra != 0 ? static_cast<std::uint32_t>(spec.extra) : kFunctionsByDefault;
}

// entries * functions / ln 2 bits give the best false-positive rate; a power of two of them.
std::uint64_t bits_of(const MapSpec& spec) {
    constexpr std::uint64_t kBitsMin = 64, kBitsMax = std::uint64_t{1} << 32U;
    const std::uint64_t wanted = std::uint64_t{spec.max_entries} * functions_of(spec) / 5 * 7;
    return wanted >= kBitsMax ? kBitsMax : std::bit_ceil(std::max(wanted, kBitsMin));
}

}  // namespace

Result<std::shared_ptr<Map>> BloomFilter::make(const MapSpec& spec) {
    const std::uint64_t bits = bits_of(spec);
    auto memory = Memory::allocate(bits / 8, Memory::Sharing::private_pages);
    if (!memory) {
        return forward_error(memory);
    }
    return std::make_shared<BloomFilter>(spec, std::move(*memory), bits);
}

BloomFilter::BloomFilter(const MapSpec& spec, Memory memory, std::uint64_t bits)
    : Map(spec),
      memory_(std::move(memory)),
      mask_(bits - 1),
      functions_(functions_of(spec)),
      secret_(HashSecret::make((spec.flags & kZeroSeed) != 0)) {}

template <typename Visit>
bool BloomFilter::each_bit(const void* value, Visit&& visit) const {
    const std::uint64_t hash =
        hash_key(static_cast<const std::uint8_t*>(value), spec().value_size, secret_);
    const std::uint64_t step = folded_product(hash ^ secret_.third, secret_.second) | 1U;
    auto* words = reinterpret_cast<std::atomic<std::uint64_t>*>(memory_.data());
    std::uint64_t position = hash;
    for (std::uint32_t function = 0; function < functions_; function++) {
        const std::uint64_t bit = position & mask_;
        if (!visit(words[bit / 64], std::uint64_t{1} << (bit % 64))) {
            return false;
        }
        position += step;
    }
    return true;
}

int BloomFilter::push(const void* value, std::uint64_t flags) const {
    if (flags != kAny) {
        return -EINVAL;
    }
    each_bit(value, [](std::atomic<std::uint64_t>& word, std::uint64_t bit) {
        if ((word.load(std::memory_order_relaxed) & bit) == 0) {
            word.fetch_or(bit, std::memory_order_relaxed);
        }
        return true;
    });
    return 0;
}

int BloomFilter::peek(const void* value) const {
    const bool all = each_bit(value, [](std::atomic<std::uint64_t>& word, std::uint64_t bit) {
        return (word.load(std::memory_order_relaxed) & bit) != 0;
    });
    return all ? 0 : -ENOENT;
}

int BloomFilter::do_lookup(const void* /*key*/, void* value_out) {
    return peek(value_out);
}

int BloomFilter::do_update(const void* /*key*/, const void* value, std::uint64_t flags) {
    return push(value, flags);
}

int BloomFilter::do_erase(const void* /*key*/) {
    return -EOPNOTSUPP;
}

int BloomFilter::do_next_key(const void* /*key*/, void* /*next_out*/) {
    return -EOPNOTSUPP;
}

}  // namespace crema::ebpf::maps
