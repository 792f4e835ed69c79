// SPDX-License-Identifier: BSD-3-Clause
//
// Memory of a pool: one memzone per node that the pool has lived on, each a multiple of the page,
// so it can be mapped for DMA as one range, and a store for its pages. Control side.
#pragma once

#include <cstddef>
#include <cstdint>

#include <rte_mempool.h>

#include "lib/base/result.h"
#include "lib/page_pool/pool.h"

namespace crema::page_pool {

/// What create() or set_node() wants of this pool now; null for pools of stock programs.
[[nodiscard]] const Setup* setup_of(const rte_mempool& mempool);

/// Has the callbacks of `mempool` see `setup` as long as it lives.
class SetupScope {
  public:
    SetupScope(rte_mempool& mempool, Setup setup);
    ~SetupScope();
    SetupScope(const SetupScope&) = delete;
    SetupScope& operator=(const SetupScope&) = delete;

  private:
    rte_mempool& mempool_;
    Setup setup_;
    const Setup* before_;
};

/// Takes memory for `pages` pages on the node of the present setup and makes elements of it. On
/// failure the pool is as it was. Errors: ENOMEM, EEXIST.
[[nodiscard]] Status add_chunk(rte_mempool& mempool, std::uint32_t pages);

/// What the populate callback does for a pool of pages. Returns the number of elements; 0: no
/// memory.
[[nodiscard]] int lay_out_chunk(rte_mempool& mempool,
                                const Setup& setup,
                                unsigned pages_max,
                                std::uint8_t* start,
                                std::size_t bytes,
                                rte_mempool_populate_obj_cb_t* add,
                                void* add_arg);

}  // namespace crema::page_pool
