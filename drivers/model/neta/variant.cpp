// SPDX-License-Identifier: BSD-3-Clause
//
// See variant.h.
#include "drivers/model/neta/variant.h"

#include <array>
#include <cerrno>
#include <charconv>

namespace crema::neta::model {
namespace {

constexpr std::array kVariants = {
    Variant{"3700", "Armada 3700", 1, false, false, 9800},
    Variant{"38x", "Armada 38x", 2, true, true, 9800},
    Variant{"xp", "Armada XP", 4, true, true, 9800},
    Variant{"370", "Armada 370", 1, true, false, 1600},
};

constexpr std::uint64_t kCoreHzMin = 1'000'000;
constexpr std::uint64_t kCoreHzMax = 1'000'000'000;

}  // namespace

Result<const Variant*> find_variant(const std::string& text) {
    if (text.empty()) {
        return kVariants.data();
    }
    for (const Variant& variant : kVariants) {
        if (text == variant.name) {
            return &variant;
        }
    }
    return fail(EINVAL, "variant={}: want 3700, 38x, xp or 370", text);
}

Result<std::uint64_t> parse_core_clock(const std::string& text) {
    if (text.empty()) {
        return kCoreHzDefault;
    }
    std::uint64_t hz = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, hz);
    if (error != std::errc{} || rest != end || hz < kCoreHzMin || hz > kCoreHzMax) {
        return fail(EINVAL, "clock={}: want Hz, from {} to {}", text, kCoreHzMin, kCoreHzMax);
    }
    return hz;
}

}  // namespace crema::neta::model
