// SPDX-License-Identifier: BSD-3-Clause
//
// crema map: the maps of a running data path. JSON is bpftool's, so that scripts for it read this.
#include "lib/ebpf/maps/map.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>

#include "apps/common/exit_code.h"
#include "apps/common/map_entries.h"
#include "apps/crema/output.h"
#include "apps/crema/remote_map.h"
#include "apps/crema/remote_output.h"
#include "apps/crema/verbs.h"
#include "lib/ebpf/maps/type_names.h"

namespace crema::command {
namespace {

using nlohmann::ordered_json;

std::string type_of(const MapInfo& info) {
    const std::string_view name = ebpf::maps::type_name(info.type);
    return name.empty() ? fmt::format("type {}", info.type) : std::string(name);
}

ordered_json as_json(const MapInfo& info) {
    ordered_json one = {{"id", info.id},
                        {"type", type_of(info)},
                        {"name", info.name},
                        {"flags", info.flags},
                        {"bytes_key", info.key_bytes},
                        {"bytes_value", info.value_bytes},
                        {"max_entries", info.max_entries},
                        {"bytes_memlock", info.memlock},
                        {"frozen", info.frozen ? 1 : 0}};
    if (info.btf_id != 0) {
        one["btf_id"] = info.btf_id;
    }
    return one;
}

std::string as_text(const MapInfo& info) {
    return fmt::format(
        "{}: {}  name {}  flags {:#x}{}\n\tkey {}B  value {}B  max_entries {}  memlock {}B\n",
        info.id, type_of(info), info.name, info.flags, info.frozen ? "  frozen" : "",
        info.key_bytes, info.value_bytes, info.max_entries, info.memlock);
}

ordered_json hex_list(const std::uint8_t* bytes, std::size_t count) {
    ordered_json list = ordered_json::array();
    for (std::size_t i = 0; i < count; ++i) {
        list.push_back(fmt::format("0x{:02x}", bytes[i]));
    }
    return list;
}

std::string hex_text(const std::uint8_t* bytes, std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        fmt::format_to(std::back_inserter(text), "{}{:02x}", i == 0 ? "" : " ", bytes[i]);
    }
    return text;
}

/// Calls each(cpu, bytes, count) for every value that `value` is made of.
template <typename Each>
void for_each_cpu(const RemoteMap& map, const Bytes& value, Each each) {
    const auto cpus = ebpf::maps::possible_cpu_ids();
    const std::size_t step = value.size() / cpus.size();
    for (std::size_t i = 0; i < cpus.size(); ++i) {
        each(cpus[i], value.data() + i * step, map.info().value_bytes);
    }
}

/// Maps whose values are numbers of objects: no value is an empty slot, and nothing to tell of.
bool holds_objects(const MapInfo& info) {
    using ebpf::maps::MapType;
    constexpr MapType kOfObjects[] = {MapType::prog_array, MapType::array_of_maps,
                                      MapType::hash_of_maps};
    return std::find(std::begin(kOfObjects), std::end(kOfObjects),
                     static_cast<MapType>(info.type)) != std::end(kOfObjects);
}

ordered_json entry_json(const RemoteMap& map, const Bytes& key, const Result<Bytes>& value) {
    ordered_json entry = {{"key", hex_list(key.data(), key.size())}};
    if (!value) {
        entry["value"] = {{"error", std::strerror(value.error().code)}};
    } else if (map.is_percpu()) {
        entry["values"] = ordered_json::array();
        for_each_cpu(map, *value, [&](std::uint32_t cpu, const std::uint8_t* at, std::size_t n) {
            entry["values"].push_back({{"cpu", cpu}, {"value", hex_list(at, n)}});
        });
    } else {
        entry["value"] = hex_list(value->data(), value->size());
    }
    return entry;
}

std::string entry_text(const RemoteMap& map, const Bytes& key, const Result<Bytes>& value) {
    std::string text =
        key.empty() ? std::string() : fmt::format("key: {}  ", hex_text(key.data(), key.size()));
    if (!value) {
        const bool is_empty = value.error().code == ENOENT;
        return text + fmt::format("value: <{}>\n", is_empty ? "no entry" : value.error().message);
    }
    if (!map.is_percpu()) {
        return text + fmt::format("value: {}\n", hex_text(value->data(), value->size()));
    }
    text += "\n";
    for_each_cpu(map, *value, [&](std::uint32_t cpu, const std::uint8_t* at, std::size_t n) {
        text += fmt::format("  value (CPU {:02}): {}\n", cpu, hex_text(at, n));
    });
    return text;
}

/// What was done shows nothing, which in JSON is null.
Status show_nothing(const MapOptions& options) {
    print_either(options, nullptr, "");
    return {};
}

Status show(const MapOptions& options) {
    if (!options.map.empty()) {
        const auto map = RemoteMap::find(options.map);
        if (!map) {
            return forward_error(map);
        }
        print_either(options, as_json(map->info()), as_text(map->info()));
        return {};
    }
    const auto maps = RemoteMap::all();
    if (!maps) {
        return forward_error(maps);
    }
    ordered_json all = ordered_json::array();
    std::string text;
    for (const RemoteMap& map : *maps) {
        all.push_back(as_json(map.info()));
        text += as_text(map.info());
    }
    print_either(options, all, text);
    return {};
}

Status dump(const MapOptions& options, const RemoteMap& map) {
    ordered_json all = ordered_json::array();
    std::string text;
    std::size_t found = 0;
    std::optional<Bytes> key;
    // A key that goes meanwhile makes the walk begin anew: it must end in any case.
    for (std::uint64_t steps = 0; steps <= 2ULL * map.info().max_entries; ++steps) {
        auto next = map.next(key);
        if (!next) {
            return forward_error(next);
        }
        key = std::move(*next);
        if (!key) {
            break;
        }
        const auto value = map.lookup(*key);
        if (!value && holds_objects(map.info())) {
            continue;
        }
        found += value ? 1 : 0;
        if (wants_json(options)) {
            all.push_back(entry_json(map, *key, value));
        } else {
            text += entry_text(map, *key, value);
        }
    }
    print_either(options, all,
                 text + fmt::format("Found {} element{}\n", found, found == 1 ? "" : "s"));
    return {};
}

Status show_entry(const MapOptions& options,
                  const RemoteMap& map,
                  const Bytes& key,
                  const Result<Bytes>& value) {
    if (!value) {
        return forward_error(value);
    }
    print_either(options, entry_json(map, key, value), entry_text(map, key, value));
    return {};
}

Status show_next_key(const MapOptions& options, const RemoteMap& map) {
    std::optional<Bytes> key;
    if (!options.key.empty()) {
        auto given = app::bytes_of(options.key, map.info().key_bytes);
        if (!given) {
            return forward_error(given);
        }
        key = std::move(*given);
    }
    const auto next = map.next(key);
    if (!next) {
        return forward_error(next);
    }
    if (!*next) {
        return fail(ENOENT, "map {} has no key behind that", options.map);
    }
    const Bytes& found = **next;
    const ordered_json document = {{"key", key ? hex_list(key->data(), key->size()) : nullptr},
                                   {"next_key", hex_list(found.data(), found.size())}};
    print_either(options, document,
                 fmt::format("next key: {}\n", hex_text(found.data(), found.size())));
    return {};
}

/// Per-CPU maps get the value on every CPU.
Status update(const MapOptions& options, const RemoteMap& map, const Bytes& key) {
    const auto value = app::bytes_of(options.value, map.info().value_bytes);
    if (!value) {
        return forward_error(value);
    }
    Bytes all = *value;
    if (map.is_percpu()) {
        const std::size_t cpus = ebpf::maps::possible_cpus();
        const std::size_t step = map.user_value_bytes() / cpus;
        all.assign(map.user_value_bytes(), 0);
        for (std::size_t i = 0; i < cpus; ++i) {
            std::copy(value->begin(), value->end(),
                      all.begin() + static_cast<std::ptrdiff_t>(i * step));
        }
    }
    if (Status updated = map.update(key, all, options.flags); !updated) {
        return updated;
    }
    return show_nothing(options);
}

Status create(const MapOptions& options) {
    MapInfo wanted = {.name = options.name,
                      .key_bytes = options.key_bytes,
                      .value_bytes = options.value_bytes,
                      .max_entries = options.max_entries,
                      .flags = options.map_flags};
    // 0 is the type that says nothing, and what lies behind the last one has no name.
    for (std::uint32_t type = 1; wanted.type == 0; ++type) {
        const std::string_view name = ebpf::maps::type_name(type);
        if (name.empty()) {
            return fail(EINVAL, "no type of maps is called {}", options.type);
        }
        wanted.type = name == options.type ? type : 0;
    }
    if (wanted.name.empty()) {
        wanted.name = options.path.substr(options.path.rfind('/') + 1);
    }
    const auto map = RemoteMap::create(wanted);
    if (!map) {
        return forward_error(map);
    }
    if (Status pinned = map->pin(options.path); !pinned) {
        return pinned;
    }
    return show_nothing(options);
}

Status or_nothing(const MapOptions& options, const Status& done) {
    return done ? show_nothing(options) : done;
}

/// Verbs that want no key.
Status touch_whole(const MapOptions& options, const RemoteMap& map) {
    switch (options.what) {
        case MapOptions::What::dump:
            return dump(options, map);
        case MapOptions::What::next_key:
            return show_next_key(options, map);
        case MapOptions::What::pin:
            return or_nothing(options, map.pin(options.path));
        default:
            return or_nothing(options, map.freeze());
    }
}

/// Verbs of maps without keys.
Status touch_next(const MapOptions& options, const RemoteMap& map) {
    if (map.info().key_bytes != 0) {
        return fail(EINVAL, "map {} is neither stack nor queue: it has keys", options.map);
    }
    switch (options.what) {
        case MapOptions::What::push:
            return update(options, map, {});
        case MapOptions::What::pop:
            return show_entry(options, map, {}, map.take());
        default:
            return show_entry(options, map, {}, map.lookup({}));
    }
}

Status touch_entry(const MapOptions& options, const RemoteMap& map) {
    const auto key = app::bytes_of(options.key, map.info().key_bytes);
    if (!key) {
        return forward_error(key);
    }
    switch (options.what) {
        case MapOptions::What::lookup:
            return show_entry(options, map, *key, map.lookup(*key));
        case MapOptions::What::update:
            return update(options, map, *key);
        default:
            return or_nothing(options, map.erase(*key));
    }
}

Status touch(const MapOptions& options) {
    using What = MapOptions::What;
    if (options.what == What::show) {
        return show(options);
    }
    if (options.what == What::create) {
        return create(options);
    }
    const auto map = RemoteMap::find(options.map);
    if (!map) {
        return forward_error(map);
    }
    switch (options.what) {
        case What::push:
        case What::pop:
        case What::peek:
            return touch_next(options, *map);
        case What::pin:
        case What::freeze:
            return touch_whole(options, *map);
        default:
            break;
    }
    if (map->info().key_bytes == 0) {
        return fail(EINVAL, "map {} has no keys", options.map);
    }
    return options.what == What::dump || options.what == What::next_key
               ? touch_whole(options, *map)
               : touch_entry(options, *map);
}

}  // namespace

int run_verb(const MapOptions& options) {
    Status done = join_data_path(options.to);
    if (done) {
        done = touch(options);
    }
    if (!done) {
        say_error(done.error().message);
        return app::kFailed;
    }
    return app::kDone;
}

}  // namespace crema::command
