// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/percpu_hash.h"

#include <cerrno>
#include <utility>

#include "lib/ebpf/maps/value_copy.h"

namespace crema::ebpf::maps {

namespace {

constexpr std::uint64_t kSeparation = 128;  // bytes: two cache lines

std::uint64_t percpu_stride_of(const MapSpec& spec, const HashCore& core) {
    const std::uint64_t bytes =
        (std::uint64_t{core.cells().last()} + 1) * stored_bytes(spec.value_size);
    return (bytes + kSeparation - 1) / kSeparation * kSeparation;
}

}  // namespace

Result<std::shared_ptr<Map>> PercpuHashMap::make(const MapSpec& spec) {
    auto core = HashCore::make(spec, 0);
    if (!core) {
        return forward_error(core);
    }
    const std::uint64_t cpu_places = std::uint64_t{possible_cpu_ids().back()} + 1;
    const bool preallocate = (spec.flags & kNoPrealloc) == 0;
    auto values = Memory::allocate(
        percpu_stride_of(spec, **core) * cpu_places,
        preallocate ? Memory::Sharing::private_touched : Memory::Sharing::private_reserved);
    if (!values) {
        return forward_error(values);
    }
    return std::make_shared<PercpuHashMap>(spec, std::move(*core), std::move(*values));
}

PercpuHashMap::PercpuHashMap(const MapSpec& spec, std::unique_ptr<HashCore> core, Memory values)
    : HashedMap(spec, std::move(core)),
      values_(std::move(values)),
      stride_(stored_bytes(spec.value_size)),
      percpu_stride_(percpu_stride_of(spec, this->core())) {}

template <typename Piece>
int PercpuHashMap::put(std::uint32_t cpu,
                       const void* key,
                       const void* value,
                       std::uint64_t flags) const {
    if (flags > kExist) [[unlikely]] {
        return -EINVAL;
    }
    const auto write = [&](std::uint32_t element, bool is_new) {
        if (is_new) {
            for (const std::uint32_t other : possible_cpu_ids()) {
                if (other != cpu) {
                    zero_value(value_at(other, element), spec().value_size);
                }
            }
        }
        write_value(value_at(cpu, element), value, spec().value_size);
    };
    return core().with_key<Piece>(key, [&](const auto& words) {
        return core().put<HashCore::Existing::rewrite>(cpu, words, flags, write);
    });
}

void PercpuHashMap::read(std::uint32_t element, void* value_out) const {
    auto* out = static_cast<std::uint8_t*>(value_out);
    for (const std::uint32_t cpu : possible_cpu_ids()) {
        read_value(out, value_at(cpu, element), stride_);
        out += stride_;
    }
}

int PercpuHashMap::do_lookup(const void* key, void* value_out) {
    const std::uint32_t element = core().find(key);
    if (element == 0) {
        return -ENOENT;
    }
    read(element, value_out);
    return 0;
}

int PercpuHashMap::do_update(const void* key, const void* value, std::uint64_t flags) {
    if (flags > kExist) {
        return -EINVAL;
    }
    return core().put<HashCore::Existing::rewrite>(
        core().control(), core().in_memory(key), flags, [&](std::uint32_t element, bool) {
            const auto* in = static_cast<const std::uint8_t*>(value);
            for (const std::uint32_t cpu : possible_cpu_ids()) {
                write_value(value_at(cpu, element), in, stride_);
                in += stride_;
            }
        });
}

int PercpuHashMap::do_take(const void* key, void* value_out) {
    return core().take(core().control(), core().in_memory(key),
                       [&](std::uint32_t element) { read(element, value_out); });
}

bool PercpuHashMap::read_bucket(std::uint32_t at,
                                std::uint32_t count_max,
                                bool remove,
                                Bucket& out) {
    return core().read_bucket(at, count_max, remove, user_value_bytes(), out,
                              [this](std::uint32_t element, void* to) { read(element, to); });
}

template int PercpuHashMap::put<std::uint32_t>(std::uint32_t,
                                               const void*,
                                               const void*,
                                               std::uint64_t) const;
template int PercpuHashMap::put<std::uint16_t>(std::uint32_t,
                                               const void*,
                                               const void*,
                                               std::uint64_t) const;
template int PercpuHashMap::put<std::uint8_t>(std::uint32_t,
                                              const void*,
                                              const void*,
                                              std::uint64_t) const;

}  // namespace crema::ebpf::maps
