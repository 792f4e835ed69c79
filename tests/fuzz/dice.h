// SPDX-License-Identifier: BSD-3-Clause
//
// Choices of the generators. The same seed makes the same choices on every machine: no
// std::*_distribution, whose results are the library's business.
#pragma once

#include <cstdint>
#include <iterator>
#include <random>
#include <vector>

namespace crema::test::fuzz {

class Dice {
  public:
    explicit Dice(std::uint64_t seed) : engine_(seed * 0x9e3779b97f4a7c15ULL + 1) {}

    [[nodiscard]] std::uint64_t bits() { return engine_(); }

    /// 0 .. n-1
    [[nodiscard]] int below(int n) {
        return static_cast<int>(engine_() % static_cast<std::uint64_t>(n));
    }

    /// low .. high
    [[nodiscard]] int between(int low, int high) { return low + below(high - low + 1); }

    [[nodiscard]] bool one_in(int n) { return below(n) == 0; }

    template <typename T, std::size_t N>
    [[nodiscard]] T pick(const T (&from)[N]) {
        return from[below(static_cast<int>(N))];
    }

    template <typename T>
    [[nodiscard]] T pick(const std::vector<T>& from) {
        return from[static_cast<std::size_t>(below(static_cast<int>(from.size())))];
    }

    /// A number that likes edges: small, powers of two, sign bits, all ones, and anything.
    [[nodiscard]] std::uint64_t number() {
        const std::uint64_t any = engine_();
        switch (below(8)) {
            case 0:
                return any % 3;
            case 1:
                return std::uint64_t{1} << any % 64;
            case 2:
                return (std::uint64_t{1} << any % 64) - 1;
            case 3:
                return ~std::uint64_t{0} << any % 64;
            case 4:
                return static_cast<std::uint64_t>(
                    std::int64_t{static_cast<std::int8_t>(any & 0xff)});
            case 5:
                return static_cast<std::uint32_t>(any);
            case 6:
                return std::uint64_t{0x80000000} + any % 3 - 1;
            default:
                return any;
        }
    }

    [[nodiscard]] std::int32_t constant() { return static_cast<std::int32_t>(number()); }

  private:
    std::mt19937_64 engine_;
};

}  // namespace crema::test::fuzz
