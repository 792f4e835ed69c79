// SPDX-License-Identifier: BSD-3-Clause
//
// Trace point "crema.xdp.exception": a program returned ABORTED or a verdict that has no meaning
// where it ran. The same facts as the kernel's xdp:xdp_exception. Off it costs one load on a path
// that a healthy program never takes; EAL's --trace=crema.xdp.exception switches it on.
#pragma once

#include <cstdint>

#include <rte_trace_point.h>

// Not namespaced: DPDK's macro makes an inline function and an extern of this name.
RTE_TRACE_POINT(crema_trace_xdp_exception,
                RTE_TRACE_POINT_ARGS(std::uint32_t program_id,
                                     std::uint32_t act,
                                     std::uint32_t ifindex,
                                     std::uint32_t queue),
                rte_trace_point_emit_u32(program_id);
                rte_trace_point_emit_u32(act);
                rte_trace_point_emit_u32(ifindex);
                rte_trace_point_emit_u32(queue);)
