// SPDX-License-Identifier: BSD-3-Clause
//
// For tests beside the running kernel: they skip by name where bpf(2) may not be used.
#pragma once

#include <gtest/gtest.h>

#include "tests/support/kernel_bpf.h"

namespace crema::test {

class WithKernel : public testing::Test {
  protected:
    void SetUp() override {
        if (!kernel::available()) {
            GTEST_SKIP() << "bpf(2) is not permitted here: no kernel to compare with";
        }
    }
};

}  // namespace crema::test
