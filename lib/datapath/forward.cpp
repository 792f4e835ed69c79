// SPDX-License-Identifier: BSD-3-Clause
#include "lib/datapath/forward.h"

#include <utility>

#include <rte_prefetch.h>

namespace crema::datapath {

void prepare(const ForwardTable& table,
             std::uint16_t out,
             rte_mbuf* const* mbufs,
             std::uint32_t n) {
    if ((table.mode != ForwardMode::mac && table.mode != ForwardMode::macswap) ||
        table.as_it_is[out]) {
        return;
    }
    constexpr std::uint32_t kAhead = 4;
    for (std::uint32_t i = 0; i < n; ++i) {
        if (i + kAhead < n) {
            rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + kAhead], void*));
        }
        if (mbufs[i]->data_len < RTE_ETHER_HDR_LEN) [[unlikely]] {
            continue;
        }
        auto* const header = rte_pktmbuf_mtod(mbufs[i], rte_ether_hdr*);
        if (table.mode == ForwardMode::macswap) {
            std::swap(header->dst_addr, header->src_addr);
        } else {
            header->src_addr = table.own[out];
            header->dst_addr = table.peer[out];
        }
    }
}

}  // namespace crema::datapath
