// SPDX-License-Identifier: BSD-3-Clause
//
// What goes wrong on the packet path, as it happens: exceptions, failed redirects, frames that a
// port or a CPU did not take. The path leaves a record in its thread's ring and goes on: it never
// waits, and a new record takes the place of the oldest. Whoever wants to know reads: the log
// (event_log.h), and other processes, to which the board is a file to be mapped (`crema monitor`).
//
// Does not hold counts: those are exact and elsewhere (hook.h, lib/redirect). A reader that is slow
// misses records and learns how many.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <rte_config.h>

namespace crema::xdp {

enum class EventKind : std::uint32_t {
    exception = 1,   // ABORTED, or no valid verdict; once per frame
    redirect_err,    // verdict REDIRECT, and no target took the frame; once per frame
    bulk_tx,         // verdict TX: the port did not take all; once per burst
    devmap_xmit,     // redirect to a port: it, or the slot's program, did not take all
    cpumap_enqueue,  // redirect to a CPU: its queue did not take all
};

/// What does not apply is 0.
struct Event {
    std::uint64_t tsc = 0;  // rte_rdtsc()
    EventKind kind = EventKind::exception;
    std::uint32_t program_id = 0;
    std::uint32_t act = 0;  // verdict as it was returned
    std::int32_t err = 0;   // 0 or negative errno
    std::uint32_t ifindex = 0;
    std::uint32_t queue = 0;
    std::uint32_t to = 0;  // ifindex, of cpumap_enqueue a CPU
    std::uint32_t map_id = 0;
    std::uint32_t map_index = 0;
    std::uint32_t sent = 0;
    std::uint32_t drops = 0;
    std::uint32_t cpu = 0;  // kernel CPU number of the worker
};

/// One writer per ring, any number of readers, which are noticed by nobody.
struct EventRing {
    static constexpr std::uint32_t kSlots = 512;
    static constexpr std::size_t kWords = sizeof(Event) / sizeof(std::uint64_t);

    struct alignas(64) Slot {
        std::atomic<std::uint64_t> number;  // of the record, from 1; 0: being written
        std::array<std::atomic<std::uint64_t>, kWords> words;
    };

    std::array<Slot, kSlots> slots;
};

static_assert(sizeof(EventRing::Slot) == 64 && std::atomic<std::uint64_t>::is_always_lock_free);

/// All rings: one per lcore, and one that threads without an lcore share. Zeros are an empty one.
struct EventBoard {
    static constexpr std::uint32_t kRings = RTE_MAX_LCORE + 1;

    struct alignas(64) Head {
        std::atomic<std::uint64_t> written;  // records so far
    };

    std::array<Head, kRings> heads;
    std::array<EventRing, kRings> rings;
};

/// Leaves a record; sets `tsc` itself. Any thread of the packet path.
[[gnu::cold]] void record(Event event);

/// The board as a file of sizeof(EventBoard) bytes to be mapped for reading, by anybody; -1: it
/// could not be made and nothing is recorded. Lives as long as the process.
[[nodiscard]] int event_board_fd();
[[nodiscard]] const EventBoard* event_board();

/// A reader's place on a board, from now on or from the start.
class EventReader {
  public:
    /// board: may be in memory of another process, in which anything may stand.
    explicit EventReader(const EventBoard& board, bool from_now_on);

    /// Calls visit(event) for what has come since the last call, ring by ring, and adds to `missed`
    /// what was overwritten before it was seen.
    template <typename Visit>
    void read(Visit&& visit, std::uint64_t& missed) {
        for (std::uint32_t ring = 0; ring < EventBoard::kRings; ++ring) {
            const std::uint64_t written =
                board_.heads[ring].written.load(std::memory_order_acquire);
            std::uint64_t& next = next_[ring];
            if (written < next || written - next > EventRing::kSlots) {
                const std::uint64_t oldest =
                    written > EventRing::kSlots ? written - EventRing::kSlots : 0;
                missed += oldest > next ? oldest - next : 0;
                next = oldest;
            }
            for (Event event; next != written; ++next) {
                if (take(ring, next, event)) {
                    visit(event);
                } else {
                    ++missed;
                }
            }
        }
    }

  private:
    /// False: another record is there by now.
    [[nodiscard]] bool take(std::uint32_t ring, std::uint64_t number, Event& event) const;

    const EventBoard& board_;
    std::array<std::uint64_t, EventBoard::kRings> next_{};
};

}  // namespace crema::xdp
