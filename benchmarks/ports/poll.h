// SPDX-License-Identifier: BSD-3-Clause
//
// The polling core's loop of port_bench, the same for every kind of port: what it costs to move
// whole bursts that are there. A poll that moves less than a whole burst is not counted, because it
// measures the other side; after one the core waits a while, outside of the time, so that frames
// (or room) gather. So is one that was interrupted. What the clock itself takes is subtracted.
#pragma once

#include <algorithm>
#include <cstdint>

#include <rte_atomic.h>
#include <rte_cycles.h>
#include <rte_pause.h>

namespace crema::bench {

inline constexpr std::uint32_t kBurstMax = 64;

enum class Work : std::uint8_t {
    rx,       // receive; what was received is freed outside of the time
    rx_free,  // receive and free
    tx,       // send frames that were made outside of the time; in it: free what was sent before
    swap,     // receive, swap the MAC addresses, send
};

struct Cost {
    std::uint64_t cycles = 0;
    std::uint64_t frames = 0;
    std::uint64_t polls = 0;     // counted
    std::uint64_t left_out = 0;  // others

    [[nodiscard]] double per_frame() const {
        return frames == 0 ? 0 : static_cast<double>(cycles) / static_cast<double>(frames);
    }
};

/// TSC cycles between two readings with nothing between them.
[[nodiscard]] inline std::uint64_t clock_cost() {
    std::uint64_t best = UINT64_MAX;
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t start = rte_rdtsc();
        best = std::min(best, rte_rdtsc() - start);
    }
    return best;
}

/// Face: receive(burst), release(n), prepare(burst), send(n), swap(n) and drop(from, n), all of the
/// frames that the face itself holds in an array.
template <typename Face>
[[nodiscard, gnu::noinline]] Cost poll_for(Face& face,
                                           Work work,
                                           std::uint32_t burst,
                                           std::uint64_t duration) {
    constexpr std::uint64_t kInterruptedHz = 20'000;  // 50 us
    constexpr std::uint64_t kGatherHz = 100'000;      // 10 us
    const std::uint64_t interrupted = rte_get_tsc_hz() / kInterruptedHz;
    const std::uint64_t gather = rte_get_tsc_hz() / kGatherHz;
    const std::uint64_t clock = clock_cost();
    Cost cost;
    for (const std::uint64_t begin = rte_rdtsc(); rte_rdtsc() - begin < duration;) {
        std::uint32_t moved = 0;
        bool is_whole = work != Work::tx || face.prepare(burst);
        std::uint64_t start = 0;
        std::uint64_t end = 0;
        if (is_whole) {
            rte_mb();  // what was written outside of the time has left the core
            start = rte_rdtsc();
            std::uint32_t sent = burst;
            switch (work) {
                case Work::rx:
                    moved = face.receive(burst);
                    break;
                case Work::rx_free:
                    moved = face.receive(burst);
                    face.release(moved);
                    break;
                case Work::tx:
                    moved = face.send(burst);
                    break;
                case Work::swap:
                    moved = face.receive(burst);
                    face.swap(moved);
                    sent = face.send(moved);
                    break;
            }
            end = rte_rdtsc();
            is_whole = moved == burst && sent == burst;
            if (work == Work::rx) {
                face.release(moved);
            } else if (work == Work::tx) {
                face.drop(moved, burst);
            } else if (work == Work::swap) {
                face.drop(sent, moved);
            }
        }
        if (is_whole && end - start < interrupted) {
            cost.cycles += end - start - clock;
            cost.frames += burst;
            ++cost.polls;
            continue;
        }
        ++cost.left_out;
        for (const std::uint64_t from = rte_rdtsc(); rte_rdtsc() - from < gather;) {
            rte_pause();
        }
    }
    return cost;
}

}  // namespace crema::bench
