// SPDX-License-Identifier: BSD-3-Clause
#include "benchmarks/programs/native_twin.h"

#include <algorithm>
#include <cerrno>
#include <dlfcn.h>

#include "lib/ebpf/helpers/prototypes.h"

namespace crema::bench {

using ebpf::maps::MapType;

struct NativeTwin::Table {
    static constexpr std::uint32_t kHelpers = 256, kMapTypes = 40;
    void* context;
    ebpf::helpers::Native native[kHelpers][kMapTypes];
};

struct NativeTwin::MapVariable {
    void* type;
    void* max_entries;
    void* key;
};

Result<std::shared_ptr<NativeTwin>> NativeTwin::open(const std::string& path,
                                                     const ebpf::loader::Object& object) {
    std::shared_ptr<NativeTwin> twin(new NativeTwin);
    twin->path_ = path;
    twin->library_ = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (twin->library_ == nullptr) {
        return fail(ENOENT, "native twin: {}", ::dlerror());
    }
    if (Status bound = twin->bind(object); !bound) {
        return forward_error(bound);
    }
    return twin;
}

NativeTwin::~NativeTwin() {
    if (library_ != nullptr) {
        ::dlclose(library_);
    }
}

Status NativeTwin::bind(const ebpf::loader::Object& object) {
    using Address = void* (*)();
    const auto address = reinterpret_cast<Address>(::dlsym(library_, "crema_twin_address"));
    if (address == nullptr) {
        return fail(ENOENT, "native twin: {} was not built with the twin's header", path_);
    }
    table_ = static_cast<Table*>(address());
    bind_helpers();
    maps_ = object.maps();
    for (const auto& named : maps_) {
        if (!named.name.starts_with('.')) {  // global data is the twin's own
            bind_map(named.name, *named.map);
        }
    }
    return {};
}

void NativeTwin::bind_helpers() {
    for (std::uint32_t id = 1; id < Table::kHelpers; ++id) {
        const ebpf::helpers::Prototype* const prototype = ebpf::helpers::find(id);
        if (prototype == nullptr) {
            continue;
        }
        table_->native[id][0] = prototype->native;
        for (std::uint32_t type = 1; type < Table::kMapTypes; ++type) {
            table_->native[id][type] = ebpf::helpers::native_for(id, static_cast<MapType>(type));
        }
    }
}

void NativeTwin::bind_map(const std::string& name, ebpf::maps::Map& map) {
    auto* const variable = static_cast<MapVariable*>(::dlsym(library_, name.c_str()));
    if (variable == nullptr) {
        return;  // no function of the twin uses it
    }
    variable->type = &map;
    const ebpf::maps::ValueLayout layout = map.layout();
    if (layout.base != nullptr) {
        variable->max_entries = layout.base;
    }
    if (map.spec().type == MapType::percpu_array) {
        variable->key = reinterpret_cast<void*>(layout.percpu_stride);
    }
    if (map.spec().type == MapType::prog_array) {
        slots_.emplace_back(name, std::vector<void*>(map.spec().max_entries, nullptr));
        variable->key = slots_.back().second.data();  // a moved vector keeps its memory
    }
}

Result<ebpf::EntryPoint> NativeTwin::entry(const std::string& program) const {
    void* const found = ::dlsym(library_, program.c_str());
    if (found == nullptr) {
        return fail(ENOENT, "native twin: no function {} in {}", program, path_);
    }
    // It takes the context alone and returns an int; a further argument does not disturb it.
    return reinterpret_cast<ebpf::EntryPoint>(found);
}

Status NativeTwin::set_program(const std::string& map,
                               std::uint32_t slot,
                               const std::string& program) {
    const auto found = std::find_if(slots_.begin(), slots_.end(),
                                    [&map](const auto& slots) { return slots.first == map; });
    void* const function = ::dlsym(library_, program.c_str());
    if (found == slots_.end() || slot >= found->second.size() || function == nullptr) {
        return fail(ENOENT, "native twin: cannot put {} into {}[{}]", program, map, slot);
    }
    found->second[slot] = function;
    return {};
}

void NativeTwin::set_context(ebpf::XdpBuff* buff) {
    table_->context = buff;
}

}  // namespace crema::bench
