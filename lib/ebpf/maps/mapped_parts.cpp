// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/mapped_parts.h"

#include <cerrno>
#include <sys/mman.h>
#include <unistd.h>

namespace crema::ebpf::maps {

std::uint64_t page_bytes() {
    static const auto bytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    return bytes;
}

MappedParts::MappedParts(std::initializer_list<Part> parts) {
    for (const Part& part : parts) {
        bytes_ += part.bytes;
    }
    // Addresses for all first, then the files over them.
    void* const all = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) {
        return;
    }
    auto* at = static_cast<std::uint8_t*>(all);
    for (const Part& part : parts) {
        if (part.fd >= 0 && part.bytes != 0 &&
            mmap(at, part.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, part.fd,
                 static_cast<off_t>(part.offset)) == MAP_FAILED) {
            const int code = errno;
            munmap(all, bytes_);
            errno = code;
            return;
        }
        at += part.bytes;
    }
    data_ = static_cast<std::uint8_t*>(all);
}

MappedParts::~MappedParts() {
    if (data_ != nullptr) {
        munmap(data_, bytes_);
    }
}

}  // namespace crema::ebpf::maps
