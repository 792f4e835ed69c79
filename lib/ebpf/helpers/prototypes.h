// SPDX-License-Identifier: BSD-3-Clause
//
// Helper prototypes as data, for every helper that a kernel lets an XDP program call: the verifier
// checks calls against them, lowering binds the native function. Rows lie in prototypes/, one file
// per family. A row without native function verifies and is refused by lowering, by name.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "lib/ebpf/abi/native.h"
#include "lib/ebpf/maps/map.h"

namespace crema::ebpf::helpers {

enum class ArgKind : std::uint8_t {
    none,
    unchecked,      // passed on as it is, even never written (arguments behind a format)
    anything,       // any initialised register
    ctx,            // the program's context
    map,            // const map pointer (LD_IMM64 kPseudoMap, or looked up in a map of maps)
    map_key,        // key_size bytes of the call's map
    map_value,      // value_size bytes of the call's map
    memory,         // `bytes` bytes, or as many as the following size argument says
    size,           // of the memory argument before: at least 1
    size_or_zero,   // of the memory argument before
    alloc_size,     // constant: size of the memory that the call returns
    const_string,   // constant, ended by NUL, in a frozen read-only map
    spin_lock,      // in a map value or allocated object
    timer,          // in a map value
    callback,       // address of a function of the program
    frame_or_null,  // context of a callback: frame address or constant zero
    ringbuf_record,
    dynptr,
    sock_common,    // any socket
    sock_known,     // any socket, but not as a structure of the kernel
    kernel_object,  // of class Arg::object
    kptr_field,     // where kptr_xchg puts its object
    owned_object,   // what it puts there
    percpu_object,
};

/// What a pointer argument is used for.
enum class Use : std::uint8_t {
    read,
    write,   // need not be initialised before, is after
    update,  // read and written
};

enum class DynptrKind : std::uint8_t { any, local, ringbuf, xdp };

/// Kernel structures that programs hold pointers to.
enum class KernelObject : std::uint8_t {
    none,
    task_struct,
    cgroup,
    pt_regs,
    tcp6_sock,
    tcp_sock,
    tcp_timewait_sock,
    tcp_request_sock,
    udp6_sock,
    unix_sock,
    mptcp_sock,
};

struct Arg {
    ArgKind kind = ArgKind::none;
    Use use = Use::read;
    bool nullable = false;
    bool releases = false;    // the object is the helper's from then on
    bool aligned = false;     // memory: to its size
    std::uint16_t bytes = 0;  // memory of fixed size
    DynptrKind dynptr = DynptrKind::any;
    KernelObject object = KernelObject::none;
};

enum class ReturnKind : std::uint8_t {
    integer,
    nothing,
    map_value_or_null,
    ringbuf_record_or_null,  // size: the alloc_size argument
    dynptr_slice_or_null,    // size: the alloc_size argument
    socket_or_null,
    sock_common_or_null,
    kernel_object,  // of class Return::object
    kernel_object_or_null,
    kptr_or_null,  // what lay in the kptr field
    percpu_object,
    percpu_object_or_null,
};

struct Return {
    ReturnKind kind = ReturnKind::integer;
    KernelObject object = KernelObject::none;
    bool acquires = false;  // must be released
};

/// How often and when a callback argument runs.
enum class CallbackRule : std::uint8_t { none, loop, each_element, timer, user_ringbuf, vma };

/// What a call compiles to. A helper with `wants_context` gets the
/// XdpBuff* of the running program in r5 (lowering loads it), whatever the program had there: only
/// for helpers of at most four arguments.
using ebpf::Native;

struct Prototype {
    std::uint32_t id = 0;
    Return returns{};
    std::array<Arg, 5> args{};
    CallbackRule callback = CallbackRule::none;
    bool moves_packet = false;  // invalidates all packet pointers
    bool packet_args = false;   // memory arguments may lie in the packet
    bool gpl_only = false;
    bool sleeps = false;         // never callable from XDP
    bool wants_context = false;  // native function takes XdpBuff* in r5
    Native native = nullptr;     // of any map type; null: not served (or only for some map types)

    /// r1..r5 that a call reads, one bit each.
    [[nodiscard]] constexpr std::uint16_t registers_read() const {
        unsigned set = 0;
        for (unsigned i = 0; i < args.size() && args[i].kind != ArgKind::none; ++i) {
            set |= 2U << i;
        }
        return static_cast<std::uint16_t>(set);
    }

    /// A call may change memory that the program reads (its frame, for one).
    [[nodiscard]] constexpr bool writes_memory() const {
        return callback != CallbackRule::none ||
               std::any_of(args.begin(), args.end(), [](const Arg& arg) {
                   return arg.use != Use::read || arg.kind == ArgKind::dynptr;
               });
    }
};

/// Null when XDP programs may not call `id` in a kernel.
[[nodiscard]] const Prototype* find(std::uint32_t id);

/// Kernel name of helper `id` without "bpf_", also for helpers that XDP may not call; "unknown"
/// when the kernel has none of that number.
[[nodiscard]] const char* name_of(std::uint32_t id);

/// The kernel's name of the structure ("tcp_sock").
[[nodiscard]] const char* name_of(KernelObject object);

/// May helper `id` be called on a map of that type? Same matrix as the kernel's.
[[nodiscard]] bool takes_map_type(std::uint32_t id, maps::MapType type);

/// The native function for helper `id` on a map of type `type`; falls back to Prototype::native.
/// Null: not served.
[[nodiscard]] Native native_for(std::uint32_t id, maps::MapType type);

}  // namespace crema::ebpf::helpers
