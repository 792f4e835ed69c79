// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_dynptr_from_mem, bpf_dynptr_read, bpf_dynptr_write and bpf_dynptr_data. A dynptr of a frame
// is read and written as xdp_load_bytes and xdp_store_bytes do; it has no address.
#include "lib/ebpf/helpers/dynptr.h"

#include <cerrno>
#include <cstring>

namespace crema::ebpf::helpers {

namespace {

bool is_frame(const Dynptr& dynptr) {
    return dynptr.kind == static_cast<std::uint32_t>(Dynptr::Kind::frame);
}

std::uint8_t* place_in(const Dynptr& dynptr, std::uint32_t offset) {
    return memory_at(dynptr.data + dynptr.offset + offset);
}

}  // namespace

// r1 memory, r2 its size, r3 flags, r4 dynptr.
std::uint64_t dynptr_from_mem(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    const auto size = static_cast<std::uint32_t>(r2);
    const int error = size > kDynptrBytesMax ? E2BIG : r3 != 0 ? EINVAL : 0;
    if (error != 0) {
        set_null(dynptr_at(r4));
        return error_result(error);
    }
    set_memory(dynptr_at(r4), r1, size);
    return 0;
}

// r1 memory, r2 its size, r3 dynptr, r4 offset, r5 flags.
std::uint64_t dynptr_read(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    const Dynptr& dynptr = dynptr_at(r3);
    const auto bytes = static_cast<std::uint32_t>(r2);
    const auto offset = static_cast<std::uint32_t>(r4);
    if (dynptr.data == 0 || r5 != 0) {
        return error_result(EINVAL);
    }
    if (!dynptr.holds(offset, bytes)) {
        return error_result(E2BIG);
    }
    if (is_frame(dynptr)) {
        return xdp_load_bytes(dynptr.data, std::uint64_t{dynptr.offset} + offset, r1, bytes, 0);
    }
    if (bytes != 0) {  // of nothing the address may be null
        std::memmove(memory_at(r1), place_in(dynptr, offset), bytes);
    }
    return 0;
}

// r1 dynptr, r2 offset, r3 memory, r4 its size, r5 flags.
std::uint64_t dynptr_write(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    const Dynptr& dynptr = dynptr_at(r1);
    const auto offset = static_cast<std::uint32_t>(r2);
    const auto bytes = static_cast<std::uint32_t>(r4);
    if (dynptr.data == 0 || dynptr.is_read_only != 0) {
        return error_result(EINVAL);
    }
    if (!dynptr.holds(offset, bytes)) {
        return error_result(E2BIG);
    }
    if (r5 != 0) {
        return error_result(EINVAL);
    }
    if (is_frame(dynptr)) {
        return xdp_store_bytes(dynptr.data, std::uint64_t{dynptr.offset} + offset, r3, bytes, 0);
    }
    if (bytes != 0) {
        std::memmove(place_in(dynptr, offset), memory_at(r3), bytes);
    }
    return 0;
}

// r1 dynptr, r2 offset, r3 size. Result: address or 0.
std::uint64_t dynptr_data(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    const Dynptr& dynptr = dynptr_at(r1);
    const auto offset = static_cast<std::uint32_t>(r2);
    if (dynptr.data == 0 || dynptr.is_read_only != 0 || is_frame(dynptr) ||
        !dynptr.holds(offset, static_cast<std::uint32_t>(r3))) {
        return 0;
    }
    return reinterpret_cast<std::uintptr_t>(place_in(dynptr, offset));
}

}  // namespace crema::ebpf::helpers
