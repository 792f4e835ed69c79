// SPDX-License-Identifier: BSD-3-Clause
//
// MAP_CREATE and the element commands. Keys and values cross here between the caller's memory and
// the map's operations; what an operation means is the map's business (lib/ebpf/maps).
#include <cstring>
#include <memory>
#include <mutex>

#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/map_types.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {
namespace {

/// The descriptor's object of an element command. Null: *error.
std::shared_ptr<MapObject> object_for(const Call& call, Access wanted, int* error) {
    auto object = object_store::find_as<MapObject>(static_cast<int>(call.attr.map_fd), error);
    if (object == nullptr) {
        return nullptr;
    }
    if (!allows(*object, wanted)) {
        *error = -EPERM;
        return nullptr;
    }
    return object;
}

/// Its map.
std::shared_ptr<maps::Map> map_for(const Call& call, Access wanted, int* error) {
    const auto object = object_for(call, wanted, error);
    return object != nullptr ? object->map : nullptr;
}

/// A key of the caller. Maps without keys take no pointer to one. 0 or a negative errno.
int read_key(const maps::Map& map, std::uint64_t from, Buffer& key) {
    if (map.spec().key_size == 0) {
        return from == 0 ? 0 : -EINVAL;
    }
    return key.read(from);
}

/// What is asked for that maps of this version do not have.
const char* unserved_attribute(const bpf_attr& attr) {
    if (attr.map_ifindex != 0) {
        return "maps bound to a device";
    }
    if (attr.btf_vmlinux_value_type_id != 0) {
        return "struct_ops maps";
    }
    return nullptr;
}

/// The template of a map of maps. Null: *error.
std::shared_ptr<const maps::MapSpec> template_of(const bpf_attr& attr, int* error) {
    const auto object =
        object_store::find_as<MapObject>(static_cast<int>(attr.inner_map_fd), error);
    return object != nullptr ? std::make_shared<const maps::MapSpec>(object->map->spec()) : nullptr;
}

bool is_map_of_maps(const maps::MapSpec& spec) {
    return spec.type == maps::MapType::array_of_maps || spec.type == maps::MapType::hash_of_maps;
}

}  // namespace

std::mutex& element_mutex() {
    static std::mutex the_mutex;
    return the_mutex;
}

long map_create(Call& call) {
    const bpf_attr& attr = call.attr;
    maps::MapSpec spec{.type = static_cast<maps::MapType>(attr.map_type),
                       .key_size = attr.key_size,
                       .value_size = attr.value_size,
                       .max_entries = attr.max_entries,
                       .flags = attr.map_flags,
                       .numa_node = attr.numa_node,
                       .extra = attr.map_extra};
    if (!read_name(attr.map_name, spec.name)) {
        return refuse(EINVAL, "map name is not up to 15 letters, digits, '_' or '.'");
    }
    if (const char* what = unserved_attribute(attr); what != nullptr) {
        return refuse(EINVAL, "map {}: {} are not served", spec.name, what);
    }
    MapObject object{.map = nullptr, .btf = nullptr, .user = nullptr};
    if (attr.btf_fd != 0 || attr.btf_key_type_id != 0 || attr.btf_value_type_id != 0) {
        int error = 0;
        const auto btf = object_store::find_as<BtfObject>(static_cast<int>(attr.btf_fd), &error);
        if (btf == nullptr) {
            return refuse(-error, "map {}: {} is no BTF descriptor", spec.name, attr.btf_fd);
        }
        object.btf = btf->btf;
        object.btf_key_type = attr.btf_key_type_id;
        object.btf_value_type = attr.btf_value_type_id;
        if (attr.btf_value_type_id != 0) {
            const auto types =
                set_map_types(*object.btf, attr.btf_key_type_id, attr.btf_value_type_id, spec);
            if (!types) {
                return refuse(types.error());
            }
        }
    }
    if (is_map_of_maps(spec)) {
        int error = 0;
        spec.inner = template_of(attr, &error);
        if (spec.inner == nullptr && error != -EBADF) {
            return refuse(-error, "map {}: {} is no map descriptor", spec.name, attr.inner_map_fd);
        }
    }
    auto map = maps::create(spec);
    if (!map) {
        return refuse(map.error());
    }
    object.map = *map;
    return publish(std::move(object));
}

long map_lookup(Call& call) {
    if ((call.attr.flags & ~maps::kLock) != 0) {
        return -EINVAL;
    }
    int error = 0;
    const auto map = map_for(call, Access::read, &error);
    if (map == nullptr) {
        return error;
    }
    Buffer key(map->spec().key_size);
    if (const int err = read_key(*map, call.attr.key, key); err != 0) {
        return err;
    }
    Buffer value(map->user_value_bytes());
    if (value.data() == nullptr) {
        return -ENOMEM;
    }
    const bool takes_value = map->lookup_takes_value();
    if (takes_value) {
        if (const int err = value.read(call.attr.value); err != 0) {
            return err;
        }
    }
    {
        const std::lock_guard lock(element_mutex());
        error = map->lookup(key.data(), value.data(), call.attr.flags);
    }
    return error != 0 || takes_value ? error : value.write(call.attr.value);
}

long map_take(Call& call) {
    if ((call.attr.flags & ~maps::kLock) != 0) {
        return -EINVAL;
    }
    int error = 0;
    const auto map = map_for(call, Access::both, &error);
    if (map == nullptr) {
        return error;
    }
    Buffer key(map->spec().key_size);
    if (const int err = read_key(*map, call.attr.key, key); err != 0) {
        return err;
    }
    Buffer value(map->user_value_bytes());
    if (value.data() == nullptr) {
        return -ENOMEM;
    }
    {
        const std::lock_guard lock(element_mutex());
        error = map->take(key.data(), value.data(), call.attr.flags);
    }
    return error != 0 ? error : value.write(call.attr.value);
}

namespace {

/// In a session that goes on, libbpf fills a program array also with what was refused.
bool names_refused_program(const maps::Map& map, const void* value) {
    const Session* session = Session::current();
    if (map.spec().type != maps::MapType::prog_array || session == nullptr || !session->goes_on()) {
        return false;
    }
    std::int32_t fd = 0;
    std::memcpy(&fd, value, sizeof(fd));
    int error = 0;
    return object_store::find_as<ProbeProgram>(fd, &error) != nullptr;
}

}  // namespace

long map_update(Call& call) {
    int error = 0;
    const auto object = object_for(call, Access::write, &error);
    if (object == nullptr) {
        return error;
    }
    maps::Map* const map = object->map.get();
    Buffer key(map->spec().key_size);
    if (const int err = read_key(*map, call.attr.key, key); err != 0) {
        return err;
    }
    Buffer value(map->user_value_bytes());
    if (const int err = value.read(call.attr.value); err != 0) {
        return err;
    }
    if (names_refused_program(*map, value.data())) {
        return 0;  // its slot stays empty: a tail call goes on behind the call
    }
    const std::lock_guard lock(element_mutex());
    return map->update(key.data(), value.data(), call.attr.flags, object->user.get());
}

long map_delete(Call& call) {
    int error = 0;
    const auto map = map_for(call, Access::write, &error);
    if (map == nullptr) {
        return error;
    }
    Buffer key(map->spec().key_size);
    if (const int err = read_key(*map, call.attr.key, key); err != 0) {
        return err;
    }
    const std::lock_guard lock(element_mutex());
    return map->erase(key.data());
}

long map_next_key(Call& call) {
    int error = 0;
    const auto map = map_for(call, Access::read, &error);
    if (map == nullptr) {
        return error;
    }
    const bool from_start = call.attr.key == 0;
    Buffer key(map->spec().key_size);
    if (!from_start) {
        if (const int err = read_key(*map, call.attr.key, key); err != 0) {
            return err;
        }
    }
    Buffer next(map->spec().key_size);
    if (next.data() == nullptr) {
        return -ENOMEM;
    }
    {
        const std::lock_guard lock(element_mutex());
        error = map->next_key(from_start ? nullptr : key.data(), next.data());
    }
    return error != 0 ? error : next.write(call.attr.next_key);
}

long map_freeze(Call& call) {
    int error = 0;
    const auto map = map_for(call, Access::write, &error);
    if (map == nullptr) {
        return error;
    }
    const std::lock_guard lock(element_mutex());
    return map->freeze();
}

}  // namespace crema::ebpf::syscall
