// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/program/tag.h"

#include <array>
#include <bit>
#include <cstring>
#include <vector>

namespace crema::ebpf {
namespace {

constexpr std::size_t kBlockBytes = 64;
constexpr std::size_t kRounds = 64;

using Words = std::array<std::uint32_t, 8>;

/// The constants of SHA-256 are fractions of square and cube roots of the first primes.
struct Constants {
    Words start{};
    std::array<std::uint32_t, kRounds> round{};

    Constants() {
        std::size_t found = 0;
        for (std::uint64_t candidate = 2; found < kRounds; ++candidate) {
            if (!is_prime(candidate)) {
                continue;
            }
            round[found] = fraction(candidate, 3);
            if (found < start.size()) {
                start[found] = fraction(candidate, 2);
            }
            ++found;
        }
    }

  private:
    static bool is_prime(std::uint64_t number) {
        for (std::uint64_t divisor = 2; divisor * divisor <= number; ++divisor) {
            if (number % divisor == 0) {
                return false;
            }
        }
        return true;
    }

    /// First 32 bits behind the point of the `degree`-th root, by search: exact.
    static std::uint32_t fraction(std::uint64_t number, int degree) {
        const auto power = [degree](unsigned __int128 root) {
            return degree == 2 ? root * root : root * root * root;
        };
        const unsigned __int128 target = static_cast<unsigned __int128>(number) << (32 * degree);
        std::uint64_t root = 0;
        for (int bit = 36; bit >= 0; --bit) {
            const std::uint64_t larger = root | std::uint64_t{1} << bit;
            if (power(larger) <= target) {
                root = larger;
            }
        }
        return static_cast<std::uint32_t>(root);
    }
};

void digest_block(Words& state, const std::uint8_t* block, const Constants& constants) {
    std::array<std::uint32_t, kRounds> schedule{};
    for (std::size_t i = 0; i < kBlockBytes / 4; ++i) {
        std::uint32_t word = 0;
        std::memcpy(&word, block + 4 * i, sizeof word);
        schedule[i] = std::endian::native == std::endian::little ? __builtin_bswap32(word) : word;
    }
    for (std::size_t i = 16; i < kRounds; ++i) {
        const std::uint32_t early = schedule[i - 15];
        const std::uint32_t late = schedule[i - 2];
        schedule[i] = schedule[i - 16] + schedule[i - 7] +
                      (std::rotr(early, 7) ^ std::rotr(early, 18) ^ early >> 3) +
                      (std::rotr(late, 17) ^ std::rotr(late, 19) ^ late >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (std::size_t i = 0; i < kRounds; ++i) {
        const std::uint32_t choice = (e & f) ^ (~e & g);
        const std::uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
        const std::uint32_t first = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                                    choice + constants.round[i] + schedule[i];
        const std::uint32_t second =
            (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + majority;
        h = g;
        g = f;
        f = e;
        e = d + first;
        d = c;
        c = b;
        b = a;
        a = first + second;
    }
    const Words added = {a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < state.size(); ++i) {
        state[i] += added[i];
    }
}

/// Message, one bit, zeros, and the length in bits, in whole blocks.
std::vector<std::uint8_t> padded(std::vector<std::uint8_t> message) {
    const std::uint64_t bits = std::uint64_t{message.size()} * 8;
    message.push_back(0x80);
    while (message.size() % kBlockBytes != kBlockBytes - sizeof bits) {
        message.push_back(0);
    }
    for (int shift = 56; shift >= 0; shift -= 8) {
        message.push_back(static_cast<std::uint8_t>(bits >> shift));
    }
    return message;
}

/// The instructions as bytes, with what names maps set to zero.
std::vector<std::uint8_t> without_maps(std::span<const Insn> insns) {
    std::vector<std::uint8_t> bytes(insns.size_bytes());
    bool second_half = false;
    for (std::size_t i = 0; i < insns.size(); ++i) {
        Insn insn = insns[i];
        const bool names_map = insn.code == op::kLdImm64 &&
                               (insn.src == op::kPseudoMap || insn.src == op::kPseudoMapValue);
        if (!second_half && names_map) {
            second_half = true;
            insn.imm = 0;
        } else {
            if (second_half && insn.code == 0 && insn.dst == 0 && insn.src == 0 && insn.off == 0) {
                insn.imm = 0;
            }
            second_half = false;
        }
        std::memcpy(bytes.data() + i * sizeof insn, &insn, sizeof insn);
    }
    return bytes;
}

}  // namespace

ProgramTag tag_of(std::span<const Insn> insns) {
    static const Constants constants;
    const std::vector<std::uint8_t> message = padded(without_maps(insns));
    Words state = constants.start;
    for (std::size_t at = 0; at < message.size(); at += kBlockBytes) {
        digest_block(state, message.data() + at, constants);
    }
    ProgramTag tag{};
    for (std::size_t i = 0; i < tag.size(); ++i) {
        tag[i] = static_cast<std::uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
    }
    return tag;
}

}  // namespace crema::ebpf
