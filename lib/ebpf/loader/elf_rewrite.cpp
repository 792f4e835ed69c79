// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/loader/elf_rewrite.h"

#include <cstring>
#include <utility>

namespace crema::ebpf::loader {

std::uint32_t ElfRewrite::add_name(std::string_view name) {
    const std::size_t at = names_.size();
    names_.insert(names_.end(), name.begin(), name.end());
    names_.push_back(0);
    return static_cast<std::uint32_t>(at);
}

std::uint64_t ElfRewrite::append(std::span<const std::uint8_t> content) {
    constexpr std::size_t kAlignment = 8;
    bytes_.resize((bytes_.size() + kAlignment - 1) / kAlignment * kAlignment);
    const std::uint64_t at = bytes_.size();
    bytes_.insert(bytes_.end(), content.begin(), content.end());
    return at;
}

std::size_t ElfRewrite::add(std::string_view name,
                            std::uint64_t flags,
                            std::span<const std::uint8_t> content) {
    Elf64_Shdr section{};
    section.sh_name = add_name(name);
    section.sh_type = SHT_PROGBITS;
    section.sh_flags = flags;
    section.sh_offset = append(content);
    section.sh_size = content.size();
    section.sh_addralign = 8;
    headers_.push_back(section);
    return headers_.size() - 1;
}

void ElfRewrite::set_symbol(std::size_t table, std::size_t index, const Elf64_Sym& symbol) {
    std::memcpy(bytes_.data() + headers_[table].sh_offset + index * sizeof(symbol), &symbol,
                sizeof(symbol));
}

Bytes ElfRewrite::finish() {
    Elf64_Shdr& names = headers_[header_.e_shstrndx];
    names.sh_offset = append(names_);
    names.sh_size = names_.size();
    header_.e_shnum = static_cast<Elf64_Half>(headers_.size());
    const auto* table = reinterpret_cast<const std::uint8_t*>(headers_.data());
    header_.e_shoff = append({table, headers_.size() * sizeof(Elf64_Shdr)});
    std::memcpy(bytes_.data(), &header_, sizeof(header_));
    return std::move(bytes_);
}

}  // namespace crema::ebpf::loader
