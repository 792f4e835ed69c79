// SPDX-License-Identifier: BSD-3-Clause
//
// Trace points of the packet path, with the names and facts of the kernel's category xdp: an
// exception (ABORTED, or a verdict that has no meaning where it was given) and a failed redirect
// once per frame, what was sent once per burst. Off each costs one load; EAL's
// --trace=crema.xdp.exception switches one on, --trace=crema.xdp.* all.
//
// People who do not trace hear of failures by events.h, which needs no start option.
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

RTE_TRACE_POINT(crema_trace_xdp_redirect_err,
                RTE_TRACE_POINT_ARGS(std::uint32_t program_id,
                                     std::uint32_t ifindex,
                                     std::int32_t err,
                                     std::uint32_t to_ifindex,
                                     std::uint32_t map_id,
                                     std::uint32_t map_index),
                rte_trace_point_emit_u32(program_id);
                rte_trace_point_emit_u32(ifindex);
                rte_trace_point_emit_i32(err);
                rte_trace_point_emit_u32(to_ifindex);
                rte_trace_point_emit_u32(map_id);
                rte_trace_point_emit_u32(map_index);)

// Frames with verdict TX.
RTE_TRACE_POINT(crema_trace_xdp_bulk_tx,
                RTE_TRACE_POINT_ARGS(std::uint32_t ifindex,
                                     std::uint32_t sent,
                                     std::uint32_t drops),
                rte_trace_point_emit_u32(ifindex);
                rte_trace_point_emit_u32(sent);
                rte_trace_point_emit_u32(drops);)

RTE_TRACE_POINT(crema_trace_xdp_devmap_xmit,
                RTE_TRACE_POINT_ARGS(std::uint32_t from_ifindex,
                                     std::uint32_t to_ifindex,
                                     std::uint32_t sent,
                                     std::uint32_t drops),
                rte_trace_point_emit_u32(from_ifindex);
                rte_trace_point_emit_u32(to_ifindex);
                rte_trace_point_emit_u32(sent);
                rte_trace_point_emit_u32(drops);)

RTE_TRACE_POINT(crema_trace_xdp_cpumap_enqueue,
                RTE_TRACE_POINT_ARGS(std::uint32_t cpu,
                                     std::uint32_t to_cpu,
                                     std::uint32_t processed,
                                     std::uint32_t drops),
                rte_trace_point_emit_u32(cpu);
                rte_trace_point_emit_u32(to_cpu);
                rte_trace_point_emit_u32(processed);
                rte_trace_point_emit_u32(drops);)

RTE_TRACE_POINT(crema_trace_xdp_cpumap_kthread,
                RTE_TRACE_POINT_ARGS(std::uint32_t cpu,
                                     std::uint32_t processed,
                                     std::uint32_t pass,
                                     std::uint32_t drop,
                                     std::uint32_t redirect),
                rte_trace_point_emit_u32(cpu);
                rte_trace_point_emit_u32(processed);
                rte_trace_point_emit_u32(pass);
                rte_trace_point_emit_u32(drop);
                rte_trace_point_emit_u32(redirect);)
