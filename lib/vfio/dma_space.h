// SPDX-License-Identifier: BSD-3-Clause
//
// What devices may reach: ranges of process memory, each at an I/O virtual address (IOVA) below
// 4 GiB, because NETA descriptors hold 32-bit addresses. One space per process, shared by all
// devices (as one VFIO container holds them), so a page of one port is known to all others.
//
// A device that is not in this process must be told of each range: it attaches a listener.
//
// Threads: map, unmap, attach and detach on the control path (one lock inside, held while listeners
// are called); lookups from any thread, lock-free.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/vfio/dma_reach.h"

namespace crema::vfio {

/// A piece of mapped memory as a file, for whoever maps it elsewhere. The owner of the memory keeps
/// the descriptor open until the range is unmapped.
struct DmaBacking {
    int fd = -1;
    std::uint64_t offset = 0;
    std::size_t bytes = 0;
};

/// IOVAs that a device cannot use: [start, end).
struct DmaHole {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
};

/// A piece of memory at the address where a device sees it.
struct DmaPiece {
    std::uint64_t iova = 0;
    std::size_t bytes = 0;
};

/// Passes ranges on to a device outside of this process. Calls come under the lock of the space,
/// which an implementation must not use.
class DmaListener {
  public:
    DmaListener(const DmaListener&) = delete;
    DmaListener& operator=(const DmaListener&) = delete;

    /// What this device cannot use, asked once by attach(); ranges are put elsewhere from then on.
    [[nodiscard]] virtual std::vector<DmaHole> holes() const { return {}; }

    /// Where this device sees [va, va+bytes) when that is nobody's choice, because no IOMMU stands
    /// between: pieces that follow each other and cover it. Empty: wherever it is put.
    [[nodiscard]] virtual Result<std::vector<DmaPiece>> places(void* /*va*/,
                                                               std::size_t /*bytes*/) const {
        return std::vector<DmaPiece>{};
    }

    /// A range is one window, or several where its addresses are given: see places().
    /// backing: its pieces follow each other and cover the window; empty: the memory is no file.
    [[nodiscard]] virtual Status range_added(const DmaReach::Window& window,
                                             std::span<const DmaBacking> backing) = 0;

    /// Returns when the device cannot reach the window any more.
    virtual void range_removed(const DmaReach::Window& window) = 0;

  protected:
    DmaListener() = default;
    ~DmaListener() = default;
};

class DmaSpace final : public DmaReach {
  public:
    static constexpr std::uint32_t kNoIova = 0;  // never handed out

    /// Makes [va, va+bytes) reachable. va and bytes: multiples of 64. Returns the IOVA of its first
    /// byte, which keeps the offset of `va` in its 4 KiB page (an IOMMU could map it), of large
    /// ranges in its 2 MiB page. Where a device has places() the range falls into a window for
    /// each, and what must be in one piece for the device must lie in one window. backing: the
    /// files under it, for listeners; see DmaListener. Errors: EINVAL (misaligned or empty), ENOSPC
    /// (4 GiB or window table full), EEXIST (overlaps a mapped range), and what a listener says
    /// (then nobody has the range).
    [[nodiscard]] Result<std::uint32_t> map(void* va,
                                            std::size_t bytes,
                                            std::span<const DmaBacking> backing = {});

    /// Undoes map() of exactly this range; no device may use it any more. Errors: ENOENT.
    [[nodiscard]] Status unmap(void* va);

    /// IOVA of `va`, or kNoIova when it is not mapped. Searches; hot paths keep a Window.
    [[nodiscard]] std::uint32_t iova_of(const void* va) const;

    /// Device side: process address of [iova, iova+bytes), or null when any byte is unmapped.
    [[nodiscard]] std::uint8_t* va_of(std::uint32_t iova, std::uint32_t bytes) const;

    /// The window that holds `va`; bytes == 0 when there is none.
    [[nodiscard]] Window window_of(const void* va) const;

    [[nodiscard]] Window window_at(std::uint32_t iova) const override;

    /// Tells `listener` of all ranges there are and of each that comes or goes. Errors: what it
    /// says to one of them, ENOSPC one lies in a hole of it or not in its places(); then it is not
    /// attached.
    [[nodiscard]] Status attach(DmaListener& listener);

    /// `listener` hears nothing any more; it is not told of ranges as going.
    void detach(DmaListener& listener);

    /// Number of mapped ranges; 0 after every user is gone.
    [[nodiscard]] std::uint32_t ranges() const;

  private:
    static constexpr std::uint32_t kWindowsMax = 1024;

    // Slots are reused while other ports look up their own ranges, so each has a sequence number
    // (odd = being written) that a reader compares before and after. Readers scan up to `used_`.
    struct Slot {
        std::atomic<std::uint32_t> sequence{0};
        std::atomic<std::uint32_t> iova{0};
        std::atomic<std::uint8_t*> va{nullptr};
        std::atomic<std::size_t> bytes{0};  // 0 = free
    };

    struct Range {
        std::uint8_t* va = nullptr;
        std::size_t bytes = 0;
        std::vector<Window> windows{};
        std::vector<DmaBacking> backing{};
    };

    static Window read(const Slot& slot);
    static void write(Slot& slot, std::uint8_t* va, std::size_t bytes, std::uint32_t iova);
    [[nodiscard]] std::uint32_t free_iova(std::uint64_t va, std::size_t bytes) const;
    /// Where the range is to lie: one window, or what a listener says.
    [[nodiscard]] Result<std::vector<Window>> windows_for(std::uint8_t* va,
                                                          std::size_t bytes) const;
    [[nodiscard]] Result<std::vector<Window>> windows_at(std::uint8_t* va,
                                                         std::span<const DmaPiece> places) const;
    [[nodiscard]] Status check_free(const Window& window) const;
    /// All windows of the range or none.
    [[nodiscard]] static Status tell(DmaListener& listener, const Range& range);
    static void untell(DmaListener& listener, const Range& range);
    [[nodiscard]] static Status check_places(const DmaListener& listener, const Range& range);
    void show(const Window& window);
    void hide(const Window& window);

    std::array<Slot, kWindowsMax> slots_;
    std::atomic<std::uint32_t> used_{0};
    mutable std::mutex control_;  // and all below
    std::vector<Range> ranges_;
    std::vector<DmaListener*> listeners_;
    std::vector<DmaHole> holes_;  // of all devices that were ever attached
};

/// The one space of this process.
[[nodiscard]] DmaSpace& process_dma_space();

}  // namespace crema::vfio
