// SPDX-License-Identifier: BSD-3-Clause
//
// bpf(2) in user space: one handler per command, over the objects of object_store.h. interpose.cpp
// brings libbpf's calls here; tests call it directly. Nothing reaches the kernel's bpf(2).
//
// Served: MAP_CREATE, MAP_{LOOKUP,UPDATE,DELETE}_ELEM, MAP_GET_NEXT_KEY, LOOKUP_AND_DELETE_ELEM,
// the batch commands, MAP_FREEZE, PROG_LOAD (XDP; libbpf's feature probes of other types are
// accepted without code), BTF_LOAD, PROG_BIND_MAP, OBJ_GET_INFO_BY_FD. LINK_CREATE is EBADF, which
// libbpf's probe expects; anything else EINVAL.
//
// Thread: any; element commands of all threads are serialised, as maps/map.h asks.
// Source: Linux 6.1 <linux/bpf.h>, behaviour of kernel 6.18.
#pragma once

#include <cstdint>

namespace crema::ebpf::syscall {

/// attr: union bpf_attr of the caller, `size` bytes; shorter means zeros behind it, longer must be
/// zero there (E2BIG). Returns a result >= 0 (often a new descriptor) or a negative errno.
[[nodiscard]] long serve(int command, void* attr, std::uint32_t size);

}  // namespace crema::ebpf::syscall
