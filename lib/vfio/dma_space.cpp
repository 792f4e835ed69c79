// SPDX-License-Identifier: BSD-3-Clause
//
// The IOVA space of the process. Ranges get their IOVA first-fit with one unmapped guard page
// behind each, so that a device that runs over the end of a ring or buffer is caught instead of
// landing in the neighbour. Addresses stay below 4 GiB and are never 0. Where a device sees
// physical memory, its pieces are where they are, and behind them is whatever the machine has
// there. Control path, except read(), va_of() and window_at(), which a device calls per frame at
// worst.
#include "lib/vfio/dma_space.h"

#include <algorithm>
#include <cerrno>

namespace crema::vfio {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kHugePage = 2U << 20U;
constexpr std::uint64_t kFirstIova = 0x10000;
constexpr std::uint64_t kEndIova = std::uint64_t{1} << 32U;
constexpr std::uint64_t kAlign = 64;

/// The files under [offset, offset+bytes) of a range.
std::vector<DmaBacking> part_of(std::span<const DmaBacking> backing,
                                std::size_t offset,
                                std::size_t bytes) {
    std::vector<DmaBacking> part;
    for (const DmaBacking& piece : backing) {
        if (bytes == 0) {
            break;
        }
        if (offset >= piece.bytes) {
            offset -= piece.bytes;
            continue;
        }
        const std::size_t taken = std::min(bytes, piece.bytes - offset);
        part.push_back({.fd = piece.fd, .offset = piece.offset + offset, .bytes = taken});
        bytes -= taken;
        offset = 0;
    }
    return part;
}

/// The next address from `from` on that lies in its `page` where `va` does in its own.
constexpr std::uint64_t next_like(std::uint64_t from, std::uint64_t va, std::uint64_t page) {
    return from + ((va - from) & (page - 1));
}

}  // namespace

DmaSpace::Window DmaSpace::read(const Slot& slot) {
    for (;;) {
        const auto before = slot.sequence.load(std::memory_order_acquire);
        const Window window{slot.va.load(std::memory_order_relaxed),
                            slot.bytes.load(std::memory_order_relaxed),
                            slot.iova.load(std::memory_order_relaxed)};
        std::atomic_thread_fence(std::memory_order_acquire);
        if ((before & 1U) == 0 && slot.sequence.load(std::memory_order_relaxed) == before) {
            return window;
        }
    }
}

void DmaSpace::write(Slot& slot, std::uint8_t* va, std::size_t bytes, std::uint32_t iova) {
    const auto sequence = slot.sequence.load(std::memory_order_relaxed);
    slot.sequence.store(sequence + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    slot.va.store(va, std::memory_order_relaxed);
    slot.bytes.store(bytes, std::memory_order_relaxed);
    slot.iova.store(iova, std::memory_order_relaxed);
    slot.sequence.store(sequence + 2, std::memory_order_release);
}

std::uint32_t DmaSpace::free_iova(std::uint64_t va, std::size_t bytes) const {
    const auto used = used_.load(std::memory_order_relaxed);
    // An IOMMU has one entry for a whole huge page, where the addresses allow it.
    const std::uint64_t page = bytes >= kHugePage ? kHugePage : kPage;
    std::uint64_t candidate = next_like(kFirstIova, va, page);
    for (bool moved = true; moved;) {
        moved = false;
        for (std::uint32_t i = 0; i < used; ++i) {
            const Window other = read(slots_[i]);
            const std::uint64_t other_end = other.iova + other.bytes + kPage;
            if (other.bytes != 0 && candidate < other_end &&
                other.iova < candidate + bytes + kPage) {
                candidate = next_like(other_end, va, page);
                moved = true;
            }
        }
        for (const DmaHole& hole : holes_) {
            if (candidate < hole.end && hole.start < candidate + bytes + kPage) {
                candidate = next_like(hole.end, va, page);
                moved = true;
            }
        }
        if (candidate + bytes > kEndIova) {
            return kNoIova;
        }
    }
    return static_cast<std::uint32_t>(candidate);
}

Status DmaSpace::check_free(const Window& window) const {
    const std::uint64_t first = window.iova;
    const std::uint64_t end = first + window.bytes;
    for (const Range& range : ranges_) {
        for (const Window& other : range.windows) {
            if (first < other.iova + other.bytes && other.iova < end) {
                return fail(EEXIST, "physical memory at {:#x} is mapped already", first);
            }
        }
    }
    for (const DmaHole& hole : holes_) {
        if (first < hole.end && hole.start < end) {
            return fail(ENOSPC,
                        "physical memory at {:#x} is where another device's IOMMU cannot have any",
                        first);
        }
    }
    return {};
}

Result<std::vector<DmaSpace::Window>> DmaSpace::windows_at(std::uint8_t* va,
                                                           std::span<const DmaPiece> places) const {
    std::vector<Window> windows;
    for (const DmaPiece& place : places) {
        if (place.iova == kNoIova || place.iova >= kEndIova ||
            place.bytes > kEndIova - place.iova) {
            return fail(ENOSPC,
                        "DMA range at {}: its physical memory is at {:#x}+{:#x}, and the device "
                        "reaches what is below 4 GiB",
                        static_cast<const void*>(va), place.iova, place.bytes);
        }
        const Window window{va, place.bytes, static_cast<std::uint32_t>(place.iova)};
        if (auto is_free = check_free(window); !is_free) {
            return forward_error(is_free);
        }
        windows.push_back(window);
        va += place.bytes;
    }
    return windows;
}

Result<std::vector<DmaSpace::Window>> DmaSpace::windows_for(std::uint8_t* va,
                                                            std::size_t bytes) const {
    for (const DmaListener* listener : listeners_) {
        const auto places = listener->places(va, bytes);
        if (!places) {
            return forward_error(places);
        }
        if (!places->empty()) {
            return windows_at(va, *places);
        }
    }
    const auto iova = free_iova(reinterpret_cast<std::uintptr_t>(va), bytes);
    if (iova == kNoIova) {
        return fail(ENOSPC, "DMA range {}+{}: no room below 4 GiB, where the device reaches",
                    static_cast<const void*>(va), bytes);
    }
    return std::vector<Window>{{va, bytes, iova}};
}

Status DmaSpace::tell(DmaListener& listener, const Range& range) {
    for (std::size_t i = 0; i < range.windows.size(); ++i) {
        const Window& window = range.windows[i];
        const auto offset = static_cast<std::size_t>(window.va - range.va);
        if (auto added = listener.range_added(window, part_of(range.backing, offset, window.bytes));
            !added) {
            while (i-- > 0) {
                listener.range_removed(range.windows[i]);
            }
            return added;
        }
    }
    return {};
}

void DmaSpace::untell(DmaListener& listener, const Range& range) {
    for (const Window& window : range.windows) {
        listener.range_removed(window);
    }
}

void DmaSpace::show(const Window& window) {
    const auto used = used_.load(std::memory_order_relaxed);
    std::uint32_t slot = 0;
    while (slot < used && slots_[slot].bytes.load(std::memory_order_relaxed) != 0) {
        ++slot;
    }
    write(slots_[slot], const_cast<std::uint8_t*>(window.va), window.bytes, window.iova);
    if (slot == used) {
        used_.store(used + 1, std::memory_order_release);
    }
}

void DmaSpace::hide(const Window& window) {
    auto used = used_.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < used; ++i) {
        const Window shown = read(slots_[i]);
        if (shown.bytes != 0 && shown.va == window.va) {
            write(slots_[i], nullptr, 0, 0);
        }
    }
    while (used > 0 && slots_[used - 1].bytes.load(std::memory_order_relaxed) == 0) {
        --used;
    }
    used_.store(used, std::memory_order_release);
}

Result<std::uint32_t> DmaSpace::map(void* va,
                                    std::size_t bytes,
                                    std::span<const DmaBacking> backing) {
    const auto address = reinterpret_cast<std::uintptr_t>(va);
    if (va == nullptr || bytes == 0 || (address | bytes) % kAlign != 0) {
        return fail(EINVAL, "DMA range {}+{}: start and length must be multiples of {}", va, bytes,
                    kAlign);
    }
    if (bytes > kEndIova) {
        return fail(ENOSPC, "DMA range of {} bytes: the device reaches 4 GiB at most", bytes);
    }
    const std::scoped_lock lock(control_);
    std::size_t in_use = 0;
    for (const Range& other : ranges_) {
        const auto start = reinterpret_cast<std::uintptr_t>(other.va);
        if (address < start + other.bytes && start < address + bytes) {
            return fail(EEXIST, "DMA range {}+{} overlaps {}+{}, which is mapped already", va,
                        bytes, static_cast<const void*>(other.va), other.bytes);
        }
        in_use += other.windows.size();
    }
    Range range{.va = static_cast<std::uint8_t*>(va),
                .bytes = bytes,
                .backing = {backing.begin(), backing.end()}};
    auto windows = windows_for(range.va, bytes);
    if (!windows) {
        return forward_error(windows);
    }
    range.windows = std::move(*windows);
    if (in_use + range.windows.size() > kWindowsMax) {
        return fail(ENOSPC, "DMA range {}+{}: {} of {} windows are in use, and it needs {}", va,
                    bytes, in_use, kWindowsMax, range.windows.size());
    }
    for (std::size_t told = 0; told < listeners_.size(); ++told) {
        if (auto added = tell(*listeners_[told], range); !added) {
            while (told-- > 0) {
                untell(*listeners_[told], range);
            }
            return forward_error(added);
        }
    }
    for (const Window& window : range.windows) {
        show(window);
    }
    const std::uint32_t iova = range.windows.front().iova;
    ranges_.push_back(std::move(range));
    return iova;
}

Status DmaSpace::unmap(void* va) {
    const std::scoped_lock lock(control_);
    const auto range =
        std::ranges::find_if(ranges_, [va](const Range& each) { return each.va == va; });
    if (range == ranges_.end()) {
        return fail(ENOENT, "DMA range at {}: not mapped", va);
    }
    for (const Window& window : range->windows) {
        hide(window);
    }
    for (DmaListener* listener : listeners_) {
        untell(*listener, *range);
    }
    ranges_.erase(range);
    generation_.fetch_add(1, std::memory_order_release);
    return {};
}

Status DmaSpace::check_places(const DmaListener& listener, const Range& range) {
    const auto places = listener.places(range.va, range.bytes);
    if (!places) {
        return forward_error(places);
    }
    const bool same =
        std::ranges::equal(range.windows, *places, [](const Window& window, const DmaPiece& place) {
            return window.iova == place.iova && window.bytes == place.bytes;
        });
    if (places->empty() || same) {
        return {};
    }
    return fail(ENOSPC,
                "DMA range {}+{} is mapped at {:#x}, and this device sees it at its physical "
                "address: open this device before others",
                static_cast<const void*>(range.va), range.bytes, range.windows.front().iova);
}

Status DmaSpace::attach(DmaListener& listener) {
    const std::scoped_lock lock(control_);
    const std::vector<DmaHole> holes = listener.holes();
    for (const Range& range : ranges_) {
        for (const Window& window : range.windows) {
            for (const DmaHole& hole : holes) {
                if (window.iova < hole.end && hole.start < window.iova + window.bytes) {
                    return fail(ENOSPC,
                                "DMA range {}+{} is mapped at {:#x}, where this device's IOMMU "
                                "cannot have memory: open this device before others",
                                static_cast<const void*>(window.va), window.bytes, window.iova);
                }
            }
        }
        if (auto placed = check_places(listener, range); !placed) {
            return placed;
        }
    }
    for (std::size_t told = 0; told < ranges_.size(); ++told) {
        if (auto added = tell(listener, ranges_[told]); !added) {
            while (told-- > 0) {
                untell(listener, ranges_[told]);
            }
            return added;
        }
    }
    listeners_.push_back(&listener);
    holes_.insert(holes_.end(), holes.begin(), holes.end());
    return {};
}

void DmaSpace::detach(DmaListener& listener) {
    const std::scoped_lock lock(control_);
    std::erase(listeners_, &listener);
}

DmaSpace::Window DmaSpace::window_of(const void* va) const {
    const auto used = used_.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < used; ++i) {
        const Window window = read(slots_[i]);
        if (window.holds(va)) {
            return window;
        }
    }
    return {};
}

DmaSpace::Window DmaSpace::window_at(std::uint32_t iova) const {
    const auto used = used_.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < used; ++i) {
        const Window window = read(slots_[i]);
        if (iova - std::uint64_t{window.iova} < window.bytes) {
            return window;
        }
    }
    return {};
}

std::uint32_t DmaSpace::iova_of(const void* va) const {
    const Window window = window_of(va);
    return window.bytes == 0 ? kNoIova : window.iova_of(va);
}

std::uint8_t* DmaSpace::va_of(std::uint32_t iova, std::uint32_t bytes) const {
    const auto used = used_.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < used; ++i) {
        const Window window = read(slots_[i]);
        const std::uint64_t offset = iova - std::uint64_t{window.iova};
        if (offset < window.bytes && bytes <= window.bytes - offset) {
            return const_cast<std::uint8_t*>(window.va) + offset;
        }
    }
    return nullptr;
}

std::uint32_t DmaSpace::ranges() const {
    const std::scoped_lock lock(control_);
    return static_cast<std::uint32_t>(ranges_.size());
}

DmaSpace& process_dma_space() {
    static DmaSpace space;
    return space;
}

}  // namespace crema::vfio
