// SPDX-License-Identifier: BSD-3-Clause
//
// Helpers about sockets, which are the kernel's and not ours. A lookup finds none, a legal answer
// that programs expect; so what takes a socket is never reached with one.
#include <cerrno>

#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

std::uint64_t no_socket(std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return 0;
}

std::uint64_t sk_release(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return 0;
}

std::uint64_t tcp_syncookie_of_socket(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return error_result(EINVAL);
}

}  // namespace crema::ebpf::helpers
