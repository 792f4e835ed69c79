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

__extension__ using Wide = unsigned __int128;

std::uint64_t word_at(const std::uint8_t* at) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    return word;
}

/// a + b with end-around carry.
std::uint32_t add_around(std::uint32_t a, std::uint32_t b) {
    const std::uint64_t sum = std::uint64_t{a} + b;
    return static_cast<std::uint32_t>(sum + (sum >> 32));
}

/// seed plus all 32-bit words of [at, at + bytes) in memory order, the last one filled up with
/// zeros. 128-bit accumulators: no carry is lost, so it is folded once, at the end; two of them
/// are added to in turn, which halves the chain of additions that wait for each other.
std::uint32_t partial_sum(const std::uint8_t* at, std::uint32_t bytes, std::uint32_t seed) {
    constexpr std::uint32_t kStep = 4 * sizeof(std::uint64_t);
    Wide even = seed;
    Wide odd = 0;
    for (; bytes >= kStep; bytes -= kStep, at += kStep) {
        even += word_at(at);
        odd += word_at(at + 8);
        even += word_at(at + 16);
        odd += word_at(at + 24);
    }
    for (; bytes >= 8; bytes -= 8, at += 8) {
        even += word_at(at);
    }
    if (bytes != 0) {
        std::uint64_t last = 0;
        std::memcpy(&last, at, bytes);
        odd += last;
    }
    even += odd;
    auto high = static_cast<std::uint64_t>(even >> 64);
    auto low = static_cast<std::uint64_t>(even);
    low += high;
    low += low < high ? 1 : 0;
    return add_around(static_cast<std::uint32_t>(low >> 32), static_cast<std::uint32_t>(low));
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
