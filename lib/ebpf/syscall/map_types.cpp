// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/map_types.h"

#include <algorithm>
#include <cerrno>

namespace crema::ebpf::syscall {
namespace {

using maps::MapType;

/// The kernel has fields of that kind in values of that map type, and they have a meaning here.
/// Both refusals are one number, EOPNOTSUPP.
bool may_hold(MapType type, SpecialKind kind) {
    const bool plain = type == MapType::hash || type == MapType::array;
    switch (kind) {
        case SpecialKind::spin_lock:
            return plain;
        case SpecialKind::timer:
            return plain || type == MapType::lru_hash;
        default:
            return false;
    }
}

/// Maps of global data have no keys to speak of, bloom filters none at all.
bool goes_without_key_type(const Btf& btf, std::uint32_t value_type, const maps::MapSpec& spec) {
    return spec.type == MapType::bloom_filter ||
           (spec.type == MapType::array && spec.max_entries == 1 &&
            btf.bare_type(value_type).kind == BtfKind::data_section);
}

}  // namespace

Status set_map_types(const Btf& btf,
                     std::uint32_t key_type,
                     std::uint32_t value_type,
                     maps::MapSpec& spec) {
    const bool keyless = key_type == 0 && goes_without_key_type(btf, value_type, spec);
    if (!keyless && btf.size_of(key_type) != spec.key_size) {
        return fail(EINVAL, "map {}: its keys have {} bytes, their BTF type another size",
                    spec.name, spec.key_size);
    }
    if (btf.size_of(value_type) != spec.value_size) {
        return fail(EINVAL, "map {}: its values have {} bytes, their BTF type another size",
                    spec.name, spec.value_size);
    }
    auto fields = special_fields(btf, value_type);
    if (!fields) {
        return fail(fields.error().code, "map {}: {}", spec.name, fields.error().message);
    }
    spec.has_btf = true;
    if (fields->empty()) {
        return {};
    }
    if ((spec.flags & (maps::kRdonlyProg | maps::kWronlyProg)) != 0) {
        return fail(EACCES, "map {}: {} in a map that programs may not read and write", spec.name,
                    name_of(fields->front().kind));
    }
    const auto refused =
        std::find_if(fields->begin(), fields->end(),
                     [&](const SpecialField& field) { return !may_hold(spec.type, field.kind); });
    if (refused != fields->end()) {
        return fail(EOPNOTSUPP, "map {}: {} at byte {} of values is not served in a map of type {}",
                    spec.name, name_of(refused->kind), refused->offset,
                    static_cast<unsigned>(spec.type));
    }
    const SpecialField& last = fields->back();
    if (std::uint64_t{last.offset} + last.size > spec.value_size) {
        return fail(EFAULT, "map {}: {} at byte {} of values of {} bytes", spec.name,
                    name_of(last.kind), last.offset, spec.value_size);
    }
    spec.fields = std::move(*fields);
    for (const SpecialField& field : spec.fields) {
        if (field.kind == SpecialKind::spin_lock) {
            spec.spin_lock_offset = static_cast<std::int32_t>(field.offset);
        }
    }
    return {};
}

}  // namespace crema::ebpf::syscall
