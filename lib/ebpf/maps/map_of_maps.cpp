// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/map_of_maps.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/ebpf/maps/target_hooks.h"

namespace crema::ebpf::maps {

namespace {

/// The map behind a value that user space writes. Null: *error.
std::shared_ptr<Map> map_in_value(const void* value, const MapSpec& outer, int* error) {
    std::int32_t fd = -1;
    std::memcpy(&fd, value, sizeof fd);
    std::shared_ptr<Map> map = map_by_fd(fd, error);
    if (map != nullptr && !fits_template(map->spec(), *outer.inner)) {
        *error = -EINVAL;
        return nullptr;
    }
    return map;
}

void write_id(const Map& map, void* value_out) {
    const std::uint32_t id = map.id();
    std::memcpy(value_out, &id, sizeof id);
}

Map::Holdings holdings_of(const std::vector<std::shared_ptr<Map>>& owned) {
    Map::Holdings held;
    for (const auto& map : owned) {
        if (map != nullptr) {
            held.maps.push_back(map.get());
        }
    }
    return held;
}

}  // namespace

int check_inner_template(const MapSpec& inner) {
    switch (inner.type) {
        case MapType::array_of_maps:
        case MapType::hash_of_maps:
            return -EINVAL;
        case MapType::prog_array:
            return -kNotSupported;
        default:
            return 0;
    }
}

bool fits_template(const MapSpec& inner, const MapSpec& form) {
    const bool length_counts = form.type == MapType::array && (form.flags & kInnerMap) == 0;
    return inner.type == form.type && inner.key_size == form.key_size &&
           inner.value_size == form.value_size && inner.flags == form.flags &&
           inner.fields == form.fields && (!length_counts || inner.max_entries == form.max_entries);
}

Result<std::shared_ptr<Map>> ArrayOfMaps::make(const MapSpec& spec) {
    constexpr std::uint32_t kSlotsMax = 1U << 24U;  // 384 MiB of slots
    if (spec.max_entries > kSlotsMax) {
        return fail(ENOMEM, "map {}: {} inner maps, at most {} are served", spec.name,
                    spec.max_entries, kSlotsMax);
    }
    return std::make_shared<ArrayOfMaps>(spec);
}

ArrayOfMaps::ArrayOfMaps(const MapSpec& spec)
    : IndexedMap(spec), slots_(spec.max_entries), owned_(spec.max_entries) {}

Map::Holdings ArrayOfMaps::holdings() const {
    return holdings_of(owned_);
}

void ArrayOfMaps::replace(std::uint32_t index, std::shared_ptr<Map> inner) {
    retired_.prepare();
    slots_[index].store(inner.get(), std::memory_order_release);
    owned_[index].swap(inner);
    retired_.add(std::move(inner));
}

int ArrayOfMaps::do_lookup(const void* key, void* value_out) {
    const Map* found = inner(load_index(key));
    if (found == nullptr) {
        return -ENOENT;
    }
    write_id(*found, value_out);
    return 0;
}

int ArrayOfMaps::do_update(const void* key, const void* value, std::uint64_t flags) {
    if (flags != kAny) {
        return -EINVAL;
    }
    const std::uint32_t index = load_index(key);
    if (index >= slots_.size()) {
        return -E2BIG;
    }
    int error = 0;
    std::shared_ptr<Map> map = map_in_value(value, spec(), &error);
    if (map == nullptr) {
        return error;
    }
    replace(index, std::move(map));
    return 0;
}

int ArrayOfMaps::do_erase(const void* key) {
    const std::uint32_t index = load_index(key);
    if (index >= slots_.size()) {
        return -E2BIG;
    }
    if (owned_[index] == nullptr) {
        return -ENOENT;
    }
    replace(index, nullptr);
    return 0;
}

Result<std::shared_ptr<Map>> HashOfMaps::make(const MapSpec& spec) {
    auto core = HashCore::make(spec, sizeof(std::atomic<Map*>));
    if (!core) {
        return forward_error(core);
    }
    return std::make_shared<HashOfMaps>(spec, std::move(*core));
}

Map::Holdings HashOfMaps::holdings() const {
    return holdings_of(owned_);
}

int HashOfMaps::do_lookup(const void* key, void* value_out) {
    const Map* found = inner(key);
    if (found == nullptr) {
        return -ENOENT;
    }
    write_id(*found, value_out);
    return 0;
}

int HashOfMaps::do_update(const void* key, const void* value, std::uint64_t flags) {
    int error = 0;
    std::shared_ptr<Map> map = map_in_value(value, spec(), &error);
    if (map == nullptr) {
        return error;
    }
    if (flags > kExist) {
        return -EINVAL;
    }
    retired_.prepare();
    // In place: one pointer, so a run sees the old map or the new one.
    const int rc = core().put<HashCore::Existing::rewrite>(
        core().control(), core().in_memory(key), flags, [&](std::uint32_t element, bool) {
            if (element >= owned_.size()) {
                owned_.resize(std::size_t{element} + 1);
            }
            inner_of(element).store(map.get(), std::memory_order_release);
            owned_[element].swap(map);
        });
    if (rc == 0) {
        retired_.add(std::move(map));  // what was there before
    }
    return rc;
}

int HashOfMaps::do_erase(const void* key) {
    retired_.prepare();
    std::shared_ptr<Map> old;
    const int rc = core().take(core().control(), core().in_memory(key),
                               [&](std::uint32_t element) { owned_[element].swap(old); });
    retired_.add(std::move(old));
    return rc;
}

bool HashOfMaps::read_bucket(std::uint32_t at, std::uint32_t count_max, bool remove, Bucket& out) {
    std::vector<std::shared_ptr<Map>> old;
    const bool read = core().read_bucket(at, count_max, remove, spec().value_size, out,
                                         [&](std::uint32_t element, void* to) {
                                             write_id(*owned_[element], to);
                                             if (remove) {
                                                 old.push_back(std::move(owned_[element]));
                                             }
                                         });
    if (!old.empty()) {
        retired_.add(std::make_shared<std::vector<std::shared_ptr<Map>>>(std::move(old)));
    }
    return read;
}

}  // namespace crema::ebpf::maps
