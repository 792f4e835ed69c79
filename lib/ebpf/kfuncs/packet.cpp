// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_xdp_pull_data and bpf_xdp_metadata_rx_*. No device here tells hash, time or tag of a frame,
// so each of the three says that it is not supported, as for a device of the kernel that has them
// not.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/ebpf/abi/fragments.h"
#include "lib/ebpf/kfuncs/natives.h"

namespace crema::ebpf::kfuncs {

namespace {

/// Moves the first bytes of the fragments behind the first piece, which has room for them.
void pull(XdpBuff& buff, Fragments& fragments, std::uint32_t bytes) {
    while (bytes != 0) {
        Fragment& front = *fragments.begin();
        const std::uint32_t part = std::min(bytes, front.len);
        std::memcpy(buff.data_end, front.data, part);
        buff.data_end += part;
        front.data += part;
        front.len -= part;
        fragments.bytes -= part;
        bytes -= part;
        if (front.len == 0) {
            ++fragments.first;
            --fragments.n;
        }
    }
}

}  // namespace

// r1 context, r2 bytes that must be in one piece. Without room behind the first piece it moves to
// the front, its metadata with it.
std::uint64_t xdp_pull_data(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    XdpBuff& buff = helpers::context_of(r1);
    const auto wanted = static_cast<std::uint32_t>(r2);
    const std::int64_t missing = std::int64_t{wanted} - (buff.data_end - buff.data);
    if (missing <= 0) {
        return 0;
    }
    if (wanted > frame_bytes(buff)) {
        return int_error(EINVAL);
    }
    const std::int64_t headroom = buff.data_meta - buff.data_hard_start - kFrameReserve;
    const std::int64_t tailroom =
        buff.data_hard_start + buff.frame_sz - kTailReserve - buff.data_end;
    if (missing > headroom + tailroom) {
        return int_error(EINVAL);
    }
    if (const std::int64_t shift = missing - tailroom; shift > 0) {
        std::memmove(buff.data_meta - shift, buff.data_meta,
                     static_cast<std::size_t>(buff.data_end - buff.data_meta));
        buff.data_meta -= shift;
        buff.data -= shift;
        buff.data_end -= shift;
    }
    pull(buff, *buff.fragments, static_cast<std::uint32_t>(missing));
    return 0;
}

std::uint64_t no_device_metadata(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return int_error(EOPNOTSUPP);
}

// Programs run to completion on their core and see no map memory go (maps/reclaim.h).
std::uint64_t region_marker(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return 0;
}

}  // namespace crema::ebpf::kfuncs
