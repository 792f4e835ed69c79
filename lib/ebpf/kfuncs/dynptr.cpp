// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_dynptr_*: slices, cuts and copies of dynptrs (helpers/dynptr.h has their form). A dynptr of a
// frame keeps the frame's length of when it was made; the frame itself is asked at every access, so
// one that has shrunk since is not read behind its end.
#include "lib/ebpf/helpers/dynptr.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "lib/ebpf/helpers/frame_pieces.h"
#include "lib/ebpf/kfuncs/natives.h"

namespace crema::ebpf::kfuncs {

namespace {

using helpers::Dynptr;
using helpers::dynptr_at;
using helpers::memory_at;

bool is_frame(const Dynptr& dynptr) {
    return dynptr.kind == static_cast<std::uint32_t>(Dynptr::Kind::frame);
}

/// Where bytes [offset, offset + bytes) of the dynptr lie, or null; null, too, when they lie in
/// several fragments.
std::uint8_t* place_in(const Dynptr& dynptr, std::uint32_t offset, std::uint32_t bytes) {
    if (dynptr.data == 0 || !dynptr.holds(offset, bytes)) {
        return nullptr;
    }
    const std::uint32_t at = dynptr.offset + offset;
    if (!is_frame(dynptr)) {
        return memory_at(dynptr.data + at);
    }
    const XdpBuff& buff = helpers::context_of(dynptr.data);
    return helpers::check_range(buff, at, bytes) == 0 ? helpers::place_of(buff, at, bytes)
                                                      : nullptr;
}

constexpr std::uint32_t kChunkBytes = 256;  // of what is copied by way of the stack

std::uint64_t as_result(const std::uint8_t* place) {
    return reinterpret_cast<std::uintptr_t>(place);
}

}  // namespace

// r1 context, r2 flags, r3 dynptr.
std::uint64_t dynptr_from_xdp(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    Dynptr& dynptr = dynptr_at(r3);
    helpers::set_null(dynptr);
    if (r2 != 0) {
        return int_error(EINVAL);
    }
    const XdpBuff& buff = helpers::context_of(r1);
    dynptr.data = r1;
    dynptr.size = frame_bytes(buff) & helpers::kDynptrBytesMax;
    dynptr.kind = static_cast<std::uint32_t>(Dynptr::Kind::frame);
    return 0;
}

// r1 dynptr, r2 offset, r3 buffer or 0, r4 its size. Result: address or 0. What lies in several
// fragments is copied to the buffer, which is the result then. Bytes that a frame has lost since
// its dynptr was made are none.
std::uint64_t dynptr_slice(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    const Dynptr& dynptr = dynptr_at(r1);
    const auto offset = static_cast<std::uint32_t>(r2);
    const auto bytes = static_cast<std::uint32_t>(r4);
    if (const std::uint8_t* const place = place_in(dynptr, offset, bytes); place != nullptr)
        [[likely]] {
        return as_result(place);
    }
    if (r3 == 0 || dynptr.data == 0 || !is_frame(dynptr) || !dynptr.holds(offset, bytes)) {
        return 0;
    }
    const std::uint64_t error =
        helpers::xdp_load_bytes(dynptr.data, std::uint64_t{dynptr.offset} + offset, r3, bytes, 0);
    return error == 0 ? r3 : 0;
}

// As above, and the result may be written to. It never lies in the program's own frame, where
// writes through it would change what the verifier believes to know: what lies in several fragments
// has no address here.
std::uint64_t dynptr_slice_rdwr(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t r4, std::uint64_t) {
    const Dynptr& dynptr = dynptr_at(r1);
    return dynptr.is_read_only != 0 ? 0
                                    : as_result(place_in(dynptr, static_cast<std::uint32_t>(r2),
                                                         static_cast<std::uint32_t>(r4)));
}

// r1 dynptr, r2 start, r3 end: becomes [start, end) of itself.
std::uint64_t dynptr_adjust(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    Dynptr& dynptr = dynptr_at(r1);
    const auto start = static_cast<std::uint32_t>(r2);
    const auto end = static_cast<std::uint32_t>(r3);
    if (dynptr.data == 0 || start > end) {
        return int_error(EINVAL);
    }
    if (end > dynptr.size) {
        return int_error(ERANGE);
    }
    dynptr.offset += start;
    dynptr.size = (end - start) & helpers::kDynptrBytesMax;
    return 0;
}

// r1 dynptr, r2 the new one.
std::uint64_t dynptr_clone(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    const Dynptr original = dynptr_at(r1);
    Dynptr& clone = dynptr_at(r2);
    if (original.data == 0) {
        helpers::set_null(clone);
        return int_error(EINVAL);
    }
    clone = original;
    return 0;
}

// r1 destination, r2 offset there, r3 source, r4 offset there, r5 bytes.
std::uint64_t dynptr_copy(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    const Dynptr& to = dynptr_at(r1);
    const Dynptr& from = dynptr_at(r3);
    const auto to_offset = static_cast<std::uint32_t>(r2);
    const auto from_offset = static_cast<std::uint32_t>(r4);
    const auto bytes = static_cast<std::uint32_t>(r5);
    const std::uint8_t* const source = place_in(from, from_offset, bytes);
    std::uint8_t* const target = to.is_read_only == 0 ? place_in(to, to_offset, bytes) : nullptr;
    if (source != nullptr && target != nullptr) {
        std::memmove(target, source, bytes);
        return 0;
    }
    // One of the two cannot be: the helper that would read or write it says why.
    if (source != nullptr) {
        return static_cast<std::uint32_t>(
            helpers::dynptr_write(r1, to_offset, as_result(source), bytes, 0));
    }
    if (target != nullptr) {
        return static_cast<std::uint32_t>(
            helpers::dynptr_read(as_result(target), bytes, r3, from_offset, 0));
    }
    if (!to.holds(to_offset, bytes) || !from.holds(from_offset, bytes)) {
        return int_error(E2BIG);
    }
    std::array<std::uint8_t, kChunkBytes> chunk;
    const auto address = as_result(chunk.data());
    std::uint64_t error = 0;
    for (std::uint32_t at = 0; at < bytes && error == 0; at += kChunkBytes) {
        const std::uint32_t part = std::min(bytes - at, kChunkBytes);
        error = helpers::dynptr_read(address, part, r3, from_offset + at, 0);
        error = error != 0 ? error : helpers::dynptr_write(r1, to_offset + at, address, part, 0);
    }
    return static_cast<std::uint32_t>(error);
}

// r1 dynptr, r2 offset, r3 bytes, r4 value.
std::uint64_t dynptr_memset(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t) {
    const Dynptr& dynptr = dynptr_at(r1);
    const auto offset = static_cast<std::uint32_t>(r2);
    const auto bytes = static_cast<std::uint32_t>(r3);
    if (dynptr.is_read_only != 0) {
        return int_error(EINVAL);
    }
    if (!dynptr.holds(offset, bytes)) {
        return int_error(E2BIG);
    }
    if (std::uint8_t* const place = place_in(dynptr, offset, bytes); place != nullptr) [[likely]] {
        std::memset(place, static_cast<std::uint8_t>(r4), bytes);
        return 0;
    }
    std::array<std::uint8_t, kChunkBytes> chunk;
    chunk.fill(static_cast<std::uint8_t>(r4));
    std::uint64_t error = 0;
    for (std::uint32_t at = 0; at < bytes && error == 0; at += kChunkBytes) {
        error = helpers::dynptr_write(r1, offset + at, as_result(chunk.data()),
                                      std::min(bytes - at, kChunkBytes), 0);
    }
    return static_cast<std::uint32_t>(error);
}

std::uint64_t dynptr_is_null(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return dynptr_at(r1).data == 0 ? 1 : 0;
}

std::uint64_t dynptr_is_rdonly(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    const Dynptr& dynptr = dynptr_at(r1);
    return dynptr.data != 0 && dynptr.is_read_only != 0 ? 1 : 0;
}

std::uint64_t dynptr_size(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    const Dynptr& dynptr = dynptr_at(r1);
    return dynptr.data == 0 ? int_error(EINVAL) : dynptr.size;
}

}  // namespace crema::ebpf::kfuncs
