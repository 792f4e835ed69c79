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

using Wide = unsigned __int128;

template <typename Number>
[[gnu::always_inline]] inline Number number_at(const std::uint8_t* at) {
    Number number{};
    std::memcpy(&number, at, sizeof number);
    return number;
}

/// a + b with end-around carry.
std::uint32_t add_around(std::uint32_t a, std::uint32_t b) {
    const std::uint64_t sum = std::uint64_t{a} + b;
    return static_cast<std::uint32_t>(sum + (sum >> 32));
}

std::uint64_t add_around(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t sum = a + b;
    return sum + (sum < b ? 1 : 0);
}

/// Sum of the 64-bit words of [at, at + bytes), bytes a multiple of 8: two instructions a word.
std::uint64_t sum_of_words(const std::uint8_t* at, std::uint32_t bytes) {
    constexpr std::uint32_t kFour = 4 * sizeof(std::uint64_t);
    Wide sum = 0;
    const std::uint8_t* const end = at + bytes;
    for (; end - at >= kFour; at += kFour) {
        sum += number_at<std::uint64_t>(at);
        sum += number_at<std::uint64_t>(at + 8);
        sum += number_at<std::uint64_t>(at + 16);
        sum += number_at<std::uint64_t>(at + 24);
    }
    for (; at != end; at += sizeof(std::uint64_t)) {
        sum += number_at<std::uint64_t>(at);
    }
    return add_around(static_cast<std::uint64_t>(sum), static_cast<std::uint64_t>(sum >> 64));
}

constexpr std::uint32_t kBlock = 64;

/// The same of many: bytes a multiple of kBlock, and the halves of the words added apart, so that
/// carries have room. What the low halves sum up to is the difference of the whole sum, without its
/// carries, and of the high halves.
#if defined(__x86_64__)
[[gnu::target("avx2,tune=haswell")]]
#endif
std::uint64_t
sum_of_blocks(const std::uint8_t* at, std::uint32_t bytes) {
    using Words [[gnu::vector_size(32)]] = std::uint64_t;
    Words all{};
    Words high{};
    Words more_all{};
    Words more_high{};
    for (const std::uint8_t* const end = at + bytes; at != end; at += kBlock) {
        Words first;
        Words second;
        std::memcpy(&first, at, sizeof first);
        std::memcpy(&second, at + sizeof first, sizeof second);
        all += first;
        high += first >> 32;
        more_all += second;
        more_high += second >> 32;
    }
    all += more_all;
    high += more_high;
    const std::uint64_t whole = all[0] + all[1] + all[2] + all[3];
    const std::uint64_t upper = high[0] + high[1] + high[2] + high[3];
    return whole - (upper << 32) + upper;
}

bool has_wide_vectors() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") != 0;
#else
    return true;
#endif
}

const bool g_has_wide_vectors = has_wide_vectors();

/// seed plus all 32-bit words of [at, at + bytes) in memory order, the last one filled up with
/// zeros.
std::uint32_t partial_sum(const std::uint8_t* at, std::uint32_t bytes, std::uint32_t seed) {
    std::uint64_t sum = seed;
    if (bytes >= 4 * kBlock && g_has_wide_vectors) {
        const std::uint32_t in_blocks = bytes / kBlock * kBlock;
        sum += sum_of_blocks(at, in_blocks);
        at += in_blocks;
        bytes -= in_blocks;
    }
    if (const std::uint32_t in_words = bytes / 8 * 8; in_words != 0) {
        sum = add_around(sum, sum_of_words(at, in_words));
        at += in_words;
        bytes -= in_words;
    }
    std::uint64_t rest = 0;
    if (bytes >= 4) {
        rest = number_at<std::uint32_t>(at);
        at += 4;
        bytes -= 4;
    }
    if (bytes >= 2) {
        rest += number_at<std::uint16_t>(at);
    }
    if (bytes % 2 != 0) {
        rest += std::uint64_t{at[bytes - 1]} << (bytes == 3 ? 16 : 0);
    }
    sum = add_around(sum, rest);
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
