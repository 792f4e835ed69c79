// SPDX-License-Identifier: BSD-3-Clause
#include "lib/vfio/kernel/mapper.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace crema::vfio::kernel {

std::vector<DmaHole> holes_between(const std::vector<IovaRange>& usable) {
    constexpr std::uint64_t kEnd = std::uint64_t{1} << 32U;
    std::vector<DmaHole> all;
    std::uint64_t at = 0;
    for (const IovaRange& range : usable) {
        const std::uint64_t first = std::min(range.first, kEnd);
        if (first > at) {
            all.push_back({.start = at, .end = first});
        }
        at = range.last >= kEnd ? kEnd : std::max(at, range.last + 1);
    }
    if (!usable.empty() && at < kEnd) {
        all.push_back({.start = at, .end = kEnd});
    }
    return all;
}

tl::unexpected<Error> failed_at(const Place& place, const std::string& what) {
    const int code = errno;
    const char* hint = "";
    if (code == EBUSY) {
        hint = ": another program has it";
    } else if (code == EPERM || code == EACCES) {
        hint =
            ": root may, and whoever owns the node (without IOMMU: who has CAP_SYS_RAWIO); on some "
            "machines VFIO also wants allow_unsafe_interrupts=1";
    }
    return fail(code, "device={}: {}: {}{}", place.spec(), what, std::strerror(code), hint);
}

}  // namespace crema::vfio::kernel
