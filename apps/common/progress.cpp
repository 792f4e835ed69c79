// SPDX-License-Identifier: BSD-3-Clause
#include "apps/common/progress.h"

#include <cstdio>
#include <unistd.h>

namespace crema::app {

Progress::Progress() : is_terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
    finish();
}

void Progress::show(const std::string& text) {
    if (is_terminal_) {
        (void)std::fprintf(stderr, "\r\033[K%s", text.c_str());
        is_open_ = true;
    } else {
        (void)std::fprintf(stderr, "%s\n", text.c_str());
    }
}

void Progress::finish() {
    if (is_open_) {
        (void)std::fputc('\n', stderr);
        is_open_ = false;
    }
}

}  // namespace crema::app
