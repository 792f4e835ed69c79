// SPDX-License-Identifier: BSD-3-Clause
// What a Result keeps, what it hands out, and that errors cross it unchanged.

#include "lib/base/result.h"

#include <cerrno>
#include <gtest/gtest.h>

namespace crema {
namespace {

Result<int> half_of(int value) {
    if (value % 2 != 0) {
        return fail(EINVAL, "{} is odd", value);
    }
    return value / 2;
}

TEST(Result, CarriesValue) {
    const auto result = half_of(8);
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(*result, 4);
}

TEST(Result, CarriesOneLineError) {
    const auto result = half_of(7);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, EINVAL);
    EXPECT_EQ(result.error().message, "7 is odd");
}

}  // namespace
}  // namespace crema
