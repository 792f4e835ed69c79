// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/events.h"

#include <fcntl.h>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "lib/base/log.h"
#include "lib/base/unique_fd.h"
#include "lib/xdp/hook.h"

namespace crema::xdp {
namespace {

struct Made {
    EventBoard* board = nullptr;
    int fd = -1;
};

/// Pages nobody writes to cost nothing. Readers may neither write nor cut it short.
Made make_board() {
    UniqueFd file(::memfd_create("crema_events", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file.valid() || ::ftruncate(file.get(), sizeof(EventBoard)) != 0) {
        return {};
    }
    void* const memory =
        ::mmap(nullptr, sizeof(EventBoard), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (memory == MAP_FAILED) {
        return {};
    }
    constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    (void)::fcntl(file.get(), F_ADD_SEALS, kSeals);
    return {.board = static_cast<EventBoard*>(memory), .fd = file.release()};
}

const Made& made() {
    static const Made instance = [] {
        const Made board = make_board();
        if (board.board == nullptr) {
            log::warning("no memory for events of the packet path: failures are only counted");
        }
        return board;
    }();
    return instance;
}

/// What the path reads; set before the first port is registered.
constinit std::atomic<EventBoard*> g_board{nullptr};

/// Threads without an lcore take turns; who finds another one at work leaves no record.
constinit std::atomic_flag g_shared_ring_is_busy = ATOMIC_FLAG_INIT;

void write(EventBoard& board, std::uint32_t ring, const Event& event) {
    std::atomic<std::uint64_t>& head = board.heads[ring].written;
    const std::uint64_t number = head.load(std::memory_order_relaxed);
    EventRing::Slot& slot = board.rings[ring].slots[number % EventRing::kSlots];
    slot.number.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    const auto words = std::bit_cast<std::array<std::uint64_t, EventRing::kWords>>(event);
    for (std::size_t i = 0; i < words.size(); ++i) {
        slot.words[i].store(words[i], std::memory_order_relaxed);
    }
    slot.number.store(number + 1, std::memory_order_release);
    head.store(number + 1, std::memory_order_release);
}

}  // namespace

void record(Event event) {
    EventBoard* const board = g_board.load(std::memory_order_acquire);
    if (board == nullptr) {
        return;
    }
    event.tsc = rte_rdtsc();
    const std::uint32_t ring = tx_slot_of_this_thread();
    if (ring != RTE_MAX_LCORE) {
        write(*board, ring, event);
        return;
    }
    if (!g_shared_ring_is_busy.test_and_set(std::memory_order_acquire)) {
        write(*board, ring, event);
        g_shared_ring_is_busy.clear(std::memory_order_release);
    }
}

int event_board_fd() {
    return made().fd;
}

const EventBoard* event_board() {
    EventBoard* const board = made().board;
    g_board.store(board, std::memory_order_release);
    return board;
}

EventReader::EventReader(const EventBoard& board, bool from_now_on) : board_(board) {
    for (std::uint32_t ring = 0; from_now_on && ring < EventBoard::kRings; ++ring) {
        next_[ring] = board.heads[ring].written.load(std::memory_order_acquire);
    }
}

bool EventReader::take(std::uint32_t ring, std::uint64_t number, Event& event) const {
    const EventRing::Slot& slot = board_.rings[ring].slots[number % EventRing::kSlots];
    if (slot.number.load(std::memory_order_acquire) != number + 1) {
        return false;
    }
    std::array<std::uint64_t, EventRing::kWords> words{};
    for (std::size_t i = 0; i < words.size(); ++i) {
        words[i] = slot.words[i].load(std::memory_order_relaxed);
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (slot.number.load(std::memory_order_relaxed) != number + 1) {
        return false;
    }
    event = std::bit_cast<Event>(words);
    return true;
}

}  // namespace crema::xdp
