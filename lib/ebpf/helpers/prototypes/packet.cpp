// SPDX-License-Identifier: BSD-3-Clause
//
// Packet bytes, redirection, checksums, routes, events with packet bytes.
#include <array>

#include "lib/ebpf/helpers/prototypes/families.h"

namespace crema::ebpf::helpers::prototypes {

namespace {

constexpr std::array kRows = {
    // redirect(ifindex, flags)
    Prototype{.id = 23, .args = {kAny, kAny}, .wants_context = true, .native = redirect},
    // perf_event_output(ctx, map, flags, data, size)
    Prototype{.id = 25,
              .args = {kCtx, kMap, kAny, kIn, kSizeOrZero},
              .gpl_only = true,
              .native = perf_event_output},
    // csum_diff(from, from_size, to, to_size, seed)
    Prototype{.id = 28,
              .args = {kInOrNull, kSizeOrZero, kInOrNull, kSizeOrZero, kAny},
              .packet_args = true,
              .native = csum_diff},
    // xdp_adjust_head(ctx, delta)
    Prototype{.id = 44, .args = {kCtx, kAny}, .moves_packet = true, .native = xdp_adjust_head},
    // redirect_map(map, key, flags)
    Prototype{
        .id = 51, .args = {kMap, kAny, kAny}, .wants_context = true, .native = redirect_map_any},
    // xdp_adjust_meta(ctx, delta)
    Prototype{.id = 54, .args = {kCtx, kAny}, .moves_packet = true, .native = xdp_adjust_meta},
    // xdp_adjust_tail(ctx, delta)
    Prototype{.id = 65, .args = {kCtx, kAny}, .moves_packet = true, .native = xdp_adjust_tail},
    // fib_lookup(ctx, params, size, flags)
    Prototype{
        .id = 69, .args = {kCtx, kInOut, kSize, kAny}, .gpl_only = true, .native = fib_lookup},
    // check_mtu(ctx, ifindex, mtu_len, len_diff, flags)
    Prototype{
        .id = 163,
        .args = {kCtx, kAny,
                 Arg{.kind = ArgKind::memory, .use = Use::update, .aligned = true, .bytes = 4},
                 kAny, kAny},
        .gpl_only = true,
        .native = check_mtu},
    // xdp_get_buff_len(ctx)
    Prototype{.id = 188, .args = {kCtx}, .native = xdp_get_buff_len},
    // xdp_load_bytes(ctx, offset, to, size)
    Prototype{.id = 189, .args = {kCtx, kAny, kOut, kSize}, .native = xdp_load_bytes},
    // xdp_store_bytes(ctx, offset, from, size)
    Prototype{.id = 190, .args = {kCtx, kAny, kIn, kSize}, .native = xdp_store_bytes},
};

}  // namespace

std::span<const Prototype> packet() {
    return kRows;
}

}  // namespace crema::ebpf::helpers::prototypes
