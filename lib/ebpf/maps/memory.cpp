// SPDX-License-Identifier: BSD-3-Clause
//
// Pages for map values. Large private storage asks for huge pages: a lookup in a big array is then
// one TLB entry away.
#include "lib/ebpf/maps/memory.h"

#include <cerrno>
#include <sys/mman.h>
#include <unistd.h>

namespace crema::ebpf::maps {

namespace {
constexpr std::uint64_t kHugePageBytes = 2U << 20U;
}

Result<Memory> Memory::allocate(std::uint64_t bytes, Sharing sharing) {
    const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    const std::uint64_t pages = (bytes + page - 1) / page;
    if (pages > static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES))) {
        return fail(ENOMEM, "map values of {} bytes: more than this machine has", bytes);
    }
    const std::size_t whole = pages * page;
    UniqueFd fd;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (sharing == Sharing::memfd) {
        fd = UniqueFd(memfd_create("crema-map", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        if (fd.get() < 0 || ftruncate(fd.get(), static_cast<off_t>(whole)) != 0) {
            return fail(ENOMEM, "map values of {} bytes: no shared memory, errno {}", bytes, errno);
        }
        flags = MAP_SHARED;
    }
    void* data = mmap(nullptr, whole, PROT_READ | PROT_WRITE, flags, fd.get(), 0);
    if (data == MAP_FAILED) {
        return fail(ENOMEM, "map values of {} bytes: mmap, errno {}", bytes, errno);
    }
    if (sharing == Sharing::private_pages && whole >= kHugePageBytes) {
        // Advice only: a kernel without huge pages serves small ones.
        static_cast<void>(madvise(data, whole, MADV_HUGEPAGE));
    }
    return Memory(static_cast<std::uint8_t*>(data), whole, std::move(fd));
}

Memory::~Memory() {
    if (data_ != nullptr) {
        munmap(data_, bytes_);
    }
}

}  // namespace crema::ebpf::maps
