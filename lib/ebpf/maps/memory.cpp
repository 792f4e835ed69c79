// SPDX-License-Identifier: BSD-3-Clause
//
// Pages for maps. Large private storage asks for huge pages: a lookup in a big map is then one TLB
// entry away.
#include "lib/ebpf/maps/memory.h"

#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <limits>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace crema::ebpf::maps {

namespace {

constexpr std::uint64_t kHugePageBytes = 2U << 20U;

/// What the machine can give without pushing others out; unknown: no limit of ours.
std::uint64_t available_bytes() {
    std::ifstream file("/proc/meminfo");
    std::string name;
    std::uint64_t kib = 0;
    std::string unit;
    while (file >> name >> kib) {
        if (name == "MemAvailable:") {
            return kib * 1024;
        }
        std::getline(file, unit);
    }
    return std::numeric_limits<std::uint64_t>::max();
}

/// More than there is must be ENOMEM at creation and not the end of some process later.
bool fits(std::uint64_t bytes, Memory::Sharing sharing) {
    switch (sharing) {
        case Memory::Sharing::private_reserved: {
            constexpr std::uint64_t kAddressesMax = std::uint64_t{1} << 44U;
            return bytes <= kAddressesMax;
        }
        case Memory::Sharing::private_touched:
            return bytes < kHugePageBytes || bytes <= available_bytes();
        default:
            return bytes / static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) <=
                   static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES));
    }
}

}  // namespace

Result<Memory> Memory::allocate(std::uint64_t bytes, Sharing sharing) {
    const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    const std::uint64_t pages = (bytes + page - 1) / page;
    if (!fits(bytes, sharing)) {
        return fail(ENOMEM, "map values of {} bytes: more than this machine has", bytes);
    }
    const std::size_t whole = pages * page;
    UniqueFd fd;
    int flags =
        MAP_PRIVATE | MAP_ANONYMOUS | (sharing == Sharing::private_reserved ? MAP_NORESERVE : 0);
    if (sharing == Sharing::memfd) {
        fd = UniqueFd(memfd_create("bpf-map", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        // Whoever may map it must not take pages away from under us.
        if (fd.get() < 0 || ftruncate(fd.get(), static_cast<off_t>(whole)) != 0 ||
            fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
            return fail(ENOMEM, "map values of {} bytes: no shared memory, errno {}", bytes, errno);
        }
        flags = MAP_SHARED;
    }
    void* data = mmap(nullptr, whole, PROT_READ | PROT_WRITE, flags, fd.get(), 0);
    if (data == MAP_FAILED) {
        return fail(ENOMEM, "map values of {} bytes: mmap, errno {}", bytes, errno);
    }
    if (sharing != Sharing::memfd && sharing != Sharing::private_reserved &&
        whole >= kHugePageBytes) {
        // Advice only: a kernel without huge pages serves small ones.
        static_cast<void>(madvise(data, whole, MADV_HUGEPAGE));
    }
    if (sharing == Sharing::private_touched) {
        for (std::size_t at = 0; at < whole; at += page) {
            // Written through a volatile pointer: the store of what is there anyway must stay.
            *static_cast<volatile std::uint8_t*>(static_cast<std::uint8_t*>(data) + at) = 0;
        }
    }
    return Memory(static_cast<std::uint8_t*>(data), whole, std::move(fd));
}

Memory::~Memory() {
    known_.reset();  // waits for readers inside
    if (data_ != nullptr) {
        munmap(data_, bytes_);
    }
}

}  // namespace crema::ebpf::maps
