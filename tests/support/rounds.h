// SPDX-License-Identifier: BSD-3-Clause
//
// How long randomised tests run: each has a base length for every run, and CREMA_TEST_ROUNDS
// multiplies all of them (20 in the long form; a fraction such as 0.1 shortens them). The first
// seed is fixed, CREMA_TEST_SEED moves it.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace crema::test {

/// `base` times CREMA_TEST_ROUNDS, at least 1.
[[nodiscard]] inline std::uint64_t scaled_rounds(std::uint64_t base) {
    const char* factor = std::getenv("CREMA_TEST_ROUNDS");
    if (factor == nullptr) {
        return base;
    }
    const double scaled = static_cast<double>(base) * std::strtod(factor, nullptr);
    return scaled < 1 ? 1 : static_cast<std::uint64_t>(scaled);
}

[[nodiscard]] inline std::uint64_t first_seed() {
    const char* seed = std::getenv("CREMA_TEST_SEED");
    return seed == nullptr ? 1 : std::strtoull(seed, nullptr, 10);
}

}  // namespace crema::test
