// SPDX-License-Identifier: BSD-3-Clause
//
// What verbs on a running data path print: text, or the JSON of bpftool.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "apps/crema/options.h"
#include "apps/crema/output.h"

namespace crema::command {

[[nodiscard]] inline bool wants_json(const RemoteOptions& options) {
    return options.json || options.pretty;
}

inline void print_either(const RemoteOptions& options,
                         const nlohmann::ordered_json& document,
                         const std::string& text) {
    constexpr int kIndentation = 4, kOneLine = -1;
    print(wants_json(options) ? document.dump(options.pretty ? kIndentation : kOneLine) + "\n"
                              : text);
}

}  // namespace crema::command
