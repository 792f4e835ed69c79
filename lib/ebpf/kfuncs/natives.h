// SPDX-License-Identifier: BSD-3-Clause
//
// The native functions behind the rows of kfuncs.h. Called like those of helpers (r1..r5 in, r0
// out). Results are as wide as the C type: an int is zero-extended, as compiled kernel code leaves
// it, not sign-extended like a helper's.
#pragma once

#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::kfuncs {

using helpers::NativeFunction;

/// A kfunc's `int` that is a negative errno.
[[nodiscard]] constexpr std::uint64_t int_error(int error) {
    return static_cast<std::uint32_t>(-error);
}

// dynptr.cpp
NativeFunction dynptr_from_xdp;
NativeFunction dynptr_slice;
NativeFunction dynptr_slice_rdwr;
NativeFunction dynptr_adjust;
NativeFunction dynptr_clone;
NativeFunction dynptr_copy;
NativeFunction dynptr_memset;
NativeFunction dynptr_is_null;
NativeFunction dynptr_is_rdonly;
NativeFunction dynptr_size;

// iterators.cpp
NativeFunction iter_num_new;
NativeFunction iter_num_next;
NativeFunction iter_num_destroy;

// packet.cpp; region_marker: of regions that mean nothing where a worker owns its core
NativeFunction xdp_pull_data;
NativeFunction no_device_metadata;
NativeFunction region_marker;

}  // namespace crema::ebpf::kfuncs
