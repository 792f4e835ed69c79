// SPDX-License-Identifier: BSD-3-Clause
//
// See guest_memory.h. The signal's handler reads the table of ranges: it runs in the thread that
// changes it, at an instruction that touches a client's memory, so never in the middle of a change.
#include "lib/vfio/user/guest_memory.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "lib/vfio/user/protocol.h"

namespace crema::vfio::user {
namespace {

constexpr std::uint64_t kReach = std::uint64_t{1} << 32U;  // what 32-bit addresses cover
// The longest that a device has in one piece is a ring of a few thousand descriptors.
constexpr std::uint64_t kOnePiece = 256U << 10U;
constexpr int kNobodys = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

thread_local GuestMemory* t_guarded = nullptr;

/// Pages of the file: huge ones can only be mapped whole.
Result<std::uint64_t> page_bytes(int fd) {
    struct statfs system {};

    if (::fstatfs(fd, &system) != 0) {
        return fail(errno, "DMA range: the file says nothing of itself: {}", std::strerror(errno));
    }
    if (system.f_type == HUGETLBFS_MAGIC) {
        return static_cast<std::uint64_t>(system.f_bsize);
    }
    return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

struct sigaction g_previous {};

void pass_on(int number, siginfo_t* info, void* context) {
    if ((g_previous.sa_flags & SA_SIGINFO) != 0 && g_previous.sa_sigaction != nullptr) {
        g_previous.sa_sigaction(number, info, context);
        return;
    }
    (void)::signal(SIGBUS, SIG_DFL);  // the instruction runs again and ends the process
}

}  // namespace

// Zeros take the place of the whole range: a page alone would not do for huge ones.
void replace_lost_page(GuestMemory& memory, const void* address, bool& replaced) {
    for (const auto& [start, range] : memory.ranges_) {
        const auto* const at = static_cast<const std::uint8_t*>(address);
        if (range.base != nullptr && at >= range.base && at < range.base + range.mapped) {
            memory.broken_.store(true, std::memory_order_relaxed);
            replaced = ::mmap(range.base, range.mapped, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                              0) != MAP_FAILED;
            return;
        }
    }
}

namespace {

void on_bus_error(int number, siginfo_t* info, void* context) {
    const int saved = errno;
    bool replaced = false;
    if (t_guarded != nullptr) {
        replace_lost_page(*t_guarded, info->si_addr, replaced);
    }
    errno = saved;
    if (!replaced) {
        pass_on(number, info, context);
    }
}

void catch_bus_errors() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action {};

        action.sa_sigaction = on_bus_error;
        action.sa_flags = SA_SIGINFO;
        sigemptyset(&action.sa_mask);
        (void)::sigaction(SIGBUS, &action, &g_previous);
    });
}

}  // namespace

GuestMemory::Guard::Guard(GuestMemory& memory) {
    catch_bus_errors();
    t_guarded = &memory;
}

GuestMemory::Guard::~Guard() {
    t_guarded = nullptr;
}

GuestMemory::GuestMemory() {
    void* const stretch = ::mmap(nullptr, kReach, PROT_NONE, kNobodys, -1, 0);
    if (stretch != MAP_FAILED) {
        stretch_ = static_cast<std::uint8_t*>(stretch);
        places_ = true;
    }
}

GuestMemory::~GuestMemory() {
    clear();
    if (places_) {
        (void)::munmap(stretch_, kReach);
    }
}

bool GuestMemory::is_in_place(const Range& range) const {
    return stretch_ != nullptr && range.base >= stretch_ && range.base < stretch_ + kReach;
}

bool GuestMemory::keep_free(std::uint8_t* start, std::size_t bytes) {
    places_ = places_ && ::mmap(start, bytes, PROT_NONE, kNobodys | MAP_FIXED, -1, 0) == start;
    return places_;
}

std::uint8_t* GuestMemory::map_in_place(std::uint64_t address,
                                        std::size_t bytes,
                                        int protection,
                                        const UniqueFd& fd,
                                        std::uint64_t offset) {
    std::uint8_t* const place = stretch_ + address;
    if (::mmap(place, bytes, protection, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd.get(),
               static_cast<off_t>(offset)) == place) {
        return place;
    }
    (void)keep_free(place, bytes);
    return nullptr;
}

Status GuestMemory::map_file(Range& range,
                             std::uint64_t address,
                             const UniqueFd& fd,
                             std::uint64_t offset) {
    struct stat file {};

    if (::fstat(fd.get(), &file) != 0 || !S_ISREG(file.st_mode)) {
        return fail(EINVAL, "DMA range: its descriptor is no file of memory");
    }
    const auto file_bytes = static_cast<std::uint64_t>(file.st_size);
    if (offset > file_bytes || range.size > file_bytes - offset) {
        return fail(EINVAL, "DMA range: {} bytes at {:#x} of a file of {} bytes", range.size,
                    offset, file_bytes);
    }
    const auto page = page_bytes(fd.get());
    if (!page) {
        return forward_error(page);
    }
    const std::uint64_t before = offset % *page;
    const std::uint64_t mapped = (before + range.size + *page - 1) / *page * *page;
    const int protection = (includes(range.rights, DmaRights::read) ? PROT_READ : 0) |
                           (includes(range.rights, DmaRights::write) ? PROT_WRITE : 0);
    const bool whole_pages = before == 0 && mapped == range.size && address % *page == 0;
    if (places_ && whole_pages && address < kReach && range.size <= kReach - address) {
        range.va = range.base = map_in_place(address, mapped, protection, fd, offset);
        range.mapped = mapped;
        if (range.base != nullptr) {
            return {};
        }
    }
    void* const base = ::mmap(nullptr, mapped, protection, MAP_SHARED | MAP_NORESERVE, fd.get(),
                              static_cast<off_t>(offset - before));
    if (base == MAP_FAILED) {
        return fail(errno, "DMA range: cannot map its file: {}", std::strerror(errno));
    }
    range.base = static_cast<std::uint8_t*>(base);
    range.mapped = mapped;
    range.va = range.base + before;
    return {};
}

void GuestMemory::release(Range& range) {
    if (range.base == nullptr || (is_in_place(range) && keep_free(range.base, range.mapped))) {
        return;
    }
    (void)::munmap(range.base, range.mapped);
}

Status GuestMemory::map(std::uint64_t address,
                        std::uint64_t size,
                        const UniqueFd& fd,
                        std::uint64_t offset,
                        DmaRights rights) {
    if (size == 0 || address + (size - 1) < address || rights == DmaRights::none) {
        return fail(EINVAL, "DMA range {:#x}+{:#x}: empty, without rights or past the end", address,
                    size);
    }
    const auto next = ranges_.lower_bound(address);
    if (next != ranges_.end() && next->first - address < size) {
        return fail(EEXIST, "DMA range {:#x}+{:#x} overlaps another", address, size);
    }
    if (next != ranges_.begin()) {
        const auto before = std::prev(next);
        if (address - before->first < before->second.size) {
            return fail(EEXIST, "DMA range {:#x}+{:#x} overlaps another", address, size);
        }
    }
    if (ranges_.size() == kRangesMax) {
        return fail(ENOSPC, "DMA range {:#x}+{:#x}: {} ranges are in use", address, size,
                    ranges_.size());
    }
    Range range{.size = size, .rights = rights};
    if (fd.valid()) {
        if (auto mapped = map_file(range, address, fd, offset); !mapped) {
            return mapped;
        }
    }
    ranges_.emplace_hint(next, address, range);
    return {};
}

Result<std::uint64_t> GuestMemory::unmap(std::uint64_t address, std::uint64_t size) {
    if (size == 0 || address + (size - 1) < address) {
        return fail(EINVAL, "DMA range {:#x}+{:#x}: empty or past the end", address, size);
    }
    const std::uint64_t last = address + (size - 1);
    const auto first = ranges_.lower_bound(address);
    if (first != ranges_.begin()) {
        const auto before = std::prev(first);
        if (address - before->first < before->second.size) {
            return fail(EINVAL, "DMA range {:#x}+{:#x} would be cut", before->first,
                        before->second.size);
        }
    }
    std::uint64_t gone = 0;
    auto end = first;
    for (; end != ranges_.end() && end->first <= last; ++end) {
        if (end->second.size - 1 > last - end->first) {
            return fail(EINVAL, "DMA range {:#x}+{:#x} would be cut", end->first, end->second.size);
        }
        gone += end->second.size;
    }
    generation_.fetch_add(1, std::memory_order_release);
    for (auto range = first; range != end; ++range) {
        release(range->second);
    }
    ranges_.erase(first, end);
    return gone;
}

std::uint64_t GuestMemory::clear() {
    generation_.fetch_add(1, std::memory_order_release);
    std::uint64_t gone = 0;
    for (auto& [address, range] : ranges_) {
        gone += range.size;
        release(range);
    }
    ranges_.clear();
    broken_.store(false, std::memory_order_relaxed);
    return gone;
}

DmaReach::Window GuestMemory::window_at(std::uint32_t iova) const {
    const auto after = ranges_.upper_bound(iova);
    if (after == ranges_.begin()) {
        return {};
    }
    const auto& [address, range] = *std::prev(after);
    if (range.va == nullptr || iova - address >= range.size) {
        return {};
    }
    std::uint64_t end = std::min(address + range.size, kReach);
    for (auto next = after;
         is_in_place(range) && next != ranges_.end() && next->first == end &&
         end - iova < kOnePiece && is_in_place(next->second) && next->second.rights == range.rights;
         ++next) {
        end += next->second.size;
    }
    return {range.va, static_cast<std::size_t>(end - address), static_cast<std::uint32_t>(address),
            range.rights};
}

}  // namespace crema::vfio::user
