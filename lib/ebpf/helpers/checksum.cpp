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

constexpr std::uint32_t kBlock = 64;

/// Sum of the 64-bit words of [at, at + bytes), bytes a multiple of kBlock. The halves of the words
/// are added apart, so that carries have room. What the low halves sum up to is the difference of
/// the whole sum, without its carries, and of the high halves.
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
/// zeros, with end-around carry.
[[gnu::always_inline]] inline std::uint32_t sum_of_few(const std::uint8_t* at,
                                                       std::uint32_t bytes,
                                                       std::uint64_t seed) {
    // Two instructions a word, and the carries come in at the end. A call site mostly has one size,
    // so that the branches on its bits cost nothing.
    std::uint64_t sum = seed;
    std::uint64_t carries = 0;
    const auto add = [&](std::uint64_t word) {
        sum += word;
        carries += sum < word ? 1 : 0;
    };
    for (; bytes >= 32; bytes -= 32, at += 32) {
        add(number_at<std::uint64_t>(at));
        add(number_at<std::uint64_t>(at + 8));
        add(number_at<std::uint64_t>(at + 16));
        add(number_at<std::uint64_t>(at + 24));
    }
    if ((bytes & 16U) != 0) {
        add(number_at<std::uint64_t>(at));
        add(number_at<std::uint64_t>(at + 8));
        at += 16;
    }
    if ((bytes & 8U) != 0) {
        add(number_at<std::uint64_t>(at));
        at += 8;
    }
    if ((bytes & 4U) != 0) {
        add(number_at<std::uint32_t>(at));
        at += 4;
    }
    if ((bytes & 3U) != 0) {
        std::uint32_t rest = 0;
        if ((bytes & 2U) != 0) {
            rest = number_at<std::uint16_t>(at);
            at += 2;
        }
        if ((bytes & 1U) != 0) {
            rest |= std::uint32_t{*at} << (bytes & 2U) * 8;
        }
        add(rest);
    }
    const std::uint64_t once = add_around(sum, carries);
    return add_around(static_cast<std::uint32_t>(once >> 32), static_cast<std::uint32_t>(once));
}

constexpr std::uint32_t kMany = 4 * kBlock;

[[gnu::noinline]] std::uint32_t sum_of_many(const std::uint8_t* at,
                                            std::uint32_t bytes,
                                            std::uint32_t seed) {
    std::uint64_t sum = seed;
    if (g_has_wide_vectors) {
        const std::uint32_t in_blocks = bytes / kBlock * kBlock;
        sum += sum_of_blocks(at, in_blocks);
        at += in_blocks;
        bytes -= in_blocks;
    }
    return sum_of_few(at, bytes, sum);
}

[[gnu::always_inline]] inline std::uint32_t partial_sum(const std::uint8_t* at,
                                                        std::uint32_t bytes,
                                                        std::uint32_t seed) {
    return bytes < kMany ? sum_of_few(at, bytes, seed) : sum_of_many(at, bytes, seed);
}

std::uint64_t fold(std::uint32_t sum) {
    const std::uint32_t once = (sum >> 16) + (sum & 0xffff);
    return (once >> 16) + (once & 0xffff);
}

/// With something that goes. Apart, so that who only adds saves no registers.
[[gnu::noinline]] std::uint64_t difference(const std::uint8_t* from,
                                           std::uint32_t from_bytes,
                                           const std::uint8_t* to,
                                           std::uint32_t to_bytes,
                                           std::uint32_t seed) {
    if (to_bytes == 0) {
        return fold(~partial_sum(from, from_bytes, ~seed));
    }
    const std::uint32_t removed = partial_sum(from, from_bytes, 0);
    return fold(add_around(partial_sum(to, to_bytes, seed), ~removed));
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
    if (from_bytes != 0) {
        return difference(from, from_bytes, to, to_bytes, seed);
    }
    return fold(to_bytes != 0 ? partial_sum(to, to_bytes, seed) : seed);
}

}  // namespace crema::ebpf::helpers
