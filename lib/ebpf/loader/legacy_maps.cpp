// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/loader/legacy_maps.h"

#include <algorithm>
#include <cerrno>

namespace crema::ebpf::loader {
namespace {

constexpr std::size_t kWord = 4;
constexpr std::size_t kCommonBytes = 5 * kWord;
constexpr std::size_t kSamplesBytes = 7 * kWord;
constexpr std::size_t kIproute2Bytes = 9 * kWord;
constexpr std::size_t kGobpfBytes = 6 * kWord + 256;
constexpr std::uint32_t kArrayOfMaps = 12, kHashOfMaps = 13;
constexpr std::uint32_t kNumaNode = 1U << 2;  // BPF_F_NUMA_NODE
constexpr std::uint32_t kNoSlot = 0xffffffff;

/// A symbol that names a map, before its definition is read.
struct Definition {
    std::size_t symbol;
    std::size_t offset;
    std::string_view name;
};

bool is_map_of_maps(const LegacyMap& map) {
    return map.type == kArrayOfMaps || map.type == kHashOfMaps;
}

std::vector<Definition> definitions_in(const Sections& sections, std::size_t section) {
    std::vector<Definition> found;
    const std::size_t table = sections.symbol_table();
    if (table == sections.headers.size()) {
        return found;
    }
    const auto symbols = sections.data(sections.headers[table]);
    const auto names = sections.data(sections.headers[sections.headers[table].sh_link]);
    for (std::size_t i = 0; i < symbols.size() / sizeof(Elf64_Sym); ++i) {
        const auto symbol = entry_at<Elf64_Sym>(symbols, i);
        const std::string_view name = string_at(names, symbol.st_name);
        if (symbol.st_shndx == section && ELF64_ST_TYPE(symbol.st_info) != STT_SECTION &&
            !name.empty()) {
            found.push_back({.symbol = i, .offset = symbol.st_value, .name = name});
        }
    }
    // The samples' index of an inner map counts definitions, not symbols.
    std::sort(found.begin(), found.end(), [](const Definition& left, const Definition& right) {
        return left.offset < right.offset;
    });
    return found;
}

/// What `words` say beyond the first five: words after those are read by the struct's size.
/// `inner` is left as what the struct has, an index or an id, to be resolved when all are read.
bool read_rest(std::span<const std::uint8_t> bytes, LegacyMap& map) {
    const auto word = [bytes](std::size_t index) { return entry_at<std::uint32_t>(bytes, index); };
    switch (bytes.size()) {
        case kSamplesBytes:
            map.inner = is_map_of_maps(map) ? std::optional<std::size_t>(word(5)) : std::nullopt;
            map.numa_node = (map.flags & kNumaNode) != 0 ? word(6) : 0;
            return true;
        case kIproute2Bytes:
            map.id = word(5);
            map.pinned = word(6) != 0;
            map.inner = is_map_of_maps(map) ? std::optional<std::size_t>(word(7)) : std::nullopt;
            if (!is_map_of_maps(map) && word(5) != 0 && word(8) != kNoSlot) {
                map.slot_in_outer = word(8);
            }
            return true;
        case kGobpfBytes:
            map.pinned = word(5) != 0;
            return true;
        default:
            return std::all_of(bytes.begin() + kCommonBytes, bytes.end(),
                               [](std::uint8_t byte) { return byte == 0; });
    }
}

/// The map from `first` on that has this id and can be an inner map; maps.size() if none.
std::size_t with_id(const std::vector<LegacyMap>& maps, std::size_t first, std::size_t id) {
    std::size_t at = first;
    while (at < maps.size() && (is_map_of_maps(maps[at]) || maps[at].id != id)) {
        ++at;
    }
    return at;
}

/// Inner maps by index in the object: iproute2 names them by id.
Status resolve_inner_maps(const std::string& path,
                          std::size_t first,
                          bool by_id,
                          std::vector<LegacyMap>& maps) {
    for (std::size_t i = first; i < maps.size(); ++i) {
        LegacyMap& map = maps[i];
        if (!map.inner) {
            continue;
        }
        const std::size_t inner =
            by_id ? with_id(maps, first, *map.inner) : first + std::min(*map.inner, maps.size());
        if (inner >= maps.size() || is_map_of_maps(maps[inner])) {
            return fail(ENOEXEC, "{}: legacy map {}: its inner map {} is not in the object", path,
                        map.name, *map.inner);
        }
        map.inner = inner;
    }
    return {};
}

Status read_section(const std::string& path,
                    const Sections& sections,
                    std::size_t section,
                    std::vector<LegacyMap>& maps) {
    const auto definitions = definitions_in(sections, section);
    const auto bytes = sections.data(sections.headers[section]);
    const std::string_view section_name = sections.name(sections.headers[section]);
    const std::size_t size = definitions.empty() ? 0 : bytes.size() / definitions.size();
    if (size < kCommonBytes || size % kWord != 0 || bytes.size() % definitions.size() != 0) {
        return fail(ENOEXEC,
                    "{}: section '{}' has {} bytes for {} legacy map definitions: they need equal "
                    "parts of at least {} bytes",
                    path, section_name, bytes.size(), definitions.size(), kCommonBytes);
    }
    const std::size_t first = maps.size();
    for (const Definition& each : definitions) {
        if (each.offset != (maps.size() - first) * size) {
            return fail(ENOEXEC, "{}: legacy map {} does not begin at a definition of its own",
                        path, each.name);
        }
        const auto fields = bytes.subspan(each.offset, size);
        const auto word = [fields](std::size_t i) { return entry_at<std::uint32_t>(fields, i); };
        LegacyMap map{.name = std::string(each.name),
                      .type = word(0),
                      .key_size = word(1),
                      .value_size = word(2),
                      .max_entries = word(3),
                      .flags = word(4),
                      .id = {},
                      .inner = {},
                      .slot_in_outer = {},
                      .section = section,
                      .symbol = each.symbol};
        if (!read_rest(fields, map)) {
            return fail(ENOTSUP,
                        "{}: legacy map {} is defined by {} bytes, whose last {} are not known: "
                        "define it with BTF in SEC(\".maps\")",
                        path, each.name, size, size - kCommonBytes);
        }
        maps.push_back(std::move(map));
    }
    return resolve_inner_maps(path, first, size == kIproute2Bytes, maps);
}

}  // namespace

bool is_legacy_maps(std::string_view section_name) {
    return section_name == "maps" || section_name.substr(0, 5) == "maps/";
}

Result<std::vector<LegacyMap>> read_legacy_maps(const std::string& path, const Sections& sections) {
    std::vector<LegacyMap> maps;
    for (std::size_t i = 0; i < sections.headers.size(); ++i) {
        const Elf64_Shdr& section = sections.headers[i];
        if (section.sh_type != SHT_PROGBITS || section.sh_size == 0 ||
            !is_legacy_maps(sections.name(section))) {
            continue;
        }
        if (auto read = read_section(path, sections, i, maps); !read) {
            return forward_error(read);
        }
    }
    return maps;
}

}  // namespace crema::ebpf::loader
