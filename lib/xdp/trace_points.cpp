// SPDX-License-Identifier: BSD-3-Clause
// The registration header has to come first.
// clang-format off
#include <rte_trace_point_register.h>
#include "lib/xdp/trace_points.h"
// clang-format on

#pragma GCC diagnostic ignored "-Wold-style-cast"  // DPDK's macro, expanded here
RTE_TRACE_POINT_REGISTER(crema_trace_xdp_exception, crema.xdp.exception)
RTE_TRACE_POINT_REGISTER(crema_trace_xdp_redirect_err, crema.xdp.redirect_err)
RTE_TRACE_POINT_REGISTER(crema_trace_xdp_bulk_tx, crema.xdp.bulk_tx)
RTE_TRACE_POINT_REGISTER(crema_trace_xdp_devmap_xmit, crema.xdp.devmap_xmit)
RTE_TRACE_POINT_REGISTER(crema_trace_xdp_cpumap_enqueue, crema.xdp.cpumap_enqueue)
RTE_TRACE_POINT_REGISTER(crema_trace_xdp_cpumap_kthread, crema.xdp.cpumap_kthread)
