// SPDX-License-Identifier: BSD-3-Clause
//
// Generic mode: the XDP hook for an ethdev port whose driver knows nothing of it. Bursts come from
// rte_eth_rx_burst() as mbufs; while a program is attached they are brought into the shape the hook
// needs (a page of a page_pool with 256 bytes of headroom), run, and the passed ones are mbufs
// again. A frame that already lies in such a page stays where it is; any other is copied, as the
// kernel's generic mode does: whatever its segments were, into one page, or, when it is longer than
// that and the program takes fragments, into as few as hold it. TX and redirect go through
// rte_eth_tx_burst().
//
// Does not hold: the port's life (port.h).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "lib/base/result.h"
#include "lib/datapath/tx_queues.h"
#include "lib/xdp/hook.h"

namespace crema::datapath {

/// Since the port was opened.
struct GenericCounters {
    std::uint64_t copied = 0;         // frames copied into a page
    std::uint64_t too_long = 0;       // frames that the program cannot take: dropped
    std::uint64_t no_page = 0;        // frames dropped because the pool had too few pages
    std::uint64_t tx_xdp_xmit = 0;    // frames sent for XDP_TX and redirects
    std::uint64_t tx_xdp_errors = 0;  // frames the port did not take
};

class GenericPort {
  public:
    /// Registers the port with lib/xdp and makes one pool of `pages` pages per RX queue.
    /// sends_chains: the port was configured to send mbufs of several segments. `tx` must outlive
    /// the object. Errors: the pool's (too small, no memory), EEXIST.
    [[nodiscard]] static Result<std::unique_ptr<GenericPort>> create(std::uint16_t port_id,
                                                                     std::uint16_t rx_queues,
                                                                     std::uint32_t pages,
                                                                     bool sends_chains,
                                                                     TxQueues& tx);
    ~GenericPort();
    GenericPort(const GenericPort&) = delete;
    GenericPort& operator=(const GenericPort&) = delete;

    /// Runs the attached program over mbufs[0..n), n <= kBurstMax, just received from `queue`;
    /// leaves what it passes in mbufs[0..return). Without a program nothing is touched.
    /// Thread: the one that polls the queue.
    [[nodiscard]] std::uint32_t filter(std::uint16_t queue, rte_mbuf** mbufs, std::uint32_t n) {
        if (!hooks_[queue].active.load(std::memory_order_relaxed)) [[likely]] {
            return n;
        }
        return run(queue, mbufs, n);
    }

    /// Names the lcore that will poll the queue. Control thread, before it polls.
    void set_owner(std::uint16_t queue, unsigned lcore_id);

    /// May the port have this MTU with the program that is attached? Control thread.
    [[nodiscard]] Status check_mtu(std::uint16_t mtu) const;

    /// After the port's MTU changed.
    void read_mtu();

    /// False: nothing is sent. Control thread.
    void set_up(bool up) { up_.store(up, std::memory_order_release); }

    [[nodiscard]] GenericCounters counters() const;

    [[nodiscard]] const std::vector<rte_mempool*>& pools() const { return pools_; }

  private:
    struct alignas(64) QueueCounters {
        std::uint64_t copied = 0;
        std::uint64_t too_long = 0;
        std::uint64_t no_page = 0;
    };

    GenericPort(std::uint16_t port_id, TxQueues& tx) : tx_(tx), port_id_(port_id) {}

    [[nodiscard]] std::uint32_t run(std::uint16_t queue, rte_mbuf** mbufs, std::uint32_t n);
    [[nodiscard]] std::uint32_t collect(std::uint16_t queue,
                                        rte_mbuf** mbufs,
                                        std::uint32_t n,
                                        xdp::Frame* frames);

    [[nodiscard]] Status check_frame_bytes(std::uint32_t frame_bytes, bool has_frags) const;

    static std::uint32_t xmit(void* port,
                              std::uint32_t slot,
                              const xdp::Frame* frames,
                              std::uint32_t n);
    static Status attach_check(void* port, bool has_frags);
    static std::uint32_t frame_bytes_max(void* port);
    static bool is_up(void* port);

    std::array<QueueCounters, xdp::kRxQueuesMax> queue_counters_;
    TxQueues& tx_;
    xdp::RxHook* hooks_ = nullptr;
    std::vector<rte_mempool*> pools_;  // one per RX queue
    std::atomic<std::uint64_t> tx_xdp_xmit_{0};
    std::atomic<std::uint64_t> tx_xdp_errors_{0};
    std::atomic<std::uint32_t> frame_bytes_max_{0};
    std::uint16_t port_id_;
    std::atomic<bool> up_{false};
};

}  // namespace crema::datapath
