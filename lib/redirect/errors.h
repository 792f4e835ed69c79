// SPDX-License-Identifier: BSD-3-Clause
//
// Counting what redirect_errors() and broadcast_counters() in counters.h tell. Room-internal.
#pragma once

#include <cstdint>

#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/redirect/counters.h"

namespace crema::redirect {

/// error: negative, as the redirector's enqueue gives it; any thread.
void count_error(Via via, int error);

/// Frames that were taken first and refused by the target later. Any thread.
void count_refused_later(Via via, std::uint32_t n);

/// One frame for all slots.
void count_broadcast(bool to_nobody);
void count_broadcast_copy();
void count_broadcast_refused_later(std::uint32_t n);

/// How the program asked.
[[nodiscard]] Via via_of(const ebpf::RedirectTarget& target);

}  // namespace crema::redirect
