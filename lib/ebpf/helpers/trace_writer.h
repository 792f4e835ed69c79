// SPDX-License-Identifier: BSD-3-Clause
//
// Writes the lines of trace_printk to a file, in the form of the kernel's trace_pipe. Wanted by the
// environment: CREMA_TRACE_PIPE names the file (appended to; a FIFO will do), "-" is stderr.
#pragma once

#include "lib/base/result.h"

namespace crema::ebpf::helpers {

/// Starts the control thread that writes, when the environment asks for it and none runs; it ends
/// with the process, after the last line. Error: the file cannot be opened.
[[nodiscard]] Status start_trace_writer();

}  // namespace crema::ebpf::helpers
