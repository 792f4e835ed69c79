// SPDX-License-Identifier: BSD-3-Clause
//
// How fast the counters of a statistics document grow: a document of the same shape.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace crema::command {

/// Names and numbers of things, states and sizes stay as they are in `now`; every counter becomes
/// its growth per second. What was not there before, or counts from 0 again, counts from 0.
[[nodiscard]] nlohmann::ordered_json rates_of(const nlohmann::ordered_json& before,
                                              const nlohmann::ordered_json& now,
                                              double seconds);

/// True for a number under this name that counts something.
[[nodiscard]] bool is_counter(std::string_view name);

}  // namespace crema::command
