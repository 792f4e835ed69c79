// SPDX-License-Identifier: BSD-3-Clause
//
// bpf(2) in user space: one handler per command, over the objects of object_store.h. interpose.cpp
// brings libbpf's calls here; tests call it directly. Nothing reaches the kernel's bpf(2).
//
// Served: what kCommands in serve.cpp lists. PROG_LOAD takes XDP programs; libbpf's feature probes
// of other types are accepted without code. Any other command is EINVAL, as an unknown one is to
// the kernel.
//
// Thread: any; element commands of all threads are serialised, as maps/map.h asks.
// Source: Linux 6.1 <linux/bpf.h>, behaviour of kernel 6.18.
#pragma once

#include <cstdint>

namespace crema::ebpf::syscall {

/// attr: union bpf_attr of the caller, `size` bytes; shorter means zeros behind it, longer must be
/// zero there (E2BIG). Returns a result >= 0 (often a new descriptor) or a negative errno.
[[nodiscard]] long serve(int command, void* attr, std::uint32_t size);

/// libbpf's calls (interpose.cpp) leave this process like anybody's: it has joined another one that
/// serves them (lib/ebpf/supervise/control_socket.h).
void serve_elsewhere(bool elsewhere);
[[nodiscard]] bool served_elsewhere();

/// True when a result >= 0 of that command is a new descriptor.
[[nodiscard]] bool returns_descriptor(int command);

}  // namespace crema::ebpf::syscall
