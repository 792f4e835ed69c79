// SPDX-License-Identifier: BSD-3-Clause
//
// Tests of another architecture run under QEMU's user mode (scripts/arm64), which serves most of
// Linux and not all: what it lacks skips by name, with the reason.
#pragma once

#include <cstdlib>
#include <gtest/gtest.h>

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): GTEST_SKIP() returns from where it stands
#define SKIP_UNDER_QEMU(what)                            \
    if (std::getenv("CREMA_UNDER_QEMU") != nullptr) {    \
        GTEST_SKIP() << "QEMU's user mode has no " what; \
    }
