// SPDX-License-Identifier: BSD-3-Clause
//
// Per-CPU array map, bpf(2) side. A user buffer holds one value per possible CPU, each rounded up
// to 8 bytes, without gaps for CPU numbers that are not possible.
#include "lib/ebpf/maps/percpu_array.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "lib/ebpf/maps/value_copy.h"

namespace crema::ebpf::maps {

namespace {

constexpr std::uint64_t kSeparation = 128;      // bytes: two cache lines
constexpr std::uint64_t kShiftableMax = 65536;  // bytes: up to here a power of two

std::uint64_t percpu_stride_of(const MapSpec& spec) {
    const std::uint64_t bytes = std::uint64_t{stored_bytes(spec.value_size)} * spec.max_entries;
    // A power of two lets compiled code shift where it would have to multiply.
    return bytes <= kShiftableMax ? std::bit_ceil(std::max(bytes, kSeparation))
                                  : (bytes + kSeparation - 1) / kSeparation * kSeparation;
}

}  // namespace

Result<std::shared_ptr<Map>> PercpuArrayMap::make(const MapSpec& spec) {
    const std::uint64_t cpu_places = std::uint64_t{possible_cpu_ids().back()} + 1;
    auto memory =
        Memory::allocate(percpu_stride_of(spec) * cpu_places, Memory::Sharing::private_pages);
    if (!memory) {
        return forward_error(memory);
    }
    return std::make_shared<PercpuArrayMap>(spec, std::move(*memory));
}

PercpuArrayMap::PercpuArrayMap(const MapSpec& spec, Memory memory)
    : IndexedMap(spec),
      memory_(std::move(memory)),
      stride_(stored_bytes(spec.value_size)),
      percpu_stride_(percpu_stride_of(spec)) {}

int PercpuArrayMap::check_write(std::uint32_t index, std::uint64_t flags) const {
    if (flags > kExist) {
        return -EINVAL;
    }
    if (index >= spec().max_entries) {
        return -E2BIG;
    }
    return flags == kNoExist ? -EEXIST : 0;
}

int PercpuArrayMap::put(std::uint32_t cpu,
                        std::uint32_t index,
                        const void* value_in,
                        std::uint64_t flags) const {
    // The lock flag, which such values never allow, is looked at last.
    if (const int refused = check_write(index, flags & ~kLock); refused != 0) {
        return refused;
    }
    if ((flags & kNoExist) != 0) {
        return -EEXIST;
    }
    if ((flags & kLock) != 0) {
        return -EINVAL;
    }
    write_value(value(cpu, index), value_in, spec().value_size);
    return 0;
}

int PercpuArrayMap::do_lookup(const void* key, void* value_out) {
    const std::uint32_t index = load_index(key);
    if (index >= spec().max_entries) {
        return -ENOENT;
    }
    auto* out = static_cast<std::uint8_t*>(value_out);
    for (const std::uint32_t cpu : possible_cpu_ids()) {
        read_value(out, value(cpu, index), stride_);
        out += stride_;
    }
    return 0;
}

int PercpuArrayMap::do_update(const void* key, const void* value_in, std::uint64_t flags) {
    const std::uint32_t index = load_index(key);
    if (const int refused = check_write(index, flags); refused != 0) {
        return refused;
    }
    const auto* in = static_cast<const std::uint8_t*>(value_in);
    for (const std::uint32_t cpu : possible_cpu_ids()) {
        write_value(value(cpu, index), in, stride_);  // with the padding, as the kernel
        in += stride_;
    }
    return 0;
}

int PercpuArrayMap::do_erase(const void* /*key*/) {
    return -EINVAL;
}

}  // namespace crema::ebpf::maps
