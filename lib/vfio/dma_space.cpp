// SPDX-License-Identifier: BSD-3-Clause
//
// The IOVA space of the process. Ranges get their IOVA first-fit with one unmapped guard page
// behind each, so that a device that runs over the end of a ring or buffer is caught instead of
// landing in the neighbour. Addresses stay below 4 GiB and are never 0.
// Control path, except read(), va_of() and window_at(), which a device calls per frame at worst.
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
    const auto used = used_.load(std::memory_order_relaxed);
    std::uint32_t free_slot = used;
    for (std::uint32_t i = used; i-- > 0;) {
        const Window other = read(slots_[i]);
        if (other.bytes == 0) {
            free_slot = i;
            continue;
        }
        const auto start = reinterpret_cast<std::uintptr_t>(other.va);
        if (address < start + other.bytes && start < address + bytes) {
            return fail(EEXIST, "DMA range {}+{} overlaps {}+{}, which is mapped already", va,
                        bytes, static_cast<const void*>(other.va), other.bytes);
        }
    }
    if (free_slot == kRangesMax) {
        return fail(ENOSPC, "DMA range {}+{}: all {} ranges are in use", va, bytes, kRangesMax);
    }
    const auto iova = free_iova(address, bytes);
    if (iova == kNoIova) {
        return fail(ENOSPC, "DMA range {}+{}: no room below 4 GiB, where the device reaches", va,
                    bytes);
    }
    const Window window{static_cast<std::uint8_t*>(va), bytes, iova};
    for (std::size_t told = 0; told < listeners_.size(); ++told) {
        if (auto added = listeners_[told]->range_added(window, backing); !added) {
            while (told-- > 0) {
                listeners_[told]->range_removed(window);
            }
            return forward_error(added);
        }
    }
    backings_[free_slot].assign(backing.begin(), backing.end());
    write(slots_[free_slot], static_cast<std::uint8_t*>(va), bytes, iova);
    if (free_slot == used) {
        used_.store(used + 1, std::memory_order_release);
    }
    return iova;
}

Status DmaSpace::unmap(void* va) {
    const std::scoped_lock lock(control_);
    auto used = used_.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < used; ++i) {
        const Window window = read(slots_[i]);
        if (window.bytes == 0 || window.va != va) {
            continue;
        }
        write(slots_[i], nullptr, 0, 0);
        backings_[i].clear();
        for (DmaListener* listener : listeners_) {
            listener->range_removed(window);
        }
        while (used > 0 && slots_[used - 1].bytes.load(std::memory_order_relaxed) == 0) {
            --used;
        }
        used_.store(used, std::memory_order_release);
        generation_.fetch_add(1, std::memory_order_release);
        return {};
    }
    return fail(ENOENT, "DMA range at {}: not mapped", va);
}

Status DmaSpace::attach(DmaListener& listener) {
    const std::scoped_lock lock(control_);
    const std::vector<DmaHole> holes = listener.holes();
    const auto used = used_.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < used; ++i) {
        const Window window = read(slots_[i]);
        for (const DmaHole& hole : holes) {
            if (window.bytes != 0 && window.iova < hole.end &&
                hole.start < window.iova + window.bytes) {
                return fail(ENOSPC,
                            "DMA range {}+{} is mapped at {:#x}, where this device's IOMMU cannot "
                            "have memory: open this device before others",
                            static_cast<const void*>(window.va), window.bytes, window.iova);
            }
        }
    }
    for (std::uint32_t i = 0; i < used; ++i) {
        const Window window = read(slots_[i]);
        if (window.bytes == 0) {
            continue;
        }
        if (auto added = listener.range_added(window, backings_[i]); !added) {
            while (i-- > 0) {
                if (const Window told = read(slots_[i]); told.bytes != 0) {
                    listener.range_removed(told);
                }
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
    const auto used = used_.load(std::memory_order_acquire);
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < used; ++i) {
        count += read(slots_[i]).bytes != 0 ? 1U : 0U;
    }
    return count;
}

DmaSpace& process_dma_space() {
    static DmaSpace space;
    return space;
}

}  // namespace crema::vfio
