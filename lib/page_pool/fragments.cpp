// SPDX-License-Identifier: BSD-3-Clause
#include "lib/page_pool/fragments.h"

#include "lib/page_pool/page_pool.h"
#include "lib/page_pool/pool.h"

namespace crema::page_pool {
namespace {

/// What a page's counter starts with. Clones of mbufs add to it, so half of its range is left; a
/// page has far fewer pieces.
constexpr std::uint16_t kBias = 0x7fff;
static_assert(page_bytes(kOrderMax) / kColourBytes < kBias);

/// The counter lies in front of the mempool's header of the page, in the same line: no piece and no
/// mbuf reaches it.
constexpr std::size_t kSharedInfoOffset = kObjectHeaderBytes;
static_assert(sizeof(rte_mbuf_ext_shared_info) + sizeof(rte_mempool_objhdr) <= kObjectHeaderBytes);

rte_mbuf_ext_shared_info& info_of(rte_mbuf* page) {
    return *reinterpret_cast<rte_mbuf_ext_shared_info*>(reinterpret_cast<std::uint8_t*>(page) -
                                                        kSharedInfoOffset);
}

void bring_home(void* /*data*/, void* page) {
    auto* const own = static_cast<rte_mbuf*>(page);
    recycle_bulk(own->pool, &own, 1);
}

/// True when nobody has a part of the page any more. The last one sees what all others did to it.
bool drop(rte_mbuf* page, std::uint16_t references) {
    return __atomic_sub_fetch(&info_of(page).refcnt, references, __ATOMIC_ACQ_REL) == 0;
}

void begin_page(Pool& pool, rte_mbuf* page) {
    rte_mbuf_ext_shared_info& info = info_of(page);
    info.free_cb = bring_home;
    info.fcb_opaque = page;
    __atomic_store_n(&info.refcnt, kBias, __ATOMIC_RELAXED);
    pool.fragment_page = page;
    pool.fragment_offset = 0;
    pool.fragment_users = 0;
}

/// Lets go of what was not cut. True: all pieces were put already, the page is the caller's.
bool end_page(Pool& pool) {
    return drop(pool.fragment_page, static_cast<std::uint16_t>(kBias - pool.fragment_users));
}

}  // namespace

bool alloc_fragment(rte_mempool* mempool, std::uint32_t bytes, Fragment* fragment) {
    Pool& pool = pool_of(mempool);
    const std::uint32_t size = (bytes + kColourBytes - 1) & ~(kColourBytes - 1);
    const std::uint32_t all = fragment_bytes_max(pool.order);
    if (bytes == 0 || bytes > all) [[unlikely]] {
        return false;
    }
    if (pool.fragment_page != nullptr && size > all - pool.fragment_offset) {
        // A page whose pieces are all back is cut again.
        rte_mbuf* const page = pool.fragment_page;
        const bool is_ours = end_page(pool);
        pool.fragment_page = nullptr;
        if (is_ours) {
            begin_page(pool, page);
        }
    }
    if (pool.fragment_page == nullptr) {
        rte_mbuf* page = nullptr;
        if (alloc_bulk(mempool, &page, 1) == 0) {
            return false;
        }
        begin_page(pool, page);
    } else {
        pool.fragments.add(1);
    }
    *fragment = {.page = pool.fragment_page,
                 .data = buffer_of(pool.fragment_page) + pool.fragment_offset,
                 .bytes = size};
    pool.fragment_offset += size;
    ++pool.fragment_users;
    return true;
}

void put_fragment(const Fragment& fragment) {
    if (drop(fragment.page, 1)) {
        bring_home(nullptr, fragment.page);
    }
}

rte_mbuf* fragment_to_mbuf(const Fragment& fragment, rte_mempool* headers) {
    rte_mbuf* const mbuf = rte_pktmbuf_alloc(headers);
    if (mbuf == nullptr) {
        return nullptr;
    }
    const auto offset = static_cast<std::uint64_t>(
        fragment.data - static_cast<std::uint8_t*>(fragment.page->buf_addr));
    rte_pktmbuf_attach_extbuf(mbuf, fragment.data, rte_mbuf_iova_get(fragment.page) + offset,
                              static_cast<std::uint16_t>(fragment.bytes), &info_of(fragment.page));
    return mbuf;
}

void drop_fragment_page(rte_mempool* mempool) {
    Pool& pool = pool_of(mempool);
    if (pool.fragment_page == nullptr) {
        return;
    }
    rte_mbuf* const page = pool.fragment_page;
    if (end_page(pool)) {
        bring_home(nullptr, page);
    }
    pool.fragment_page = nullptr;
}

}  // namespace crema::page_pool
