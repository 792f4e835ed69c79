// SPDX-License-Identifier: BSD-3-Clause
//
// How much of a page has to be synced before a device may write into it again, for devices that do
// not see the CPU's cache (DmaConfig::sync). The kernel is told so when a page is put
// (dma_sync_size); here the page itself remembers it, because it may come home by
// rte_pktmbuf_free(), which tells nothing, and the driver syncs when it gives the page to the
// device.
//
// Known is a length only of a page that XDP had and nobody else: the driver notes what it received.
// The note is the value of mbuf::port, which each way to make an mbuf of the page overwrites
// (to_mbuf(), rte_pktmbuf_alloc()): a page that was an mbuf in between is synced as a whole, like
// one that was never noted. Programs that may lengthen frames have the note removed before they
// run.
#pragma once

#include <atomic>
#include <cstdint>

#include <rte_mbuf.h>

#include "lib/page_pool/page_pool.h"

namespace crema::page_pool {

/// mbuf::port of a page whose length is noted, in pkt_len. No port has that number.
inline constexpr std::uint16_t kTouchedNoted = 0xfffe;
static_assert(kTouchedNoted >= RTE_MAX_ETHPORTS && kTouchedNoted != RTE_MBUF_PORT_INVALID);

/// From the DMA offset on, at most `bytes` may have been written by CPUs since the device had the
/// page.
inline void note_touched(rte_mbuf* page, std::uint32_t bytes) {
    page->port = kTouchedNoted;
    page->pkt_len = bytes;
}

inline void forget_touched(rte_mbuf* page) {
    page->port = RTE_MBUF_PORT_INVALID;
}

/// How many bytes from the DMA offset are to be synced for the device, at most `bytes_max`; nothing
/// is known of the page afterwards.
[[nodiscard]] inline std::uint32_t take_touched(rte_mbuf* page, std::uint32_t bytes_max) {
    const std::uint32_t bytes =
        page->port == kTouchedNoted && page->pkt_len < bytes_max ? page->pkt_len : bytes_max;
    forget_touched(page);
    return bytes;
}

/// Set with the first pool that was created with DmaConfig::sync, and stays.
extern std::atomic<bool> any_pool_is_synced;

/// False: no page of this process is synced for a device, so that nobody needs to care for notes.
[[nodiscard]] inline bool notes_matter() {
    return any_pool_is_synced.load(std::memory_order_relaxed);
}

}  // namespace crema::page_pool
