// SPDX-License-Identifier: BSD-3-Clause
//
// A number N is said by a member of type int (*)[N], libbpf's __uint(); a type by a pointer to it;
// the maps in a map of maps by an array of pointers to a definition.
#include "lib/ebpf/loader/legacy_btf.h"

#include <algorithm>
#include <cerrno>
#include <memory>

#include <bpf/btf.h>

namespace crema::ebpf::loader {
namespace {

struct FreeBtf {
    void operator()(btf* types) const { btf__free(types); }
};

using BtfHandle = std::unique_ptr<btf, FreeBtf>;

struct Member {
    const char* name;
    int type;
};

constexpr std::uint32_t kPointerBytes = 8;
constexpr const char* kMaps = ".maps";
constexpr int kGlobal = 1;  // BTF_VAR_GLOBAL_ALLOCATED

class MapTypes {
  public:
    MapTypes(btf* types, std::span<const LegacyMap> maps)
        : types_(types), maps_(maps), int_(btf__add_int(types, "int", 4, BTF_INT_SIGNED)) {}

    enum class Role : std::uint8_t { map, inner };

    /// Adds the struct that defines map `index`; its type, or a negative errno. As the definition
    /// of an inner map it says nothing of pins: those are not pinned.
    int define(std::size_t index, Role role) {
        const LegacyMap& map = maps_[index];
        std::vector<Member> members = {{"type", number(map.type)},
                                       {"max_entries", number(map.max_entries)}};
        add_key_and_value(map, members);
        if (map.flags != 0) {
            members.push_back({"map_flags", number(map.flags)});
        }
        if (map.numa_node != 0) {
            members.push_back({"numa_node", number(map.numa_node)});
        }
        if (map.pinned && role == Role::map) {
            constexpr std::uint32_t kPinByName = 1;
            members.push_back({"pinning", number(kPinByName)});
        }
        if (map.inner) {
            members.push_back({"values", inner_definition(*map.inner)});
        }
        return add_struct(members);
    }

  private:
    int pointer_to(int type) { return type < 0 ? type : btf__add_ptr(types_, type); }

    int number(std::uint32_t value) {
        return pointer_to(btf__add_array(types_, int_, int_, value));
    }

    int inner_definition(std::size_t index) {
        // An inner map is not one of maps, so this goes one level deep.
        const int definition = pointer_to(define(index, Role::inner));
        return definition < 0 ? definition : btf__add_array(types_, int_, definition, 0);
    }

    void add_key_and_value(const LegacyMap& map, std::vector<Member>& members) {
        const std::string annotation = "____btf_map_" + map.name;
        const int found = btf__find_by_name_kind(types_, annotation.c_str(), BTF_KIND_STRUCT);
        if (found > 0 && !map.inner) {
            const btf_type* pair = btf__type_by_id(types_, static_cast<std::uint32_t>(found));
            if (btf_vlen(pair) == 2) {
                const std::uint32_t key = btf_members(pair)[0].type;
                const std::uint32_t value = btf_members(pair)[1].type;
                if (btf__resolve_size(types_, key) == map.key_size &&
                    btf__resolve_size(types_, value) == map.value_size) {
                    members.push_back({"key", pointer_to(static_cast<int>(key))});
                    members.push_back({"value", pointer_to(static_cast<int>(value))});
                    return;
                }
            }
        }
        members.push_back({"key_size", number(map.key_size)});
        members.push_back({"value_size", number(map.value_size)});
    }

    int add_struct(const std::vector<Member>& members) {
        std::uint32_t bytes = 0;
        for (const Member& member : members) {
            if (member.type < 0) {
                return member.type;
            }
            bytes += member_bytes(member);
        }
        const int type = btf__add_struct(types_, "", bytes);
        std::uint32_t bits = 0;
        for (const Member& member : members) {
            if (type < 0) {
                break;
            }
            if (const int err = btf__add_field(types_, member.name, member.type, bits, 0);
                err < 0) {
                return err;
            }
            bits += 8 * member_bytes(member);
        }
        return type;
    }

    /// "values" is an array without elements, everything else a pointer.
    static std::uint32_t member_bytes(const Member& member) {
        return std::string_view(member.name) == "values" ? 0 : kPointerBytes;
    }

    btf* types_;
    std::span<const LegacyMap> maps_;
    int int_;
};

/// libbpf asks the ELF file for size and places of every section of variables whose size BTF leaves
/// open. This one is no more what it says, so it gets some of its own.
/// libbpf has no call to change a type; these bytes are its own copy, after the first addition.
void close_section(const btf* types, btf_type* section) {
    std::uint32_t offset = 0;
    for (std::uint32_t i = 0; i < btf_vlen(section); ++i) {
        btf_var_secinfo& variable = btf_var_secinfos(section)[i];
        const std::int64_t size = btf__resolve_size(types, variable.type);
        variable.offset = offset;
        variable.size = static_cast<std::uint32_t>(std::max<std::int64_t>(size, 1));
        offset += variable.size;
    }
    section->size = std::max<std::uint32_t>(offset, 1);
}

btf_type* writable(const btf* types, std::uint32_t id) {
    return const_cast<btf_type*>(btf__type_by_id(types, id));
}

/// What clang said of the old sections stays; they go by another name in the file.
void close_old_sections(const btf* types) {
    for (std::uint32_t id = 1; id < btf__type_cnt(types); ++id) {
        btf_type* section = writable(types, id);
        if (btf_is_datasec(section) &&
            is_legacy_maps(btf__name_by_offset(types, section->name_off))) {
            close_section(types, section);
        }
    }
}

/// A variable of the section to be.
struct Variable {
    int type;
    MapVariable at;
};

/// Takes the maps of section ".maps" out of the type that describes it, which then is called
/// otherwise: a section of variables cannot grow in place.
int take_present(btf* types, const PresentMaps& present, std::vector<Variable>& to) {
    const int found = btf__find_by_name_kind(types, kMaps, BTF_KIND_DATASEC);
    if (found < 0) {
        return 0;
    }
    const int other_name = btf__add_str(types, ".maps_before");
    if (other_name < 0) {
        return other_name;
    }
    btf_type* section = writable(types, static_cast<std::uint32_t>(found));
    for (std::uint32_t i = 0; i < btf_vlen(section); ++i) {
        const std::uint32_t variable = btf_var_secinfos(section)[i].type;
        const btf_type* type = btf__type_by_id(types, variable);
        const std::int64_t size = btf__resolve_size(types, variable);
        const std::string_view name =
            type != nullptr ? btf__name_by_offset(types, type->name_off) : "";
        const auto place = std::find_if(present.places.begin(), present.places.end(),
                                        [name](const auto& each) { return each.name == name; });
        if (place == present.places.end() || size < 0 ||
            place->offset + static_cast<std::uint64_t>(size) > present.section_bytes) {
            return -ENOEXEC;
        }
        to.push_back({.type = static_cast<int>(variable),
                      .at = {.offset = place->offset, .size = static_cast<std::uint32_t>(size)}});
    }
    section->name_off = static_cast<std::uint32_t>(other_name);
    close_section(types, section);
    return 0;
}

int define_maps(btf* types,
                std::span<const LegacyMap> maps,
                DescribedMaps& described,
                std::vector<Variable>& to) {
    MapTypes definitions(types, maps);
    for (std::size_t i = 0; i < maps.size(); ++i) {
        const int definition = definitions.define(i, MapTypes::Role::map);
        if (definition < 0) {
            return definition;
        }
        const auto size = static_cast<std::uint32_t>(
            btf__resolve_size(types, static_cast<std::uint32_t>(definition)));
        const int variable = btf__add_var(types, maps[i].name.c_str(), kGlobal, definition);
        if (variable < 0) {
            return variable;
        }
        described.variables.push_back({.offset = described.section_bytes, .size = size});
        to.push_back({.type = variable, .at = described.variables.back()});
        described.section_bytes += size;
    }
    return 0;
}

int add_maps(btf* types,
             std::span<const LegacyMap> maps,
             const PresentMaps& present,
             DescribedMaps& described) {
    constexpr std::uint32_t kAlignment = 8;
    described.section_bytes = (present.section_bytes + kAlignment - 1) / kAlignment * kAlignment;
    std::vector<Variable> variables;
    int err = take_present(types, present, variables);
    if (err == 0) {
        err = define_maps(types, maps, described, variables);
    }
    if (err == 0) {
        err = std::min(btf__add_datasec(types, kMaps, described.section_bytes), 0);
    }
    for (auto each = variables.begin(); err == 0 && each != variables.end(); ++each) {
        err = btf__add_datasec_var_info(types, each->type, each->at.offset, each->at.size);
    }
    return err;
}

}  // namespace

Result<DescribedMaps> describe_maps(const std::string& path,
                                    std::span<const std::uint8_t> btf,
                                    std::span<const LegacyMap> maps,
                                    const PresentMaps& present) {
    const BtfHandle types(btf.empty()
                              ? btf__new_empty()
                              : btf__new(btf.data(), static_cast<std::uint32_t>(btf.size())));
    if (types == nullptr) {
        return fail(ENOEXEC, "{}: libbpf does not take its BTF: {}", path, errno);
    }
    DescribedMaps described;
    if (const int err = add_maps(types.get(), maps, present, described); err < 0) {
        return fail(-err, "{}: cannot describe its legacy maps: error {}", path, -err);
    }
    close_old_sections(types.get());
    std::uint32_t size = 0;
    const void* raw = btf__raw_data(types.get(), &size);
    if (raw == nullptr) {
        return fail(ENOMEM, "{}: no memory for the types of its legacy maps", path);
    }
    const auto* bytes = static_cast<const std::uint8_t*>(raw);
    described.btf.assign(bytes, bytes + size);
    return described;
}

}  // namespace crema::ebpf::loader
