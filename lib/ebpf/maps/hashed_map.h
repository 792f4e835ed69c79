// SPDX-License-Identifier: BSD-3-Clause
//
// What the maps over hash_core.h have in common: all that asks for keys only. What a value is, and
// how it is read and written, each type says itself.
#pragma once

#include <memory>
#include <utility>

#include "lib/ebpf/maps/hash_core.h"
#include "lib/ebpf/maps/map.h"

namespace crema::ebpf::maps {

class HashedMap : public Map {
  public:
    HashedMap(const MapSpec& spec, std::unique_ptr<HashCore> core)
        : Map(spec), core_(std::move(core)) {}

    [[nodiscard]] HashCore& core() const { return *core_; }

    /// Program side, any thread; cpu: that of the run. 0 or -ENOENT.
    // No inlining: compilers that see the caller's key do not see that its length fits.
    template <typename Piece = std::uint32_t>
    [[nodiscard, gnu::noinline]] int remove(std::uint32_t cpu, const void* key) const {
        return core_->with_key<Piece>(key,
                                      [&](const auto& words) { return core_->remove(cpu, words); });
    }

    [[nodiscard]] BatchSupport batch_support() const final {
        return {.lookup = true, .take = true, .update = true, .erase = true};
    }

    [[nodiscard]] std::uint32_t bucket_count() const final { return core_->table().buckets(); }

  private:
    [[nodiscard]] int do_erase(const void* key) override {
        return core_->remove(core_->control(), core_->in_memory(key));
    }

    [[nodiscard]] int do_next_key(const void* key, void* next_out) final {
        return core_->next_key(key, next_out);
    }

    std::unique_ptr<HashCore> core_;
};

}  // namespace crema::ebpf::maps
