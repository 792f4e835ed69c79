// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/xskmap.h"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>

namespace crema::ebpf::maps {

Result<std::shared_ptr<Map>> Xskmap::make(const MapSpec& spec) {
    return std::make_shared<Xskmap>(spec);
}

int Xskmap::do_lookup(const void* /*key*/, void* /*value_out*/) {
    return -EOPNOTSUPP;
}

int Xskmap::do_update(const void* key, const void* value, std::uint64_t flags) {
    if (flags > kExist) {
        return -EINVAL;
    }
    if (load_index(key) >= spec().max_entries) {
        return -E2BIG;
    }
    std::int32_t fd = -1;
    std::memcpy(&fd, value, sizeof fd);
    int domain = 0;
    socklen_t bytes = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) == 0) {
        return -EOPNOTSUPP;  // of another family; or of this one, which cannot be served here
    }
    return errno == EBADF ? -EBADF : -ENOTSOCK;
}

int Xskmap::do_erase(const void* key) {
    return load_index(key) >= spec().max_entries ? -EINVAL : 0;
}

}  // namespace crema::ebpf::maps
