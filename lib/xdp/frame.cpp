// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/frame.h"

#include <array>
#include <utility>

#include "lib/base/check.h"
#include "lib/ebpf/abi/fragments.h"
#include "lib/page_pool/page_pool.h"
#include "lib/xdp/fragments.h"
#include "lib/xdp/hook.h"

namespace crema::xdp {
namespace {

/// In the pool a page stands alone.
void unlink(rte_mbuf* page) {
    page->next = nullptr;
    page->nb_segs = 1;
}

rte_mbuf* link_behind(rte_mbuf* last, const ebpf::Fragment& fragment) {
    auto* const page = static_cast<rte_mbuf*>(fragment.owner);
    page->data_off = static_cast<std::uint16_t>(fragment.data -
                                                static_cast<const std::uint8_t*>(page->buf_addr));
    page->data_len = static_cast<std::uint16_t>(fragment.len);
    last->next = page;
    return page;
}

}  // namespace

std::uint32_t bytes_in_pages(const Frame& frame) {
    std::uint32_t bytes = frame.len;
    for (const rte_mbuf* page = frame.page->next; page != nullptr; page = page->next) {
        bytes += page->data_len;
    }
    return bytes;
}

void complete_chain(const Frame& frame) {
    frame.page->pkt_len = bytes_in_pages(frame);
    frame.page->nb_segs = static_cast<std::uint16_t>(1 + frame.fragments);
}

void recycle_fragments(rte_mbuf* page) {
    std::array<rte_mbuf*, ebpf::kFragmentsMax> pages;
    std::uint32_t n = 0;
    rte_mbuf* next = page->next;
    unlink(page);
    while (next != nullptr) {
        if (n == pages.size()) [[unlikely]] {
            page_pool::recycle_mixed(pages.data(), n);
            n = 0;
        }
        rte_mbuf* const fragment = next;
        next = fragment->next;
        unlink(fragment);
        pages[n++] = fragment;
    }
    page_pool::recycle_mixed(pages.data(), n);
}

void recycle(const Frame* frames, std::uint32_t n) {
    std::array<rte_mbuf*, kBurstMax> pages;
    for (std::uint32_t i = 0; i < n; ++i) {
        if (frames[i].fragments != 0) [[unlikely]] {
            recycle_fragments(frames[i].page);
        }
        pages[i] = frames[i].page;
    }
    page_pool::recycle_mixed(pages.data(), n);
}

void show_fragments(ebpf::XdpBuff& buff, const Frame& frame, ebpf::Fragments& list, bool may_grow) {
    CREMA_DCHECK(frame.fragments <= list.all.size());
    list.first = list.n = list.bytes = 0;
    list.may_grow = may_grow;
    for (rte_mbuf* page = frame.page->next; page != nullptr; page = page->next) {
        const std::uint32_t used = std::uint32_t{page->data_off} + page->data_len;
        list.all[list.n++] = {.data = rte_pktmbuf_mtod(page, std::uint8_t*),
                              .len = page->data_len,
                              .room = page->buf_len - used,
                              .owner = page};
        list.bytes += page->data_len;
    }
    list.shown = list.n;
    buff.fragments = &list;
}

std::uint16_t settle_fragments(const ebpf::Fragments& list, rte_mbuf* page) {
    std::array<rte_mbuf*, ebpf::kFragmentsMax> gone;
    std::uint32_t gone_n = 0;
    rte_mbuf* last = page;
    for (std::uint32_t i = 0; i < list.shown; ++i) {
        if (i >= list.first && i < list.first + list.n) {
            last = link_behind(last, list.all[i]);
            continue;
        }
        auto* const fragment = static_cast<rte_mbuf*>(list.all[i].owner);
        unlink(fragment);
        gone[gone_n++] = fragment;
    }
    last->next = nullptr;
    page_pool::recycle_mixed(gone.data(), gone_n);
    return static_cast<std::uint16_t>(list.n);
}

}  // namespace crema::xdp
