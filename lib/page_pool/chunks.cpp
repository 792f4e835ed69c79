// SPDX-License-Identifier: BSD-3-Clause
#include "lib/page_pool/chunks.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_memory.h>
#include <rte_memzone.h>

#include "lib/base/check.h"

namespace crema::page_pool {
namespace {

/// A stock program may hand any pointer to the ops; ours is known by being this thread's.
thread_local const Setup* present_setup = nullptr;

void free_memory(rte_mempool_memhdr* /*chunk*/, void* zone) {
    rte_memzone_free(static_cast<const rte_memzone*>(zone));
}

rte_iova_t iova_of_object(void* object) {
    return rte_eal_iova_mode() == RTE_IOVA_VA ? reinterpret_cast<rte_iova_t>(object)
                                              : rte_mem_virt2iova(object);
}

std::uint8_t* object_at(const rte_mempool& mempool,
                        std::uint8_t* start,
                        std::uint32_t order,
                        std::size_t index) {
    return start + index * page_bytes(order) + kColourBytes * (index % kColours) +
           mempool.header_size;
}

}  // namespace

const Setup* setup_of(const rte_mempool& mempool) {
    return mempool.pool_config != nullptr && mempool.pool_config == present_setup ? present_setup
                                                                                  : nullptr;
}

SetupScope::SetupScope(rte_mempool& mempool, Setup setup)
    : mempool_(mempool), setup_(setup), before_(present_setup) {
    present_setup = &setup_;
    mempool_.pool_config = &setup_;
}

SetupScope::~SetupScope() {
    present_setup = before_;
    mempool_.pool_config = nullptr;
}

rte_ring* make_store(std::uint32_t pages, int node) {
    const unsigned slots = rte_align32pow2(pages + 1);
    const ssize_t bytes = rte_ring_get_memsize(slots);
    if (bytes < 0) {
        return nullptr;
    }
    void* const memory = rte_zmalloc_socket("page_pool_store", static_cast<std::size_t>(bytes),
                                            RTE_CACHE_LINE_SIZE, node);
    if (memory == nullptr) {
        return nullptr;
    }
    auto* const ring = static_cast<rte_ring*>(memory);
    CREMA_CHECK(rte_ring_init(ring, "page_pool_store", pages, RING_F_EXACT_SZ) == 0);
    return ring;
}

int lay_out_chunk(rte_mempool& mempool,
                  const Setup& setup,
                  unsigned pages_max,
                  std::uint8_t* start,
                  std::size_t bytes,
                  rte_mempool_populate_obj_cb_t* add,
                  void* add_arg) {
    Pool& pool = pool_of(&mempool);
    const std::uint32_t at = pool.chunks_n.load(std::memory_order_relaxed);
    const std::size_t page = page_bytes(pool.order);
    const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(pages_max, bytes / page));
    rte_ring* const store =
        at == kChunksMax || count == 0 ? nullptr : make_store(count, mempool.socket_id);
    if (store == nullptr) {
        return 0;  // DPDK 22.11 takes a negative number for a large one
    }
    pool.chunks[at] = {.start = start, .bytes = count * page, .node = setup.node, .store = store};
    for (std::uint32_t i = 0; i < count; ++i) {
        std::uint8_t* const object = object_at(mempool, start, pool.order, i);
        // An object lies in one page, whose parts are neighbours for devices, too: all that has to
        // be translated is its own address.
        add(&mempool, add_arg, object, iova_of_object(object));
        rte_pktmbuf_init(&mempool, nullptr, object, i);
        CREMA_CHECK(rte_ring_mp_enqueue(store, object) == 0);
    }
    pool.chunks_n.store(at + 1, std::memory_order_release);
    return static_cast<int>(count);
}

Status add_chunk(rte_mempool& mempool, std::uint32_t pages) {
    const Setup& setup = *setup_of(mempool);
    const char* const pool_name = static_cast<const char*>(mempool.name);
    const std::uint32_t number =
        mempool.pool_data == nullptr ? 0 : pool_of(&mempool).chunks_n.load();
    const std::string name =
        number == 0 ? fmt::format("PP_{}", pool_name) : fmt::format("PP{}_{}", number, pool_name);
    const std::size_t bytes = std::size_t{pages} * page_bytes(setup.order);
    const rte_memzone* const zone =
        rte_memzone_reserve_aligned(name.c_str(), bytes, setup.node, 0, page_bytes(setup.order));
    if (zone == nullptr) {
        return fail(rte_errno == EEXIST ? EEXIST : ENOMEM,
                    "page pool {}: no {} KiB of DPDK memory ({}): give the EAL more with -m, or "
                    "the port fewer pages with pool=",
                    pool_name, bytes / 1024, rte_strerror(rte_errno));
    }
    const int added =
        rte_mempool_populate_iova(&mempool, static_cast<char*>(zone->addr), zone->iova, bytes,
                                  free_memory, const_cast<rte_memzone*>(zone));
    if (added != static_cast<int>(pages)) {
        if (added <= 0) {
            rte_memzone_free(zone);  // otherwise the pool owns it
        }
        return fail(ENOMEM, "page pool {}: cannot lay out {} pages ({})", pool_name, pages,
                    rte_strerror(added < 0 ? -added : ENOMEM));
    }
    return {};
}

}  // namespace crema::page_pool
