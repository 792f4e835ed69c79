// SPDX-License-Identifier: BSD-3-Clause
//
// An object file's section table, and its symbols and strings by number. Everything here was
// checked to lie inside of the file: what reads through it need not look again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <elf.h>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"

namespace crema::ebpf::loader {

using Bytes = std::vector<std::uint8_t>;

/// Entry `index` of a table in a file, whatever its alignment.
template <typename T>
[[nodiscard]] T entry_at(std::span<const std::uint8_t> table, std::size_t index) {
    T entry{};
    std::memcpy(&entry, table.data() + index * sizeof(T), sizeof(T));
    return entry;
}

/// A string of a string table; empty beyond its end.
[[nodiscard]] inline std::string_view string_at(std::span<const std::uint8_t> table,
                                                std::size_t offset) {
    if (offset >= table.size()) {
        return {};
    }
    const auto rest = table.subspan(offset);
    const auto end = std::find(rest.begin(), rest.end(), 0);
    return {reinterpret_cast<const char*>(rest.data()),
            static_cast<std::size_t>(end - rest.begin())};
}

struct Sections {
    Elf64_Ehdr header{};
    std::span<const std::uint8_t> file;
    std::vector<Elf64_Shdr> headers;
    std::span<const std::uint8_t> names;

    [[nodiscard]] std::span<const std::uint8_t> data(const Elf64_Shdr& section) const {
        return section.sh_type == SHT_NOBITS || section.sh_type == SHT_NULL
                   ? std::span<const std::uint8_t>()
                   : file.subspan(section.sh_offset, section.sh_size);
    }

    [[nodiscard]] std::string_view name(const Elf64_Shdr& section) const {
        return string_at(names, section.sh_name);
    }

    /// Index of the first section that `matches`; headers.size() when none does.
    template <typename Matches>
    [[nodiscard]] std::size_t find(Matches matches) const {
        const auto found = std::find_if(headers.begin(), headers.end(), matches);
        return static_cast<std::size_t>(found - headers.begin());
    }

    [[nodiscard]] std::size_t symbol_table() const {
        return find([](const Elf64_Shdr& each) { return each.sh_type == SHT_SYMTAB; });
    }
};

/// The section table of a BPF object. `bytes` must live as long as the result.
/// Errors: ENOEXEC, no ELF file, for another machine or byte order, or damaged; `path` is only for
/// the message.
[[nodiscard]] Result<Sections> read_sections(const std::string& path, const Bytes& bytes);

/// Looks over what libbpf and libelf follow without looking: strings, symbols, relocations, BTF.
/// Null, or what is wrong.
[[nodiscard]] const char* check_tables(const Sections& sections);

}  // namespace crema::ebpf::loader
