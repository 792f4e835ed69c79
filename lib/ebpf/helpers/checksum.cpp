// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_csum_diff as kernels since 6.13 answer it: any size, result folded to 16 bits. (Older ones
// gave a 32-bit partial sum; programs fold it themselves, which leaves a folded one as it is.)
//
// Ones' complement has two zeros, and programs compare results: which of 0 and 0xffff comes out
// must be the kernel's too. A sum of end-around carries is 0 only when all summands are, however
// wide the words are that are added; so the order and width of additions are free, and the steps
// that negate are kept as the kernel has them.
#include <cstring>

#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::uint64_t kLowHalf = 0xffffffff;

// Two 64-bit words side by side; compilers know the instructions for it on x86-64 and arm64.
using Pair [[gnu::vector_size(16)]] = std::uint64_t;

template <typename Number>
Number number_at(const std::uint8_t* at) {
    Number number{};
    std::memcpy(&number, at, sizeof number);
    return number;
}

/// a + b with end-around carry.
std::uint32_t add_around(std::uint32_t a, std::uint32_t b) {
    const std::uint64_t sum = std::uint64_t{a} + b;
    return static_cast<std::uint32_t>(sum + (sum >> 32));
}

/// Sum of the 32-bit words of [at, at + bytes), bytes a multiple of 32. Halves of 64-bit words are
/// added apart, so carries have room and are folded once, by the caller.
std::uint64_t sum_of_blocks(const std::uint8_t* at, std::uint32_t bytes) {
    Pair low{};
    Pair high{};
    for (const std::uint8_t* const end = at + bytes; at != end; at += 2 * sizeof(Pair)) {
        const auto first = number_at<Pair>(at);
        const auto second = number_at<Pair>(at + sizeof(Pair));
        low += (first & kLowHalf) + (second & kLowHalf);
        high += (first >> 32) + (second >> 32);
    }
    low += high;
    return low[0] + low[1];
}

/// seed plus all 32-bit words of [at, at + bytes) in memory order, the last one filled up with
/// zeros.
std::uint32_t partial_sum(const std::uint8_t* at, std::uint32_t bytes, std::uint32_t seed) {
    constexpr std::uint32_t kBlock = 2 * sizeof(Pair);
    std::uint64_t sum = seed;
    if (bytes >= kBlock) {
        const std::uint32_t in_blocks = bytes / kBlock * kBlock;
        sum += sum_of_blocks(at, in_blocks);
        at += in_blocks;
        bytes -= in_blocks;
    }
    for (; bytes >= 4; bytes -= 4, at += 4) {
        sum += number_at<std::uint32_t>(at);
    }
    if (bytes >= 2) {
        sum += number_at<std::uint16_t>(at);
    }
    if (bytes % 2 != 0) {
        sum += std::uint64_t{at[bytes - 1]} << (bytes == 3 ? 16 : 0);
    }
    return add_around(static_cast<std::uint32_t>(sum >> 32), static_cast<std::uint32_t>(sum));
}

std::uint64_t fold(std::uint32_t sum) {
    const std::uint32_t once = (sum >> 16) + (sum & 0xffff);
    return (once >> 16) + (once & 0xffff);
}

}  // namespace

// r1 and r3 may be null with size 0; the verifier has proved the rest.
std::uint64_t csum_diff(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    const std::uint8_t* const from = memory_at(r1);
    const std::uint8_t* const to = memory_at(r3);
    const auto from_bytes = static_cast<std::uint32_t>(r2);
    const auto to_bytes = static_cast<std::uint32_t>(r4);
    const auto seed = static_cast<std::uint32_t>(r5);
    if (from_bytes != 0 && to_bytes != 0) {
        const std::uint32_t removed = partial_sum(from, from_bytes, 0);
        return fold(add_around(partial_sum(to, to_bytes, seed), ~removed));
    }
    if (to_bytes != 0) {
        return fold(partial_sum(to, to_bytes, seed));
    }
    if (from_bytes != 0) {
        return fold(~partial_sum(from, from_bytes, ~seed));
    }
    return fold(seed);
}

}  // namespace crema::ebpf::helpers
