// SPDX-License-Identifier: BSD-3-Clause
//
// A request either yields a value or says why not. Three kinds of failure, three means: a bug is a
// CREMA_CHECK (check.h), a failed request is a Result, a bad packet is a verdict and a counter.
// Nothing on the packet path returns a Result.
#pragma once

#include <fmt/format.h>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace crema {

/// Why a request failed. `code` is a positive errno value; `message` is one line that says what,
/// where, why and, where that helps, what to do. No trailing newline.
struct Error {
    int code = 0;
    std::string message;
};

/// tl::expected that may not be dropped silently.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
  public:
    using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

/// Returns the error branch of a Result: `return fail(EINVAL, "ring of {} descriptors", n);`
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> fail(int code,
                                         fmt::format_string<Args...> text,
                                         Args&&... args) {
    return tl::unexpected<Error>(Error{code, fmt::format(text, std::forward<Args>(args)...)});
}

/// Hands on an error unchanged: `if (!r) return forward_error(r);`
template <typename T>
[[nodiscard]] tl::unexpected<Error> forward_error(const Result<T>& failed) {
    return tl::unexpected<Error>(failed.error());
}

}  // namespace crema
