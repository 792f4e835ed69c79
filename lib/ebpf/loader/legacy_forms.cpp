// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/loader/legacy_forms.h"

#include <cerrno>
#include <utility>

#include "lib/ebpf/loader/elf_rewrite.h"
#include "lib/ebpf/loader/legacy_btf.h"

namespace crema::ebpf::loader {
namespace {

constexpr std::string_view kText = ".text";

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

Status define_by_btf(const std::string& path,
                     const Sections& sections,
                     const std::vector<LegacyMap>& maps,
                     ElfRewrite& file) {
    const std::size_t old_btf =
        sections.find([&sections](const auto& each) { return sections.name(each) == ".BTF"; });
    const bool has_btf = old_btf < sections.headers.size();
    const auto described =
        describe_maps(path, has_btf ? sections.data(sections.headers[old_btf]) : Bytes(), maps);
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
    // Definitions are told by types; the bytes of the section count for nothing.
    const std::size_t section =
        file.add(".maps", SHF_ALLOC | SHF_WRITE, Bytes(described->section_bytes));
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
