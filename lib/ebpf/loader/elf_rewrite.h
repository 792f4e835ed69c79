// SPDX-License-Identifier: BSD-3-Clause
//
// A changed copy of an object file. Old bytes stay where they are; new and changed sections follow
// behind them, then the section names and the section table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lib/ebpf/loader/elf_sections.h"

namespace crema::ebpf::loader {

class ElfRewrite {
  public:
    /// `sections` was read from `bytes`; both are copied.
    ElfRewrite(const Bytes& bytes, const Sections& sections)
        : header_(sections.header),
          bytes_(bytes),
          headers_(sections.headers),
          names_(sections.names.begin(), sections.names.end()) {}

    void rename(std::size_t section, std::string_view name) {
        headers_[section].sh_name = add_name(name);
    }

    /// Other content for a section.
    void replace(std::size_t section, std::span<const std::uint8_t> content) {
        headers_[section].sh_offset = append(content);
        headers_[section].sh_size = content.size();
    }

    /// A section of data; its index.
    std::size_t add(std::string_view name,
                    std::uint64_t flags,
                    std::span<const std::uint8_t> content);

    /// Changes entry `index` of a symbol table in place.
    void set_symbol(std::size_t table, std::size_t index, const Elf64_Sym& symbol);

    [[nodiscard]] std::size_t section_count() const { return headers_.size(); }

    /// The file.
    [[nodiscard]] Bytes finish();

  private:
    std::uint32_t add_name(std::string_view name);
    std::uint64_t append(std::span<const std::uint8_t> content);

    Elf64_Ehdr header_;
    Bytes bytes_;
    std::vector<Elf64_Shdr> headers_;
    Bytes names_;
};

}  // namespace crema::ebpf::loader
