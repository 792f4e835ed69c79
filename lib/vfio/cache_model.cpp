// SPDX-License-Identifier: BSD-3-Clause
//
// See cache_model.h.
#include "lib/vfio/cache_model.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <mutex>
#include <sys/mman.h>

#include <rte_pause.h>

#include "lib/base/log.h"
#include "lib/vfio/dma_sync.h"

// Clang knows no standard spelling of this attribute.
#define CREMA_UNSEEN __attribute__((no_sanitize("thread")))

namespace crema::vfio {

constinit std::atomic<CacheModel*> cache_model::current{nullptr};

namespace {

using Word = std::uint64_t;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kSpaceBytes = std::uint64_t{1} << 32U;  // all I/O addresses there are
constexpr std::uint64_t kLineMask = ~std::uint64_t{kDmaLineBytes - 1};
constexpr std::size_t kLineWords = kDmaLineBytes / sizeof(Word);
constexpr std::size_t kNotedWhole = 4;  // ranges of up to so many lines; of longer ones a sample
constexpr unsigned kEvictedAtOnce = 4;

// Bits of a line's state.
constexpr std::uint8_t kExchanged = 1;  // there is a copy of what was exchanged last
constexpr std::uint8_t kBusy = 2;

struct Installed {
    std::mutex lock;
    std::weak_ptr<CacheModel> model;
    DmaSpace* space = nullptr;
};

Installed& installed() {
    static Installed state;
    return state;
}

constinit std::atomic<std::uint64_t> lost{0};
constinit std::atomic<std::uint64_t> evicted{0};
constinit std::atomic<std::uint64_t> given{0};

void lost_line(const void* va, std::uint64_t iova) {
    if (lost.fetch_add(1, std::memory_order_relaxed) == 0) {
        log::error(
            "cache model: what a device wrote to the line at {} ({:#x}) is overwritten by what the "
            "CPU had written there before: a sync is missing when it was given away (said once)",
            va, iova);
    }
}

// What follows is what a cache does, not what a thread does: it must not be instrumented, and so
// uses no function that would be.

CREMA_UNSEEN void lock_line(std::uint8_t* state) {
    while ((__atomic_fetch_or(state, kBusy, __ATOMIC_ACQUIRE) & kBusy) != 0) {
        rte_pause();
    }
}

CREMA_UNSEEN bool same_words(const Word* a, const Word* b) {
    for (std::size_t i = 0; i < kLineWords; ++i) {
        if (__atomic_load_n(&a[i], __ATOMIC_RELAXED) != __atomic_load_n(&b[i], __ATOMIC_RELAXED)) {
            return false;
        }
    }
    return true;
}

CREMA_UNSEEN void write_back(const Word* cpu, Word* dram, Word* exchanged) {
    for (std::size_t i = 0; i < kLineWords; ++i) {
        const Word word = __atomic_load_n(&cpu[i], __ATOMIC_RELAXED);
        __atomic_store_n(&dram[i], word, __ATOMIC_RELAXED);
        __atomic_store_n(&exchanged[i], word, __ATOMIC_RELAXED);
    }
}

// A word that the CPU writes meanwhile stays as written: the line was loaded before that.
CREMA_UNSEEN void load(Word* cpu, const Word* dram, Word* exchanged) {
    for (std::size_t i = 0; i < kLineWords; ++i) {
        const Word word = __atomic_load_n(&dram[i], __ATOMIC_RELAXED);
        Word old = __atomic_load_n(&exchanged[i], __ATOMIC_RELAXED);
        if (word != old) {
            __atomic_compare_exchange_n(&cpu[i], &old, word, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED);
            __atomic_store_n(&exchanged[i], word, __ATOMIC_RELAXED);
        }
    }
}

}  // namespace

CacheModel::Reserved::~Reserved() {
    if (start_ != nullptr) {
        (void)::munmap(start_, bytes_);
    }
}

void CacheModel::Reserved::clear(std::uint64_t offset, std::size_t bytes) const {
    const std::uint64_t first = offset & ~(kPage - 1);
    const std::uint64_t end =
        std::min<std::uint64_t>((offset + bytes + kPage - 1) & ~(kPage - 1), bytes_);
    (void)::madvise(start_ + first, end - first, MADV_DONTNEED);
}

Result<CacheModel::Reserved> CacheModel::reserve(std::size_t bytes) {
    void* const start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) {
        return fail(ENOMEM, "cache model: no {} MiB of addresses: {}", bytes >> 20U,
                    std::strerror(errno));
    }
    return Reserved(static_cast<std::uint8_t*>(start), bytes);
}

Result<CacheModel::Behaviour> CacheModel::parse(const std::string& text) {
    constexpr std::string_view kEvicting = "evicting";
    if (text == "noncoherent") {
        return Behaviour{};
    }
    if (text == kEvicting) {
        return Behaviour{.evicting = true};
    }
    if (text.starts_with(kEvicting) && text[kEvicting.size()] == ':') {
        Behaviour behaviour{.evicting = true};
        const char* const end = text.data() + text.size();
        const auto [rest, error] =
            std::from_chars(text.data() + kEvicting.size() + 1, end, behaviour.seed);
        if (error == std::errc{} && rest == end) {
            return behaviour;
        }
    }
    return fail(EINVAL, "cache={}: want coherent, noncoherent or evicting[:SEED]", text);
}

Result<std::shared_ptr<CacheModel>> CacheModel::before(DmaSpace& space, Behaviour behaviour) {
    Installed& state = installed();
    const std::scoped_lock lock(state.lock);
    std::shared_ptr<CacheModel> model = state.model.lock();
    if (model != nullptr && &model->space_ != &space) {
        return fail(EBUSY, "cache model: another space of addresses has it");
    }
    if (model == nullptr) {
        auto dram = reserve(kSpaceBytes);
        if (!dram) {
            return forward_error(dram);
        }
        auto exchanged = reserve(kSpaceBytes);
        if (!exchanged) {
            return forward_error(exchanged);
        }
        auto states = reserve(kSpaceBytes / kDmaLineBytes);
        if (!states) {
            return forward_error(states);
        }
        model.reset(
            new CacheModel(space, std::move(*dram), std::move(*exchanged), std::move(*states)));
        if (auto attached = space.attach(*model); !attached) {
            return forward_error(attached);
        }
        state.model = model;
        cache_model::current.store(model.get(), std::memory_order_release);
    }
    if (behaviour.evicting) {
        const std::scoped_lock dice(model->evict_lock_);
        model->dice_ = behaviour.seed * 2 + 1;
        model->evicting_.store(true, std::memory_order_relaxed);
    }
    return model;
}

CacheModel::CacheModel(DmaSpace& space, Reserved dram, Reserved exchanged, Reserved states)
    : space_(space),
      dram_(std::move(dram)),
      exchanged_(std::move(exchanged)),
      states_(std::move(states)) {}

CacheModel::~CacheModel() {
    CacheModel* self = this;
    cache_model::current.compare_exchange_strong(self, nullptr);
    space_.detach(*this);
}

DmaReach::Window CacheModel::window_at(std::uint32_t iova) const {
    Window window = space_.window_at(iova);
    if (window.bytes != 0) {
        window.va = dram_.at(window.iova);
    }
    return window;
}

Status CacheModel::range_added(const Window& /*window*/, std::span<const DmaBacking> /*backing*/) {
    return {};  // cleared when it went
}

// A device that uses the range yet finds addresses that are still there.
void CacheModel::range_removed(const Window& window) {
    forget();
    generation_.fetch_add(1, std::memory_order_release);
    dram_.clear(window.iova, window.bytes);
    exchanged_.clear(window.iova, window.bytes);
    states_.clear(window.iova / kDmaLineBytes, window.bytes / kDmaLineBytes);
}

CREMA_UNSEEN void CacheModel::exchange(std::uint8_t* cpu_bytes,
                                       std::uint64_t iova,
                                       Direction direction) {
    auto* const cpu = reinterpret_cast<Word*>(cpu_bytes);
    auto* const dram = reinterpret_cast<Word*>(dram_.at(iova));
    auto* const exchanged = reinterpret_cast<Word*>(exchanged_.at(iova));
    std::uint8_t* const state = states_.at(iova / kDmaLineBytes);
    lock_line(state);
    const bool known = (__atomic_load_n(state, __ATOMIC_RELAXED) & kExchanged) != 0;
    const bool dirty = !known || !same_words(cpu, exchanged);
    if (dirty && direction == Direction::to_cpu && !same_words(dram, exchanged)) {
        lost_line(cpu_bytes, iova);
    }
    if (dirty || direction == Direction::to_device) {
        write_back(cpu, dram, exchanged);
    }
    load(cpu, dram, exchanged);
    __atomic_store_n(state, kExchanged, __ATOMIC_RELEASE);
}

void CacheModel::each_line(const void* va, std::size_t bytes, Direction direction) {
    const Window window = space_.window_of(va);
    if (window.bytes == 0 || bytes == 0) {
        return;  // no device reaches it
    }
    const std::uint64_t first = window.iova_of(va) & kLineMask;
    const std::uint64_t last = std::min(window.iova_of(va) + std::uint64_t{bytes},
                                        window.iova + std::uint64_t{window.bytes});
    auto* const base = const_cast<std::uint8_t*>(window.va);
    for (std::uint64_t iova = first; iova < last; iova += kDmaLineBytes) {
        exchange(base + (iova - window.iova), iova, direction);
    }
    if (direction == Direction::to_device) {
        given.fetch_add((last - first + kDmaLineBytes - 1) / kDmaLineBytes,
                        std::memory_order_relaxed);
        note(first, last - first);
    }
}

void CacheModel::sync_for_device(const void* va, std::size_t bytes) {
    tick();
    each_line(va, bytes, Direction::to_device);
    tick();
}

void CacheModel::sync_for_cpu(const void* va, std::size_t bytes) {
    tick();
    each_line(va, bytes, Direction::to_cpu);
}

void CacheModel::note(std::uint64_t iova, std::size_t bytes) {
    if (!evicting_.load(std::memory_order_relaxed)) {
        return;
    }
    const std::size_t lines = (bytes + kDmaLineBytes - 1) / kDmaLineBytes;
    const auto add = [&](std::size_t line) {
        const std::uint32_t place = noted_.fetch_add(1, std::memory_order_relaxed);
        recent_[place % kRecent].store(static_cast<std::uint32_t>(iova + line * kDmaLineBytes),
                                       std::memory_order_relaxed);
    };
    for (std::size_t line = 0; line < std::min(lines, kNotedWhole); ++line) {
        add(line);
    }
    if (lines > kNotedWhole) {
        add(kNotedWhole + noted_.load(std::memory_order_relaxed) % (lines - kNotedWhole));
    }
}

void CacheModel::evict() {
    const std::scoped_lock lock(evict_lock_);
    const std::uint32_t known = std::min(noted_.load(std::memory_order_relaxed), kRecent);
    for (unsigned i = 0; i < kEvictedAtOnce && known != 0; ++i) {
        dice_ = dice_ * 6364136223846793005U + 1442695040888963407U;
        const std::uint32_t iova = recent_[(dice_ >> 33U) % known].load(std::memory_order_relaxed);
        const Window window = space_.window_at(iova);
        if (window.bytes != 0) {
            exchange(const_cast<std::uint8_t*>(window.va) + (iova - window.iova), iova,
                     Direction::evicted);
            evicted.fetch_add(1, std::memory_order_relaxed);
        }
    }
}

void CacheModel::forget() {
    const std::scoped_lock lock(evict_lock_);
    noted_.store(0, std::memory_order_relaxed);
}

std::uint64_t CacheModel::lost_lines() {
    return lost.load(std::memory_order_relaxed);
}

std::uint64_t CacheModel::given_lines() {
    return given.load(std::memory_order_relaxed);
}

std::uint64_t CacheModel::evicted_lines() {
    return evicted.load(std::memory_order_relaxed);
}

namespace cache_model {

void sync_for_device(CacheModel& model, const void* va, std::size_t bytes) {
    model.sync_for_device(va, bytes);
}

void sync_for_cpu(CacheModel& model, const void* va, std::size_t bytes) {
    model.sync_for_cpu(va, bytes);
}

}  // namespace cache_model
}  // namespace crema::vfio
