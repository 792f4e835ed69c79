// SPDX-License-Identifier: BSD-3-Clause
//
// One lcore's loop: poll its RX queues (XDP runs inside), poll the cpumap queues of its CPU, send
// what was passed on its way, once per round and port. A worker that finds nothing to do spins; for
// laptops and shared machines it can sleep between empty rounds, for a time or until a frame comes.
//
// Threads: run() on the worker's lcore; counters() anywhere; the rest on a control thread while the
// worker does not run.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/base/result.h"
#include "lib/datapath/forward.h"
#include "lib/datapath/port.h"
#include "lib/redirect/cpu_poller.h"

namespace crema::datapath {

struct RxSource {
    Port* port = nullptr;
    std::uint16_t queue = 0;
};

struct WorkerConfig {
    unsigned lcore = 0;
    std::uint32_t cpu = 0;            // kernel CPU number of the lcore
    std::uint16_t burst = 32;         // frames, 1..kBurstMax
    std::uint32_t idle_sleep_us = 0;  // 0: spin
    bool rx_interrupts = false;       // sleep until a frame comes; of queues that can wake
    std::vector<RxSource> sources;
    std::array<Port*, xdp::kPortsMax> ports{};  // where frames may leave; null: nowhere
};

struct WorkerCounters {
    std::uint64_t received = 0;    // frames from the worker's RX queues, after XDP
    std::uint64_t from_cpus = 0;   // frames passed by cpumap
    std::uint64_t forwarded = 0;   // frames taken by a TX queue
    std::uint64_t tx_dropped = 0;  // frames no TX queue took, or with nowhere to go
    std::uint64_t rounds = 0;
    std::uint64_t idle_rounds = 0;
    std::uint64_t interrupts = 0;  // sleeps that a frame ended
};

class Worker {
  public:
    /// EBUSY: a second worker on that CPU. table and stop must outlive the worker.
    [[nodiscard]] static Result<std::unique_ptr<Worker>> create(const WorkerConfig& config,
                                                                const ForwardTable& table,
                                                                const std::atomic<bool>& stop);
    /// Frames that wait in cpumap queues of this CPU go home.
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// Returns when `stop` is set; nothing is left in the worker's hands, but other workers that
    /// stopped later may have sent frames to its CPU: see drain().
    void run();

    /// Handles what waits in the cpumap queues of this CPU. On a control thread after every worker
    /// returned. Returns how many frames it took; 0 for all workers means that none is under way.
    std::uint64_t drain();

    [[nodiscard]] WorkerCounters counters() const;

    [[nodiscard]] const WorkerConfig& config() const { return config_; }

  private:
    /// Frames that leave by one port at the end of the round.
    struct TxBuffer {
        std::uint32_t n = 0;
        std::array<rte_mbuf*, std::size_t{2} * xdp::kBurstMax> mbufs;
    };

    Worker(WorkerConfig config, const ForwardTable& table, const std::atomic<bool>& stop);

    [[nodiscard]] std::uint32_t round();
    /// False, and said why: the worker has no queue that could wake it.
    [[nodiscard]] bool watch_interrupts() const;
    void unwatch_interrupts() const;
    void sleep_until_interrupt();
    /// Takes one burst of what other CPUs sent here.
    [[nodiscard]] std::uint32_t poll_cpumap();
    void forward(std::uint16_t in, rte_mbuf** mbufs, std::uint32_t n);
    void forward_mixed(rte_mbuf** mbufs, std::uint32_t n);
    void flush(std::uint16_t out);
    void flush_all();

    WorkerConfig config_;
    const ForwardTable& table_;
    const std::atomic<bool>& stop_;
    std::unique_ptr<redirect::CpuPoller> cpumap_;
    std::vector<std::uint16_t> outs_;  // ports with a buffer
    std::array<TxBuffer, xdp::kPortsMax> buffers_;
    alignas(64) WorkerCounters counters_;  // single writer: run()
};

}  // namespace crema::datapath
