// SPDX-License-Identifier: BSD-3-Clause
//
// See faults.h.
#include "drivers/model/neta/faults.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>

namespace crema::neta::model {
namespace {

constexpr std::array<std::string_view, kFaultKinds> kNames = {"late", "interrupt", "status", "link",
                                                              "dma"};
constexpr std::array<std::string_view, kSpoiltWays> kWays = {
    "crc", "overrun", "too long", "resource", "fragment", "size", "not heard", "not sent"};
constexpr std::uint32_t kUsual = 100;
constexpr std::uint32_t kDownMost = 64;

std::optional<std::uint64_t> number_of(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return number;
}

/// False: no such word, or no such value.
bool take(Faults::Plan& plan, std::string_view word) {
    const auto equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    std::optional<std::uint64_t> value;
    if (equals != std::string_view::npos) {
        value = number_of(word.substr(equals + 1));
        if (!value) {
            return false;
        }
    }
    if (name == "seed") {
        plan.seed = value.value_or(0);
        return value.has_value();
    }
    const std::uint64_t chance = value.value_or(kUsual);
    bool known = false;
    for (std::size_t kind = 0; kind < kFaultKinds; ++kind) {
        if (name == kNames[kind] || name == "all") {
            plan.one_in[kind] = static_cast<std::uint32_t>(chance);
            known = true;
        }
    }
    return known && chance != 0 && chance <= UINT32_MAX;
}

}  // namespace

Result<Faults::Plan> Faults::parse(const std::string& text) {
    Plan plan;
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::string_view word = rest.substr(0, rest.find(':'));
        if (!take(plan, word)) {
            return fail(EINVAL,
                        "faults={}: '{}': want KIND[=ONE_IN][:...][:seed=N] with late, interrupt, "
                        "status, link, dma or all",
                        text, word);
        }
        rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    }
    return plan;
}

bool Faults::throw_for(std::size_t kind) {
    const std::uint32_t chance = plan_.one_in[kind];
    if (chance == 0 || number(chance) != 0) {
        return false;
    }
    injected_[kind].fetch_add(1, std::memory_order_relaxed);
    return true;
}

void Faults::link_step() {
    if (!active_) {
        return;
    }
    const std::uint32_t left = link_down_for_.load(std::memory_order_relaxed);
    if (left != 0) {
        link_down_for_.store(left - 1, std::memory_order_relaxed);
    } else if (strikes(Fault::link)) {
        link_down_for_.store(1 + number(kDownMost), std::memory_order_relaxed);
    }
}

bool Faults::line_told(bool level) {
    if (!active_) {
        return level;
    }
    if (level && !line_was_) {
        line_lost_ = strikes(Fault::interrupt);
    }
    line_was_ = level;
    return level && !line_lost_;
}

std::uint64_t Faults::count_of(std::string_view name) const {
    for (std::size_t kind = 0; kind < kFaultKinds; ++kind) {
        if (name == kNames[kind]) {
            return injected(static_cast<Fault>(kind));
        }
    }
    for (std::size_t way = 0; way < kSpoiltWays; ++way) {
        if (name == kWays[way]) {
            return spoilt(static_cast<Spoilt>(way));
        }
    }
    return 0;
}

std::string Faults::describe() const {
    std::string text;
    for (std::size_t kind = 0; active_ && kind < kFaultKinds; ++kind) {
        if (plan_.one_in[kind] != 0) {
            text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kNames[kind],
                                injected(static_cast<Fault>(kind)));
        }
    }
    for (std::size_t way = 0; active_ && way < kSpoiltWays; ++way) {
        const std::uint64_t n = spoilt(static_cast<Spoilt>(way));
        text += n == 0 ? "" : fmt::format(", {} {}", kWays[way], n);
    }
    return text;
}

}  // namespace crema::neta::model
