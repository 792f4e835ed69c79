// SPDX-License-Identifier: BSD-3-Clause
#include "lib/page_pool/holders.h"

#include <algorithm>
#include <fmt/format.h>
#include <mutex>

#include "lib/page_pool/pool.h"

namespace crema::page_pool {
namespace {

constexpr std::uint32_t kNone = ~0U;

struct Holder {
    const void* self;
    std::string name;
    ListPages list;
};

struct Registry {
    std::mutex lock;
    std::vector<Holder> holders;
};

Registry& registry() {
    static auto& the_registry = *new Registry;  // ports may go at the very end of the process
    return the_registry;
}

}  // namespace

HeldPages::HeldPages(const rte_mempool* mempool)
    : page_bytes_(page_bytes(pool_of(mempool).order)), header_bytes_(mempool->header_size) {
    const Pool& pool = pool_of(mempool);
    std::uint32_t pages = 0;
    for (std::uint32_t i = 0; i < pool.chunks_n.load(std::memory_order_acquire); ++i) {
        ranges_.push_back({pool.chunks[i].start, pool.chunks[i].bytes, pages});
        pages += static_cast<std::uint32_t>(pool.chunks[i].bytes / page_bytes_);
    }
    seen_.resize(pages);
}

std::uint32_t HeldPages::number_of(const rte_mbuf* page) const {
    const auto* const at = reinterpret_cast<const std::uint8_t*>(page);
    for (const Range& range : ranges_) {
        const auto offset = static_cast<std::size_t>(at - range.start);
        if (offset >= range.bytes) {
            continue;
        }
        const std::size_t index = offset / page_bytes_;
        const std::size_t colour = kColourBytes * (index % kColours);
        return offset % page_bytes_ == colour + header_bytes_
                   ? range.first + static_cast<std::uint32_t>(index)
                   : kNone;
    }
    return kNone;
}

// Under traffic others write the links while they are followed: they are read as whole words, and
// lead nowhere but to elements of the pool, at most all of them.
#if defined(__SANITIZE_THREAD__)
[[gnu::no_sanitize_thread]]
#endif
void HeldPages::add(const rte_mbuf* first) {
    std::size_t left = seen_.size();
    for (const rte_mbuf* page = first; page != nullptr && left != 0; --left) {
        const std::uint32_t number = number_of(page);
        if (number == kNone) {
            return;
        }
        if (!seen_[number]) {
            seen_[number] = true;
            ++count_;
        }
        page = __atomic_load_n(&page->next, __ATOMIC_RELAXED);
    }
}

void register_holder(const void* self, std::string name, ListPages list) {
    Registry& all = registry();
    const std::scoped_lock guard(all.lock);
    std::erase_if(all.holders, [self](const Holder& each) { return each.self == self; });
    all.holders.push_back({self, std::move(name), list});
}

void unregister_holder(const void* self) {
    Registry& all = registry();
    const std::scoped_lock guard(all.lock);
    std::erase_if(all.holders, [self](const Holder& each) { return each.self == self; });
}

std::vector<Holding> holders_of(const rte_mempool* mempool) {
    std::vector<Holding> found;
    HeldPages pages(mempool);
    std::uint64_t named = 0;
    {
        Registry& all = registry();
        const std::scoped_lock guard(all.lock);
        for (const Holder& each : all.holders) {
            pages.begin_next();
            each.list(each.self, pages);
            if (pages.count() != 0) {
                found.push_back({each.name, pages.count()});
                named += pages.count();
            }
        }
    }
    const std::uint64_t out = stats(mempool).in_flight;
    if (out > named) {
        found.push_back({"with applications", static_cast<std::uint32_t>(out - named)});
    }
    return found;
}

std::string describe(const std::vector<Holding>& holdings) {
    std::string text;
    for (const Holding& each : holdings) {
        fmt::format_to(std::back_inserter(text), "{}{} {}", text.empty() ? "" : ", ", each.pages,
                       each.who);
    }
    return text;
}

}  // namespace crema::page_pool
