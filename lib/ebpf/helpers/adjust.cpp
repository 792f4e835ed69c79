// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_xdp_adjust_head: moves the start of the frame. Limits and errors are the kernel's: at least
// 14 bytes of frame stay, the reserve in front of the headroom is never given out, metadata moves
// along, newly exposed bytes keep what they held. An error changes nothing.
#include <cerrno>
#include <cstring>

#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

std::uint64_t xdp_adjust_head(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    XdpBuff& buff = context_of(r1);
    const std::int64_t offset = static_cast<std::int32_t>(r2);
    const std::int64_t meta_bytes = buff.data - buff.data_meta;
    const std::int64_t headroom = buff.data - buff.data_hard_start - kFrameReserve - meta_bytes;
    const std::int64_t removable = buff.data_end - buff.data - kFrameBytesMin;
    if (-offset > headroom || offset > removable) [[unlikely]] {
        return static_cast<std::uint64_t>(-EINVAL);
    }
    if (meta_bytes != 0) {
        std::memmove(buff.data_meta + offset, buff.data_meta, static_cast<std::size_t>(meta_bytes));
    }
    buff.data_meta += offset;
    buff.data += offset;
    return 0;
}

}  // namespace crema::ebpf::helpers
