// SPDX-License-Identifier: BSD-3-Clause
//
// The context of the run on this thread, for compiled functions that get none as an argument: the
// first function of a program that has such functions leaves its own here (lowering), and so does
// whoever runs a callback outside of a run (timers).
#pragma once

#include <cstdint>

namespace crema::ebpf {

[[gnu::tls_model("initial-exec")]] inline constinit thread_local std::uint64_t t_callback_context =
    0;

}  // namespace crema::ebpf
