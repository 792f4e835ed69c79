// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/loader/legacy_forms.h"

#include <cerrno>
#include <utility>

#include "lib/ebpf/loader/elf_rewrite.h"
#include "lib/ebpf/loader/legacy_btf.h"

namespace crema::ebpf::loader {
namespace {

constexpr std::string_view kText = ".text", kMaps = ".maps";

/// Functions in sections of their own are programs; those in .text are called by them.
bool is_static_program(const Sections& sections, const Elf64_Sym& symbol) {
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || ELF64_ST_BIND(symbol.st_info) != STB_LOCAL ||
        symbol.st_shndx >= sections.headers.size()) {
        return false;
    }
    const Elf64_Shdr& section = sections.headers[symbol.st_shndx];
    return (section.sh_flags & SHF_EXECINSTR) != 0 && sections.name(section) != kText;
}

bool make_programs_global(const Sections& sections, ElfRewrite& file) {
    const std::size_t table = sections.symbol_table();
    if (table == sections.headers.size()) {
        return false;
    }
    bool any = false;
    const auto symbols = sections.data(sections.headers[table]);
    for (std::size_t i = 0; i < symbols.size() / sizeof(Elf64_Sym); ++i) {
        auto symbol = entry_at<Elf64_Sym>(symbols, i);
        if (is_static_program(sections, symbol)) {
            symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
            file.set_symbol(table, i, symbol);
            any = true;
        }
    }
    return any;
}

/// Section ".maps" of an object that defines maps both ways; headers.size() when there is none.
std::size_t current_maps(const Sections& sections) {
    return sections.find([&sections](const auto& each) { return sections.name(each) == kMaps; });
}

PresentMaps present_maps(const Sections& sections, std::size_t section) {
    PresentMaps present;
    const std::size_t table = sections.symbol_table();
    if (section == sections.headers.size() || table == sections.headers.size()) {
        return present;
    }
    present.section_bytes =
        static_cast<std::uint32_t>(sections.data(sections.headers[section]).size());
    const auto symbols = sections.data(sections.headers[table]);
    const auto names = sections.data(sections.headers[sections.headers[table].sh_link]);
    for (std::size_t i = 0; i < symbols.size() / sizeof(Elf64_Sym); ++i) {
        const auto symbol = entry_at<Elf64_Sym>(symbols, i);
        if (symbol.st_shndx == section && ELF64_ST_TYPE(symbol.st_info) == STT_OBJECT &&
            symbol.st_value < present.section_bytes) {
            present.places.push_back({.name = string_at(names, symbol.st_name),
                                      .offset = static_cast<std::uint32_t>(symbol.st_value)});
        }
    }
    return present;
}

/// Section ".maps" for all the maps; its index. Definitions are told by types: the bytes of the
/// section count for nothing.
std::size_t section_for(const Sections& sections,
                        std::size_t present,
                        std::uint32_t bytes,
                        ElfRewrite& file) {
    if (present == sections.headers.size()) {
        return file.add(kMaps, SHF_ALLOC | SHF_WRITE, Bytes(bytes));
    }
    const auto old = sections.data(sections.headers[present]);
    Bytes content(old.begin(), old.end());
    content.resize(bytes);
    file.replace(present, content);
    return present;
}

Status define_by_btf(const std::string& path,
                     const Sections& sections,
                     const std::vector<LegacyMap>& maps,
                     ElfRewrite& file) {
    const std::size_t old_btf =
        sections.find([&sections](const auto& each) { return sections.name(each) == ".BTF"; });
    const bool has_btf = old_btf < sections.headers.size();
    const std::size_t present = current_maps(sections);
    const auto described =
        describe_maps(path, has_btf ? sections.data(sections.headers[old_btf]) : Bytes(), maps,
                      present_maps(sections, present));
    if (!described) {
        return forward_error(described);
    }
    if (file.section_count() + 2 >= SHN_LORESERVE) {
        return fail(ENOEXEC, "{}: it has no room for another section", path);
    }
    if (has_btf) {
        file.replace(old_btf, described->btf);
    } else {
        (void)file.add(".BTF", 0, described->btf);
    }
    const std::size_t section = section_for(sections, present, described->section_bytes, file);
    const std::size_t table = sections.symbol_table();
    for (std::size_t i = 0; i < maps.size(); ++i) {
        auto symbol = entry_at<Elf64_Sym>(sections.data(sections.headers[table]), maps[i].symbol);
        symbol.st_shndx = static_cast<Elf64_Section>(section);
        symbol.st_value = described->variables[i].offset;
        symbol.st_size = described->variables[i].size;
        file.set_symbol(table, maps[i].symbol, symbol);
        if (i == 0 || maps[i].section != maps[i - 1].section) {
            file.rename(maps[i].section, ".legacy_maps");
        }
    }
    return {};
}

}  // namespace

Result<CurrentForm> to_current_form(const std::string& path, Bytes bytes) {
    const auto sections = read_sections(path, bytes);
    if (!sections) {
        return forward_error(sections);
    }
    auto maps = read_legacy_maps(path, *sections);
    if (!maps) {
        return forward_error(maps);
    }
    ElfRewrite file(bytes, *sections);
    const bool made_global = make_programs_global(*sections, file);
    if (!maps->empty()) {
        if (auto defined = define_by_btf(path, *sections, *maps, file); !defined) {
            return forward_error(defined);
        }
    } else if (!made_global) {
        return CurrentForm{.bytes = std::move(bytes), .legacy_maps = {}};
    }
    return CurrentForm{.bytes = file.finish(), .legacy_maps = std::move(*maps)};
}

}  // namespace crema::ebpf::loader
