// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/object_ids.h"

#include <map>
#include <mutex>

namespace crema::ebpf::syscall::object_ids {
namespace {

/// A map's types are known to its descriptors only; they must outlive them.
struct MapEntry {
    std::weak_ptr<maps::Map> map;
    std::shared_ptr<const Btf> btf;
    std::uint32_t btf_key_type = 0;
    std::uint32_t btf_value_type = 0;
};

struct Tables {
    std::mutex mutex;
    std::map<std::uint32_t, std::weak_ptr<const LoadedProgram>> programs;
    std::map<std::uint32_t, MapEntry> maps;
    std::map<std::uint32_t, std::weak_ptr<const Btf>> btfs;
    std::map<std::uint32_t, std::weak_ptr<Link>> links;
};

Tables& tables() {
    static Tables the_tables;
    return the_tables;
}

template <typename T>
bool is_gone(const std::weak_ptr<T>& object) {
    return object.expired();
}

bool is_gone(const MapEntry& entry) {
    return entry.map.expired();
}

/// First entry above `after` that is still there; those that are gone leave the table.
template <typename Table>
std::uint32_t next_in(Table& table, std::uint32_t after) {
    for (auto entry = table.upper_bound(after); entry != table.end();) {
        if (!is_gone(entry->second)) {
            return entry->first;
        }
        entry = table.erase(entry);
    }
    return 0;
}

template <typename Table>
typename Table::mapped_type entry_of(const Table& table, std::uint32_t id) {
    const auto found = table.find(id);
    return found != table.end() ? found->second : typename Table::mapped_type{};
}

/// Numbers only grow, so the first ones are the oldest: a few are looked at with each new object.
template <typename Table>
void tidy(Table& table) {
    constexpr std::size_t kLooks = 4;
    auto entry = table.begin();
    for (std::size_t i = 0; i < kLooks && entry != table.end(); ++i) {
        entry = is_gone(entry->second) ? table.erase(entry) : std::next(entry);
    }
}

/// All that are gone leave the table.
template <typename Table>
void tidy_all(Table& table) {
    std::erase_if(table, [](const auto& entry) { return is_gone(entry.second); });
}

}  // namespace

void collect() {
    Tables& all = tables();
    const std::lock_guard lock(all.mutex);
    tidy_all(all.programs);
    tidy_all(all.maps);
    tidy_all(all.btfs);
    tidy_all(all.links);
}

void note(const StoredObject& object) {
    Tables& all = tables();
    const std::lock_guard lock(all.mutex);
    if (const auto* map = std::get_if<MapObject>(&object); map != nullptr) {
        tidy(all.maps);
        all.maps[map->map->id()] = {map->map, map->btf, map->btf_key_type, map->btf_value_type};
    } else if (const auto* program = std::get_if<ProgramObject>(&object); program != nullptr) {
        tidy(all.programs);
        all.programs[program->program->id] = program->program;
    } else if (const auto* btf = std::get_if<BtfObject>(&object); btf != nullptr) {
        tidy(all.btfs);
        all.btfs[btf->btf->id()] = btf->btf;
    } else if (const auto* link = std::get_if<LinkObject>(&object); link != nullptr) {
        tidy(all.links);
        all.links[link->link->id()] = link->link;
    }
}

std::uint32_t next(Kind kind, std::uint32_t after) {
    Tables& all = tables();
    const std::lock_guard lock(all.mutex);
    switch (kind) {
        case Kind::program:
            return next_in(all.programs, after);
        case Kind::map:
            return next_in(all.maps, after);
        case Kind::btf:
            return next_in(all.btfs, after);
        case Kind::link:
            return next_in(all.links, after);
    }
    return 0;
}

std::optional<StoredObject> find(Kind kind, std::uint32_t id) {
    Tables& all = tables();
    const std::lock_guard lock(all.mutex);
    switch (kind) {
        case Kind::program:
            if (auto program = entry_of(all.programs, id).lock()) {
                return ProgramObject{.program = std::move(program)};
            }
            break;
        case Kind::map: {
            const MapEntry entry = entry_of(all.maps, id);
            if (auto map = entry.map.lock()) {
                return MapObject{.map = std::move(map),
                                 .btf = entry.btf,
                                 .btf_key_type = entry.btf_key_type,
                                 .btf_value_type = entry.btf_value_type};
            }
            break;
        }
        case Kind::btf:
            if (auto btf = entry_of(all.btfs, id).lock()) {
                return BtfObject{.btf = std::move(btf)};
            }
            break;
        case Kind::link:
            if (auto link = entry_of(all.links, id).lock()) {
                return LinkObject{.link = std::move(link)};
            }
            break;
    }
    return std::nullopt;
}

Living living() {
    Living all;
    Tables& known = tables();
    const std::lock_guard lock(known.mutex);
    for (const auto& [id, weak] : known.programs) {
        if (auto program = weak.lock()) {
            all.programs.push_back(std::move(program));
        }
    }
    for (const auto& [id, entry] : known.maps) {
        if (auto map = entry.map.lock()) {
            all.maps.push_back(std::move(map));
        }
    }
    return all;
}

}  // namespace crema::ebpf::syscall::object_ids
