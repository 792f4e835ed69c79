// SPDX-License-Identifier: BSD-3-Clause
//
// A CPU cache that devices do not snoop, in software: for device models on machines that have no
// such cache, so that a missing line of cache maintenance is a failing test there.
//
// The process's memory is what the CPU sees: its cache. Beside it lies "DRAM", which is all that a
// device sees, indexed by I/O address; the model is a DmaReach that leads there. Of each 64-byte
// line a third copy is kept, of what was exchanged last: a line whose CPU bytes differ from that
// is dirty. A line that was never exchanged counts as dirty, as whoever had the memory before may
// have written it, and its DRAM is zero.
//
//   sync_for_device   CPU bytes go to DRAM
//   sync_for_cpu      a dirty line goes to DRAM first, over what a device wrote there; that is
//                     counted (lost_lines), as it never happens to a right driver. Then the line
//                     is loaded
// A whole line at a time, so that two descriptors in one line hurt each other as they would.
// Dropped lines are loaded again at once, as speculation may do: who does not drop them again
// before he reads, reads old bytes.
//
// Evicting (Behaviour::evicting) does by chance, and from a seed, what a cache may do at any time:
// lines that were given to a device lately are written back when dirty, loaded again when clean.
//
// What it cannot see: that the CPU wrote the bytes that were there already. sync_for_device()
// therefore writes in any case; only evicting could take such a line for clean, which matters when
// a device has written there too. So forget() is to be called when a device has stopped its DMA,
// before its memory gets another use. No timing, no cost, no order between lines is modelled.
//
// Threads: all calls from any thread. Copies are made of atomic words, and out of ThreadSanitizer's
// sight: a real cache's are no accesses of a thread either.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "lib/vfio/dma_space.h"

namespace crema::vfio {

class CacheModel final : public DmaReach, private DmaListener {
  public:
    struct Behaviour {
        bool evicting = false;
        std::uint64_t seed = 1;
    };

    /// "noncoherent" or "evicting[:SEED]". Errors: EINVAL.
    [[nodiscard]] static Result<Behaviour> parse(const std::string& text);

    /// The cache of this process before `space`: made by the first caller, gone with the last.
    /// Whoever asks for evicting has it for all. Errors: EBUSY another space has it, ENOMEM, and
    /// what the space says.
    [[nodiscard]] static Result<std::shared_ptr<CacheModel>> before(DmaSpace& space,
                                                                    Behaviour behaviour);

    CacheModel(const CacheModel&) = delete;
    CacheModel& operator=(const CacheModel&) = delete;
    ~CacheModel() override;

    /// For the device: the window's bytes are DRAM.
    [[nodiscard]] Window window_at(std::uint32_t iova) const override;

    void sync_for_device(const void* va, std::size_t bytes);
    void sync_for_cpu(const void* va, std::size_t bytes);

    /// A moment passes: a few lines may be evicted.
    void tick() {
        if (evicting_.load(std::memory_order_relaxed)) {
            evict();
        }
    }

    void forget();

    /// Lines that devices wrote and that were overwritten by dirty ones, in this process so far.
    [[nodiscard]] static std::uint64_t lost_lines();
    /// Lines that sync_for_device() was asked for in this process so far.
    [[nodiscard]] static std::uint64_t given_lines();
    /// Lines evicted in this process so far.
    [[nodiscard]] static std::uint64_t evicted_lines();

  private:
    enum class Direction : std::uint8_t { to_device, to_cpu, evicted };

    /// Addresses that get memory, zeros, where they are used.
    class Reserved {
      public:
        Reserved(std::uint8_t* start, std::size_t bytes) : start_(start), bytes_(bytes) {}

        Reserved(Reserved&& other) noexcept
            : start_(std::exchange(other.start_, nullptr)), bytes_(other.bytes_) {}

        Reserved(const Reserved&) = delete;
        Reserved& operator=(const Reserved&) = delete;
        Reserved& operator=(Reserved&&) = delete;
        ~Reserved();

        [[nodiscard]] std::uint8_t* at(std::uint64_t offset) const { return start_ + offset; }

        /// The pages that hold [offset, offset+bytes) are zeros again.
        void clear(std::uint64_t offset, std::size_t bytes) const;

      private:
        std::uint8_t* start_;
        std::size_t bytes_;
    };

    CacheModel(DmaSpace& space, Reserved dram, Reserved exchanged, Reserved states);

    [[nodiscard]] static Result<Reserved> reserve(std::size_t bytes);
    [[nodiscard]] Status range_added(const Window& window,
                                     std::span<const DmaBacking> backing) override;
    void range_removed(const Window& window) override;

    void each_line(const void* va, std::size_t bytes, Direction direction);
    void exchange(std::uint8_t* cpu, std::uint64_t iova, Direction direction);
    void note(std::uint64_t iova, std::size_t bytes);
    void evict();

    DmaSpace& space_;
    Reserved dram_;       // 4 GiB of addresses; memory where it was used
    Reserved exchanged_;  // likewise
    Reserved states_;     // one byte per line
    std::atomic<bool> evicting_{false};
    std::atomic<std::uint32_t> noted_{0};  // lines in recent_ since forget(), free-running
    static constexpr std::uint32_t kRecent = 4096;
    std::array<std::atomic<std::uint32_t>, kRecent> recent_{};  // I/O addresses of lines
    std::mutex evict_lock_;  // dice_, and evict() against forget()
    std::uint64_t dice_ = 1;
};

}  // namespace crema::vfio
