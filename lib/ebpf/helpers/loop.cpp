// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_loop: calls a function of the program up to r1 times. r1 count, r2 function, r3 its context,
// r4 flags. Result: calls made.
#include <cerrno>

#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

std::uint64_t loop(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    constexpr std::uint32_t kCallsMax = 8 * 1024 * 1024;
    const auto count = static_cast<std::uint32_t>(r1);
    if (r4 != 0) {
        return error_result(EINVAL);
    }
    if (count > kCallsMax) {
        return error_result(E2BIG);
    }
    auto* const function = reinterpret_cast<NativeFunction*>(r2);
    for (std::uint32_t i = 0; i < count; ++i) {
        if (function(i, r3, 0, 0, 0) != 0) {
            return std::uint64_t{i} + 1;
        }
    }
    return count;
}

}  // namespace crema::ebpf::helpers
