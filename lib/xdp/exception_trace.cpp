// SPDX-License-Identifier: BSD-3-Clause
// The registration header has to come first.
// clang-format off
#include <rte_trace_point_register.h>
#include "lib/xdp/exception_trace.h"
// clang-format on

#pragma GCC diagnostic ignored "-Wold-style-cast"  // DPDK's macro, expanded here
RTE_TRACE_POINT_REGISTER(crema_trace_xdp_exception, crema.xdp.exception)
