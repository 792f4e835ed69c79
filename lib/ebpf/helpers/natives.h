// SPDX-License-Identifier: BSD-3-Clause
//
// The native functions behind the prototypes, one file per family. Compiled code calls them as
// abi/native.h says, never through a C++ prototype of other types. They run on the packet path: no
// allocation, lock or system call.
#pragma once

#include <cstdint>

#include "lib/ebpf/abi/native.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/maps/map.h"

namespace crema::ebpf::helpers {

using ebpf::NativeFunction;

// lookup.cpp; r1 map, r2 key, r5 context. Result: address of the value, or 0.
NativeFunction lookup_any;
NativeFunction lookup_array;
NativeFunction lookup_percpu_array;
NativeFunction lookup_devmap;
NativeFunction lookup_devmap_hash;

// redirect.cpp; redirect: r1 ifindex, r2 flags; redirect_map: r1 map, r2 key, r3 flags; r5 context.
NativeFunction redirect;
NativeFunction redirect_map_any;
NativeFunction redirect_map_devmap;
NativeFunction redirect_map_devmap_hash;
NativeFunction redirect_map_cpumap;

// adjust.cpp; r1 context, r2 signed 32-bit offset. Result: 0 or a negative errno.
NativeFunction xdp_adjust_head;
NativeFunction xdp_adjust_meta;
NativeFunction xdp_adjust_tail;

// packet_bytes.cpp; r1 context, r2 offset in the frame, r3 memory, r4 its size.
NativeFunction xdp_get_buff_len;
NativeFunction xdp_load_bytes;
NativeFunction xdp_store_bytes;

// checksum.cpp; r1 from, r2 its size, r3 to, r4 its size, r5 seed. Result: 0..0xffff.
NativeFunction csum_diff;

// time.cpp; no arguments. Result: nanoseconds, or ticks.
NativeFunction ktime_get_ns;
NativeFunction ktime_get_boot_ns;
NativeFunction ktime_get_coarse_ns;
NativeFunction ktime_get_tai_ns;
NativeFunction jiffies64;

// random.cpp; no arguments.
NativeFunction get_prandom_u32;

// identity.cpp; arguments there. get_smp_processor_id: r5 context.
NativeFunction get_smp_processor_id;
NativeFunction get_numa_node_id;
NativeFunction get_current_pid_tgid;
NativeFunction get_current_uid_gid;
NativeFunction get_current_comm;
NativeFunction get_current_task;
NativeFunction get_cgroup_classid;
NativeFunction get_current_cgroup_id;
NativeFunction get_current_ancestor_cgroup_id;
NativeFunction get_ns_current_pid_tgid;
NativeFunction send_signal;  // also send_signal_thread
NativeFunction get_branch_snapshot;

// fib.cpp; they need fib::start_mirror.
NativeFunction fib_lookup;
NativeFunction check_mtu;

// print.cpp
NativeFunction trace_printk;
NativeFunction trace_vprintk;
NativeFunction snprintf;

// strings.cpp
NativeFunction strncmp;
NativeFunction strtol;
NativeFunction strtoul;

// probe_read.cpp; r1 memory, r2 its size, r3 address.
NativeFunction probe_read_kernel;
NativeFunction probe_read_kernel_str;
NativeFunction probe_read_user;
NativeFunction probe_read_user_str;

// syncookies.cpp; r1 IP header, r2 TCP header, r3 its size.
NativeFunction tcp_raw_gen_syncookie_ipv4;
NativeFunction tcp_raw_gen_syncookie_ipv6;
NativeFunction tcp_raw_check_syncookie_ipv4;
NativeFunction tcp_raw_check_syncookie_ipv6;

// dynptr.cpp
NativeFunction dynptr_from_mem;
NativeFunction dynptr_read;
NativeFunction dynptr_write;
NativeFunction dynptr_data;

// loop.cpp
NativeFunction loop;

// timers.cpp; timer_start: r5 context.
NativeFunction timer_init;
NativeFunction timer_set_callback;
NativeFunction timer_start;
NativeFunction timer_cancel;

// sockets.cpp
NativeFunction no_socket;  // of every lookup and cast
NativeFunction sk_release;
NativeFunction tcp_syncookie_of_socket;  // tcp_check_syncookie, tcp_gen_syncookie

/// A number that stands for an address where it is printed (random.cpp).
[[nodiscard]] std::uint64_t hash_of_pointer(std::uint64_t address);

/// What r1 of a map helper holds: lowering loads the address of the Map object.
[[nodiscard]] inline std::uint64_t map_argument(const maps::Map& map) {
    return reinterpret_cast<std::uintptr_t>(&map);
}

/// The map behind r1. Concrete: the class of the map's type, which the caller has established.
template <typename Concrete = maps::Map>
[[nodiscard]] inline const Concrete& map_of(std::uint64_t r1) {
    return *static_cast<const Concrete*>(reinterpret_cast<const maps::Map*>(r1));
}

/// r0 of a helper that ends with `code`, 0 or a negative errno.
[[nodiscard]] inline std::uint64_t result_of(int code) {
    return static_cast<std::uint64_t>(std::int64_t{code});
}

/// r0 of a helper that fails with `error`, a positive errno.
[[nodiscard]] inline std::uint64_t error_result(int error) {
    return result_of(-error);
}

[[nodiscard]] inline std::uint8_t* memory_at(std::uint64_t address) {
    return reinterpret_cast<std::uint8_t*>(address);
}

[[nodiscard]] inline XdpBuff& context_of(std::uint64_t argument) {
    return *reinterpret_cast<XdpBuff*>(argument);
}

}  // namespace crema::ebpf::helpers
