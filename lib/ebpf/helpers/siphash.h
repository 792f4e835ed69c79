// SPDX-License-Identifier: BSD-3-Clause
//
// SipHash-2-4 (Aumasson and Bernstein): a keyed hash of short inputs whose values tell nothing of
// the key. Input is whole 64-bit words here.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace crema::ebpf::helpers {

using SipKey = std::array<std::uint64_t, 2>;

class SipHash {
  public:
    explicit SipHash(const SipKey& key)
        : v_{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
             key[1] ^ 0x7465646279746573} {}

    [[nodiscard]] std::uint64_t of(std::span<const std::uint64_t> words) {
        for (const std::uint64_t word : words) {
            absorb(word);
        }
        absorb(static_cast<std::uint64_t>(words.size() * 8) << 56);  // the length ends the input
        v_[2] ^= 0xff;
        for (int i = 0; i < 4; ++i) {
            round();
        }
        return v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
    }

  private:
    void absorb(std::uint64_t word) {
        v_[3] ^= word;
        round();
        round();
        v_[0] ^= word;
    }

    void round() {
        v_[0] += v_[1];
        v_[2] += v_[3];
        v_[1] = std::rotl(v_[1], 13) ^ v_[0];
        v_[3] = std::rotl(v_[3], 16) ^ v_[2];
        v_[0] = std::rotl(v_[0], 32);
        v_[2] += v_[1];
        v_[0] += v_[3];
        v_[1] = std::rotl(v_[1], 17) ^ v_[2];
        v_[3] = std::rotl(v_[3], 21) ^ v_[0];
        v_[2] = std::rotl(v_[2], 32);
    }

    std::array<std::uint64_t, 4> v_;
};

}  // namespace crema::ebpf::helpers
