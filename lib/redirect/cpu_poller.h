// SPDX-License-Identifier: BSD-3-Clause
//
// The receiving side of cpumap: a worker that runs on CPU n polls the queues of every cpumap slot
// with key n. A slot whose CPU has no poller refuses frames, and they are counted.
#pragma once

#include <cstdint>
#include <memory>

#include <rte_mbuf.h>

#include "lib/base/result.h"

namespace crema::redirect {

struct CpumapCounters {
    std::uint64_t received = 0;  // frames taken from the queues
    std::uint64_t pass = 0;      // handed to the worker as mbufs
    std::uint64_t drop = 0;      // second program: DROP
    std::uint64_t aborted = 0;   // second program: ABORTED, TX or unknown
    std::uint64_t redirect = 0;
    std::uint64_t redirect_errors = 0;
    std::uint64_t enqueue_drops = 0;  // queue full, or no poller: counted by the sender
};

class CpuPoller {
  public:
    /// EBUSY: this CPU has a poller. Control thread.
    [[nodiscard]] static Result<std::unique_ptr<CpuPoller>> create(std::uint32_t cpu);
    ~CpuPoller();
    CpuPoller(const CpuPoller&) = delete;
    CpuPoller& operator=(const CpuPoller&) = delete;

    /// Takes up to `n` (<= 64) frames, runs the slots' programs, and leaves PASS frames in
    /// mbufs[0..return) with port = ingress port. Thread: the worker on that CPU.
    [[nodiscard]] std::uint32_t poll(rte_mbuf** mbufs, std::uint32_t n);

  private:
    CpuPoller() = default;
    struct State;
    std::unique_ptr<State> state_;
};

/// Sum over all slots of CPU `cpu`, living and gone.
[[nodiscard]] CpumapCounters cpumap_counters(std::uint32_t cpu);

}  // namespace crema::redirect
