// SPDX-License-Identifier: BSD-3-Clause
//
// Where the frames of a RX queue come from, and so go back to (the kernel's
// xdp_rxq_info_reg_mem_model): whoever ends a burst of one queue returns its frames without reading
// them. A frame that left the burst (a TX ring, the queue of a CPU, an application) needs no
// model: its mbuf names its pool, which put_mixed() and rte_pktmbuf_free() go by.
//
//   page_shared    frames of any pools, also with more than one reference: each by its own mbuf
//   page_pool      unshared pages of one page_pool: straight into it
//   xsk_buff_pool  frames of a umem: a mempool whose ops know the way back to the fill ring.
//   lib/xsk
//                  is to make one; any mempool that is no page_pool may stand for it
#pragma once

#include <cstdint>

#include <rte_mempool.h>

#include "lib/base/result.h"
#include "lib/page_pool/page_pool.h"

namespace crema::page_pool {

enum class MemoryType : std::uint8_t { page_shared, page_pool, xsk_buff_pool };

/// As a queue without registration has it: page_shared.
struct MemoryModel {
    MemoryType type = MemoryType::page_shared;
    rte_mempool* allocator = nullptr;  // null for page_shared
};

/// allocator: may be null for page_shared, and stays the caller's. Errors, as the kernel's: EINVAL
/// the type is none of these, or has no allocator; besides, EINVAL the allocator is of another
/// kind. Each says what.
[[nodiscard]] Result<MemoryModel> make_memory_model(MemoryType type, rte_mempool* allocator);

/// Frames [0, n) of one burst of the queue, on any thread. The common case is one comparison.
inline void return_frames(const MemoryModel& model, rte_mbuf* const* frames, std::uint32_t n) {
    if (model.type == MemoryType::page_pool) [[likely]] {
        recycle_bulk(model.allocator, frames, n);
    } else if (model.type == MemoryType::xsk_buff_pool) {
        rte_mempool_put_bulk(model.allocator, reinterpret_cast<void* const*>(frames), n);
    } else {
        put_mixed(frames, n);
    }
}

}  // namespace crema::page_pool
