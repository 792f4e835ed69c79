// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_xdp_pull_data and bpf_xdp_metadata_rx_*. A frame is one piece here, so nothing is left to
// pull; and no device here tells hash, time or tag of a frame, so each of the three says that it is
// not supported, as for a device of the kernel that has them not.
#include <cerrno>

#include "lib/ebpf/kfuncs/natives.h"

namespace crema::ebpf::kfuncs {

// r1 context, r2 bytes that must be in one piece.
std::uint64_t xdp_pull_data(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    const XdpBuff& buff = helpers::context_of(r1);
    const auto wanted = static_cast<std::uint32_t>(r2);
    return std::int64_t{wanted} > buff.data_end - buff.data ? int_error(EINVAL) : 0;
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
