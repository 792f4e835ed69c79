// SPDX-License-Identifier: BSD-3-Clause
//
// Source: the kernel's documentation of /proc/PID/pagemap: a word of 64 bits for each page, the
// frame number in bits 0 to 54 (0 for whoever may not know), bit 61 memory of a file, bit 63
// present.
#include "lib/vfio/kernel/physical.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/unique_fd.h"

namespace crema::vfio::kernel {
namespace {

constexpr std::uint64_t kFrameMask = (std::uint64_t{1} << 55U) - 1;
constexpr std::uint64_t kOfFile = std::uint64_t{1} << 61U;
constexpr std::uint64_t kPresent = std::uint64_t{1} << 63U;
constexpr std::size_t kHugePage = 2U << 20U;  // the smallest that counts

Result<std::vector<std::uint64_t>> read_pagemap(std::uintptr_t va,
                                                std::size_t pages,
                                                std::size_t page_bytes) {
    const UniqueFd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    if (!pagemap.valid()) {
        return fail(errno, "cannot open /proc/self/pagemap: {}", std::strerror(errno));
    }
    std::vector<std::uint64_t> entries(pages);
    const std::size_t bytes = pages * sizeof(std::uint64_t);
    for (std::size_t done = 0; done < bytes;) {
        const auto at = static_cast<off_t>(va / page_bytes * sizeof(std::uint64_t) + done);
        const ssize_t got =
            ::pread(pagemap.get(), reinterpret_cast<std::uint8_t*>(entries.data()) + done,
                    bytes - done, at);
        if (got <= 0) {
            return fail(got == 0 ? EFAULT : errno, "cannot read /proc/self/pagemap: {}",
                        std::strerror(got == 0 ? EFAULT : errno));
        }
        done += static_cast<std::size_t>(got);
    }
    return entries;
}

}  // namespace

Result<std::vector<DmaPiece>> pieces_of(std::span<const std::uint64_t> entries,
                                        std::size_t page_bytes) {
    std::vector<DmaPiece> pieces;
    for (const std::uint64_t entry : entries) {
        if ((entry & kPresent) == 0) {
            return fail(EFAULT, "physical addresses: a page of it is not in memory");
        }
        const std::uint64_t frame = entry & kFrameMask;
        if (frame == 0) {
            return fail(EPERM,
                        "physical addresses: the kernel does not tell them to this process "
                        "(CAP_SYS_ADMIN)");
        }
        const std::uint64_t address = frame * page_bytes;
        if (!pieces.empty() && pieces.back().iova + pieces.back().bytes == address) {
            pieces.back().bytes += page_bytes;
        } else {
            pieces.push_back({.iova = address, .bytes = page_bytes});
        }
    }
    for (const DmaPiece& piece : pieces) {
        if (((piece.iova | piece.bytes) & (kHugePage - 1)) != 0) {
            return fail(ENOTSUP,
                        "physical addresses: {} bytes at {:#x} are no huge page, and a device "
                        "without IOMMU wants those: give the EAL some (--huge-dir, no --no-huge)",
                        piece.bytes, piece.iova);
        }
    }
    return pieces;
}

Result<std::vector<DmaPiece>> physical_pieces(void* va, std::size_t bytes) {
    const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    if (::mlock(va, bytes) != 0) {
        return fail(errno, "cannot lock {} bytes of memory: {} (ulimit -l)", bytes,
                    std::strerror(errno));
    }
    const auto entries =
        read_pagemap(reinterpret_cast<std::uintptr_t>(va), bytes / page_bytes, page_bytes);
    if (!entries) {
        return forward_error(entries);
    }
    // Private memory of which a child has a copy lies elsewhere after the next write to it.
    for (const std::uint64_t entry : *entries) {
        if ((entry & kOfFile) == 0 && ::madvise(va, bytes, MADV_DONTFORK) != 0) {
            return fail(errno, "cannot keep memory from children: {}", std::strerror(errno));
        }
        if ((entry & kOfFile) == 0) {
            break;
        }
    }
    return pieces_of(*entries, page_bytes);
}

}  // namespace crema::vfio::kernel
