// SPDX-License-Identifier: BSD-3-Clause
//
// Destruction that waits for the last page, as the kernel's page_pool_destroy(): who has pages may
// keep them, and when all are home the pool goes. What waits is looked at by EAL's control thread
// once a second, and said once a minute, with who has the pages. Pools without EAL do not exist.
//
// Threads: control threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rte_mempool.h>

namespace crema::page_pool {

/// The pool is not the caller's any more: it is destroyed now, or when its last page has come. No
/// queue may take pages from it. Null: nothing happens.
void retire(rte_mempool* pool);

struct Retired {
    std::string name;
    std::uint64_t in_flight;
    std::uint64_t waits_s;  // seconds since retire()
    std::string holders;    // as describe() says
};

/// Destroys what is complete; returns what is not.
std::vector<Retired> reap_retired();

}  // namespace crema::page_pool
