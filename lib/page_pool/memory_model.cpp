// SPDX-License-Identifier: BSD-3-Clause
#include "lib/page_pool/memory_model.h"

#include <cerrno>

namespace crema::page_pool {

Result<MemoryModel> make_memory_model(MemoryType type, rte_mempool* allocator) {
    if (type == MemoryType::page_shared) {
        return MemoryModel{};
    }
    const bool is_pages = type == MemoryType::page_pool;
    if (!is_pages && type != MemoryType::xsk_buff_pool) {
        return fail(EINVAL, "memory model: there is none with number {}",
                    static_cast<unsigned>(type));
    }
    const char* const name = is_pages ? "page_pool" : "xsk_buff_pool";
    if (allocator == nullptr) {
        return fail(EINVAL, "memory model {}: needs its allocator", name);
    }
    if (is_page_pool(allocator) != is_pages) {
        return fail(EINVAL, "memory model {}: mempool {} is {} page_pool", name,
                    static_cast<const char*>(allocator->name), is_pages ? "no" : "a");
    }
    return MemoryModel{.type = type, .allocator = allocator};
}

}  // namespace crema::page_pool
