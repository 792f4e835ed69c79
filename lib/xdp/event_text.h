// SPDX-License-Identifier: BSD-3-Clause
//
// An event as one line for people: what happened, where, why, what became of the frames.
#pragma once

#include <string>
#include <string_view>

#include "lib/xdp/events.h"

namespace crema::xdp {

/// "xdp_exception", the kernel's names; "" for what is none.
[[nodiscard]] std::string_view name_of(EventKind kind);

/// "ABORTED", "DROP", "PASS", "TX", "REDIRECT", or "verdict 77".
[[nodiscard]] std::string verdict_text(std::uint32_t act);

/// program: its name; may be empty.
[[nodiscard]] std::string text_of(const Event& event, std::string_view program);

}  // namespace crema::xdp
