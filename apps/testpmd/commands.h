// SPDX-License-Identifier: BSD-3-Clause
//
// The interactive commands: one line in, text out. Knows nothing of terminals.
#pragma once

#include <string>
#include <string_view>

#include "apps/testpmd/session.h"

namespace crema::testpmd {

struct Reply {
    std::string text;  // with newlines; may be empty
    bool quit = false;
    bool failed = false;  // text is an error line
};

/// Empty lines and lines that begin with '#' do nothing.
[[nodiscard]] Reply run_command(Session& session, std::string_view line);

}  // namespace crema::testpmd
