// SPDX-License-Identifier: BSD-3-Clause
//
// Several small buffers in one page (the kernel's page_pool_alloc_frag): the owner cuts pieces off
// a page until the next one does not fit; the page is home when its last piece was put, by
// whomever. One counter per page, with a bias: it is set once when the page is begun, each piece
// that is put takes one off, and what was never cut is taken off at the end. So cutting costs no
// atomic operation.
//
// A piece that goes to an application is an mbuf with an external buffer, as DPDK has it: a header
// from any pool of mbufs, the page's counter as its shared info. rte_pktmbuf_free(), clones and
// chains work; the last one that lets go brings the page home. As with every external buffer the
// callback is an address of this process: mbufs of pieces are not for secondary processes.
//
// Does not hold: XDP on pieces. A frame of XDP is a whole page (its headroom is found from the
// page), so no driver here receives into pieces, as the kernel's mvneta does not.
#pragma once

#include <cstdint>

#include <rte_mbuf.h>

#include "lib/page_pool/page.h"

namespace crema::page_pool {

struct Fragment {
    rte_mbuf* page = nullptr;
    std::uint8_t* data = nullptr;  // 64-byte aligned
    std::uint32_t bytes = 0;
};

/// Largest piece: a whole page.
[[nodiscard]] constexpr std::uint32_t fragment_bytes_max(std::uint32_t order) {
    return buffer_bytes(order) & ~(kColourBytes - 1);
}

/// Cuts `bytes`, rounded up to a multiple of 64, 1..fragment_bytes_max(). False: no page, or too
/// large. Thread: the pool's owner.
[[nodiscard]] bool alloc_fragment(rte_mempool* pool, std::uint32_t bytes, Fragment* fragment);

/// Gives one piece back. Any thread.
void put_fragment(const Fragment& fragment);

/// Makes an mbuf of the piece, which owns it from then on; data_off is 0, length 0. Null when
/// `headers`, a pool of mbufs, is empty; then the piece stays with the caller.
[[nodiscard]] rte_mbuf* fragment_to_mbuf(const Fragment& fragment, rte_mempool* headers);

/// The page that is being cut goes home, or with its last piece. Thread: the owner, or nobody
/// allocates.
void drop_fragment_page(rte_mempool* pool);

}  // namespace crema::page_pool
