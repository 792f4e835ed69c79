// SPDX-License-Identifier: BSD-3-Clause
//
// The pages of one run with live frames. Each holds the packet as it was given when the run takes
// it for the first time and what programs made of it from then on, as the kernel's do; which page
// comes when is the kernel's order, too: what came home before pages that nobody had.
//
// Their pools are made for runs and go when a run ends and all pages are home. When some are not
// (they wait in a TX ring or a cpumap's queue, or an application keeps their mbufs), the pool is
// retired: the next run takes it over or, when its pages have come, destroys it. So there are never
// more than kLivePoolsMax, and a page that never comes home costs no more than its pool.
//
// In a process without EAL there are no pools: the pages are memory of the run's own, which cannot
// be sent anywhere.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <rte_mbuf.h>

#include "lib/base/result.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/page_pool/page.h"
#include "lib/xdp/hook.h"
#include "lib/xdp/quiescence.h"

namespace crema::xdp {

inline constexpr std::uint32_t kLivePages = 2048;  // of a run: more than TX rings keep
inline constexpr std::uint32_t kLiveCopies = 512;  // of a run: copies for broadcast under way
inline constexpr std::uint32_t kLivePoolsMax = 8;  // runs at once, and retired pools
/// Longest packet: what a page holds beside headroom and the tail that programs never get.
inline constexpr std::uint32_t kLiveFrameBytesMax =
    page_pool::kFrameSize - ebpf::kXdpHeadroom - ebpf::kTailReserve;

struct LivePool;

class LivePages {
  public:
    /// bytes: metadata, then the packet, at most kLiveFrameBytesMax; stays valid until the end.
    /// Errors: ENOMEM, also when kLivePoolsMax runs are under way or left pages behind.
    [[nodiscard]] static Result<std::unique_ptr<LivePages>> acquire(
        std::span<const std::uint8_t> bytes, std::uint32_t meta_bytes);

    /// What was taken and not given back is somebody else's now, and comes home without us.
    ~LivePages();
    LivePages(const LivePages&) = delete;
    LivePages& operator=(const LivePages&) = delete;

    /// False in a process without EAL.
    [[nodiscard]] bool can_be_sent() const;

    /// Fills frames[0..return), at most `max` and kBurstMax. 0: no page is at home now.
    [[nodiscard]] std::uint32_t take(Frame* frames, std::uint32_t max);

    void give_back(rte_mbuf* const* pages, std::uint32_t n);

    /// Lets the ports send home what they have transmitted.
    void reclaim();

    /// Of broadcast copies; null in a process without EAL.
    [[nodiscard]] rte_mempool* copies() const;

  private:
    LivePages(std::span<const std::uint8_t> bytes, std::uint32_t meta_bytes);

    void start(std::unique_ptr<LivePool> pool);
    void refill();
    void write_packet(rte_mbuf* page) const;

    std::unique_ptr<LivePool> pool_;  // null until start()
    std::span<const std::uint8_t> bytes_;
    std::uint32_t meta_bytes_;
    std::vector<rte_mbuf*> fresh_;  // nobody had them in this run
    std::vector<rte_mbuf*> cache_;  // next to be taken
    Reader reader_;
};

/// Pools that wait for pages. For tests.
[[nodiscard]] std::uint32_t retired_live_pools();

}  // namespace crema::xdp
