// SPDX-License-Identifier: BSD-3-Clause
//
// A received frame before it is a mbuf, in one page or, where a port takes longer frames, in
// several (the kernel: multi-buffer). Most frames lie in one, and nothing here costs those more
// than a look at a number that is in the registers anyway.
//
//   Frame -> page (first piece: data, len)  -next-> page (data_off, data_len)  -next-> ...
//
// The pages behind the first are complete mbufs, linked by rte_mbuf::next; of the first one only
// `next` means something while `fragments` is not 0. So a passed frame is a mbuf chain with a few
// more stores, and TX writes a descriptor for each of its pages.
#pragma once

#include <cstdint>

#include <rte_mbuf.h>

#include "lib/page_pool/page.h"

namespace crema::xdp {

/// `page` is an element of a page_pool; only its identity is used.
struct Frame {
    rte_mbuf* page;
    std::uint8_t* data;
    std::uint32_t len;        // bytes in `page`, without FCS: the frame when it has no fragments
    std::uint16_t meta_len;   // bytes of metadata in front of data
    std::uint16_t fragments;  // pages behind `page`, kFragmentsMax at most
};

static_assert(sizeof(Frame) == 24);

/// Of frames with fragments: all of their bytes.
[[nodiscard]] std::uint32_t bytes_in_pages(const Frame& frame);

[[nodiscard]] inline std::uint32_t bytes_of(const Frame& frame) {
    return frame.fragments == 0 ? frame.len : bytes_in_pages(frame);
}

/// What is left of to_mbuf() when there are fragments.
void complete_chain(const Frame& frame);

/// Makes a mbuf, or a chain of them, of a passed frame. Owner afterwards: whoever has the mbuf.
inline rte_mbuf* to_mbuf(const Frame& frame, std::uint16_t port_id) {
    page_pool::to_mbuf(frame.page, frame.data, frame.len, port_id);
    if (frame.fragments != 0) [[unlikely]] {
        complete_chain(frame);
    }
    return frame.page;
}

/// Sends the pages behind `page` home; `page` stays with the caller, in one piece.
void recycle_fragments(rte_mbuf* page);

/// Sends all pages of frames[0..n) home, n <= kBurstMax.
void recycle(const Frame* frames, std::uint32_t n);

}  // namespace crema::xdp
