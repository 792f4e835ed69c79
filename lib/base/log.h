// SPDX-License-Identifier: BSD-3-Clause
//
// Lines for people, on the control path only. The sink is rte_log (EAL owns levels and streams;
// it works before and without EAL init). Level names as in rte_log: `--log-level=crema:debug`.
#pragma once

#include <fmt/format.h>
#include <string_view>
#include <utility>

namespace crema::log {

enum class Level { error = 4, warning = 5, notice = 6, info = 7, debug = 8 };

/// Writes one line (a newline is added) under the log type "crema".
void write(Level level, std::string_view line);

/// True when a line of this level would be written; formatting is skipped otherwise.
[[nodiscard]] bool enabled(Level level);

template <typename... Args>
void emit(Level level, fmt::format_string<Args...> text, Args&&... args) {
    if (enabled(level)) {
        write(level, fmt::format(text, std::forward<Args>(args)...));
    }
}

template <typename... Args>
void error(fmt::format_string<Args...> text, Args&&... args) {
    emit(Level::error, text, std::forward<Args>(args)...);
}

template <typename... Args>
void warning(fmt::format_string<Args...> text, Args&&... args) {
    emit(Level::warning, text, std::forward<Args>(args)...);
}

template <typename... Args>
void notice(fmt::format_string<Args...> text, Args&&... args) {
    emit(Level::notice, text, std::forward<Args>(args)...);
}

template <typename... Args>
void debug(fmt::format_string<Args...> text, Args&&... args) {
    emit(Level::debug, text, std::forward<Args>(args)...);
}

}  // namespace crema::log
