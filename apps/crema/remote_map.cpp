// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/remote_map.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>

#include "apps/common/map_entries.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/type_names.h"
#include "lib/ebpf/supervise/private_commands.h"

namespace crema::command {
namespace {

using ebpf::supervise::PrivateAttr;
using ebpf::supervise::PrivateCommand;

/// The number behind a word in the text of fdinfo; 0: there is none.
std::uint64_t number_in(const std::string& text, const std::string& word) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with(word + ":")) {
            return app::integer_of(line.substr(line.find_first_not_of(": \t", word.size())))
                .value_or(0);
        }
    }
    return 0;
}

/// Maps without keys want none.
std::uint64_t key_address(const Bytes& key) {
    return key.empty() ? 0 : address(key.data());
}

std::string fd_info(int fd) {
    PrivateAttr attr{.fd = fd};
    const UniqueFd text(static_cast<int>(call(static_cast<int>(PrivateCommand::fd_info), attr)));
    std::array<char, 4096> bytes{};
    const ssize_t got =
        text.valid() ? ::pread(text.get(), bytes.data(), bytes.size(), 0) : ssize_t{0};
    return got > 0 ? std::string(bytes.data(), static_cast<std::size_t>(got)) : std::string();
}

}  // namespace

Result<RemoteMap> RemoteMap::open(long fd, const std::string& which) {
    if (fd < 0) {
        return refused("map " + which, fd);
    }
    RemoteMap map;
    map.fd_.reset(static_cast<int>(fd));
    const auto info = info_of<bpf_map_info>(map.fd_.get());
    if (!info) {
        return forward_error(info);
    }
    const std::string text = fd_info(map.fd_.get());
    map.info_ = {.id = info->id,
                 .type = info->type,
                 .name = text_of(info->name),
                 .key_bytes = info->key_size,
                 .value_bytes = info->value_size,
                 .max_entries = info->max_entries,
                 .flags = info->map_flags,
                 .btf_id = info->btf_id,
                 .memlock = number_in(text, "memlock"),
                 .frozen = number_in(text, "frozen") != 0};
    return map;
}

Result<RemoteMap> RemoteMap::by_number(std::uint32_t id) {
    bpf_attr attr{};
    attr.map_id = id;
    return open(call(BPF_MAP_GET_FD_BY_ID, attr), std::to_string(id));
}

Result<RemoteMap> RemoteMap::create(const MapInfo& wanted) {
    bpf_attr attr{};
    if (wanted.name.size() >= sizeof attr.map_name) {
        return fail(EINVAL, "map {}: a name has at most {} letters", wanted.name,
                    sizeof attr.map_name - 1);
    }
    attr.map_type = wanted.type;
    attr.key_size = wanted.key_bytes;
    attr.value_size = wanted.value_bytes;
    attr.max_entries = wanted.max_entries;
    attr.map_flags = wanted.flags;
    wanted.name.copy(attr.map_name, sizeof attr.map_name - 1);
    return open(call(BPF_MAP_CREATE, attr), wanted.name);
}

Result<std::vector<RemoteMap>> RemoteMap::all() {
    std::vector<RemoteMap> maps;
    for (std::uint32_t id = 0;;) {
        bpf_attr attr{};
        attr.start_id = id;
        const long result = call(BPF_MAP_GET_NEXT_ID, attr);
        if (result == -ENOENT) {
            return maps;
        }
        if (result < 0) {
            return refused("the list of maps", result);
        }
        id = attr.next_id;
        // One that is gone meanwhile is not there.
        if (auto map = by_number(id)) {
            maps.push_back(std::move(*map));
        }
    }
}

Result<RemoteMap> RemoteMap::find(const std::string& which) {
    if (const auto id = app::integer_of(which); id && *id <= UINT32_MAX) {
        return by_number(static_cast<std::uint32_t>(*id));
    }
    if (which.find('/') != std::string::npos) {
        const auto path = place_of_pin(which);
        if (!path) {
            return forward_error(path);
        }
        bpf_attr attr{};
        attr.pathname = address(path->c_str());
        return open(call(BPF_OBJ_GET, attr), which);
    }
    auto maps = all();
    if (!maps) {
        return forward_error(maps);
    }
    RemoteMap* found = nullptr;
    for (RemoteMap& map : *maps) {
        if (map.info().name == which && found != nullptr) {
            return fail(EINVAL, "several maps are called {}: say which by its number (map show)",
                        which);
        }
        found = map.info().name == which ? &map : found;
    }
    if (found == nullptr) {
        return fail(ENOENT, "no map is called {} (map show lists them)", which);
    }
    return std::move(*found);
}

bool RemoteMap::is_percpu() const {
    return ebpf::maps::type_name(info_.type).find("percpu") != std::string_view::npos;
}

std::size_t RemoteMap::user_value_bytes() const {
    const std::size_t rounded = (std::size_t{info_.value_bytes} + 7) / 8 * 8;
    return is_percpu() ? rounded * ebpf::maps::possible_cpus() : info_.value_bytes;
}

Result<Bytes> RemoteMap::lookup(const Bytes& key) const {
    Bytes value(user_value_bytes());
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(fd_.get());
    attr.key = key_address(key);
    attr.value = address(value.data());
    const long result = call(BPF_MAP_LOOKUP_ELEM, attr);
    return result == 0 ? Result<Bytes>(std::move(value)) : refused("lookup", result);
}

Status RemoteMap::update(const Bytes& key, const Bytes& value, std::uint64_t flags) const {
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(fd_.get());
    attr.key = key_address(key);
    attr.value = address(value.data());
    attr.flags = flags;
    const long result = call(BPF_MAP_UPDATE_ELEM, attr);
    return result == 0 ? Status{} : Status(refused("update", result));
}

Status RemoteMap::erase(const Bytes& key) const {
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(fd_.get());
    attr.key = key_address(key);
    const long result = call(BPF_MAP_DELETE_ELEM, attr);
    return result == 0 ? Status{} : Status(refused("delete", result));
}

Result<Bytes> RemoteMap::take() const {
    Bytes value(user_value_bytes());
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(fd_.get());
    attr.value = address(value.data());
    const long result = call(BPF_MAP_LOOKUP_AND_DELETE_ELEM, attr);
    return result == 0 ? Result<Bytes>(std::move(value)) : refused("pop", result);
}

Status RemoteMap::freeze() const {
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(fd_.get());
    const long result = call(BPF_MAP_FREEZE, attr);
    return result == 0 ? Status{} : Status(refused("freeze", result));
}

Status RemoteMap::pin(const std::string& path) const {
    const auto place = place_of_pin(path);
    if (!place) {
        return forward_error(place);
    }
    bpf_attr attr{};
    attr.pathname = address(place->c_str());
    attr.bpf_fd = static_cast<std::uint32_t>(fd_.get());
    const long result = call(BPF_OBJ_PIN, attr);
    return result == 0 ? Status{} : Status(refused(path, result));
}

Result<std::optional<Bytes>> RemoteMap::next(const std::optional<Bytes>& key) const {
    Bytes found(info_.key_bytes);
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(fd_.get());
    attr.key = key ? address(key->data()) : 0;
    attr.next_key = address(found.data());
    const long result = call(BPF_MAP_GET_NEXT_KEY, attr);
    if (result == -ENOENT) {
        return std::optional<Bytes>();
    }
    return result == 0 ? Result<std::optional<Bytes>>(std::move(found)) : refused("keys", result);
}

}  // namespace crema::command
