// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/loader/elf_sections.h"

#include <bit>
#include <cerrno>

#include "lib/ebpf/loader/btf_check.h"

namespace crema::ebpf::loader {
namespace {

constexpr Elf64_Half kMachineBpf = 247;  // EM_BPF

Result<Elf64_Ehdr> read_header(const std::string& path, const Bytes& bytes) {
    Elf64_Ehdr header{};
    if (bytes.size() < SELFMAG || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0) {
        return fail(ENOEXEC, "{}: not an ELF file: build it with clang -target bpf -c", path);
    }
    if (bytes.size() < sizeof(header)) {
        return fail(ENOEXEC, "{}: ELF file cut off after {} bytes", path, bytes.size());
    }
    std::memcpy(&header, bytes.data(), sizeof(header));
    constexpr unsigned char kNative =
        std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_REL ||
        (header.e_machine != kMachineBpf && header.e_machine != EM_NONE)) {
        return fail(ENOEXEC,
                    "{}: ELF file of type {} for machine {}, not a BPF object: build it with "
                    "clang -target bpf -c",
                    path, header.e_type, header.e_machine);
    }
    if (header.e_ident[EI_DATA] != kNative) {
        return fail(ENOEXEC, "{}: BPF object of the other byte order: build it with {}", path,
                    kNative == ELFDATA2LSB ? "-target bpfel" : "-target bpfeb");
    }
    return header;
}

bool ends_with_nul(std::span<const std::uint8_t> strings) {
    return !strings.empty() && strings.back() == 0;
}

const char* check_symbols(const Sections& sections, const Elf64_Shdr& table) {
    const auto symbols = sections.data(table);
    if (table.sh_entsize != sizeof(Elf64_Sym) || symbols.size() % sizeof(Elf64_Sym) != 0 ||
        table.sh_link >= sections.headers.size() ||
        sections.headers[table.sh_link].sh_type != SHT_STRTAB) {
        return "its symbol table has no names or no whole entries";
    }
    const auto names = sections.data(sections.headers[table.sh_link]);
    for (std::size_t i = 0; i < symbols.size() / sizeof(Elf64_Sym); ++i) {
        const auto symbol = entry_at<Elf64_Sym>(symbols, i);
        if (symbol.st_name >= names.size() ||
            (symbol.st_shndx >= sections.headers.size() && symbol.st_shndx < SHN_LORESERVE)) {
            return "a symbol has no name or no section";
        }
    }
    return nullptr;
}

const char* check_relocations(const Sections& sections, const Elf64_Shdr& table) {
    const auto relocations = sections.data(table);
    if (table.sh_entsize != sizeof(Elf64_Rel) || relocations.size() % sizeof(Elf64_Rel) != 0 ||
        table.sh_info >= sections.headers.size() || table.sh_link >= sections.headers.size() ||
        sections.headers[table.sh_link].sh_type != SHT_SYMTAB) {
        return "a relocation table has no target or no symbols";
    }
    const std::size_t symbols = sections.headers[table.sh_link].sh_size / sizeof(Elf64_Sym);
    for (std::size_t i = 0; i < relocations.size() / sizeof(Elf64_Rel); ++i) {
        if (ELF64_R_SYM(entry_at<Elf64_Rel>(relocations, i).r_info) >= symbols) {
            return "a relocation has no symbol";
        }
    }
    return nullptr;
}

}  // namespace

Result<Sections> read_sections(const std::string& path, const Bytes& bytes) {
    const auto header = read_header(path, bytes);
    if (!header) {
        return forward_error(header);
    }
    const auto damaged = [&path](std::string_view what) {
        return fail(ENOEXEC, "{}: damaged ELF file: {}", path, what);
    };
    const std::uint64_t size = bytes.size();
    if (header->e_shnum == 0 || header->e_shentsize != sizeof(Elf64_Shdr) ||
        header->e_shoff > size || size - header->e_shoff < header->e_shnum * sizeof(Elf64_Shdr)) {
        return damaged("its section table lies outside of it");
    }
    Sections sections;
    sections.header = *header;
    sections.file = bytes;
    sections.headers.resize(header->e_shnum);
    std::memcpy(sections.headers.data(), bytes.data() + header->e_shoff,
                sections.headers.size() * sizeof(Elf64_Shdr));
    for (const Elf64_Shdr& section : sections.headers) {
        if (section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL &&
            (section.sh_offset > size || section.sh_size > size - section.sh_offset)) {
            return damaged("a section reaches beyond its end");
        }
    }
    if (header->e_shstrndx >= sections.headers.size()) {
        return damaged("it has no section names");
    }
    const Elf64_Shdr& names = sections.headers[header->e_shstrndx];
    if (names.sh_type == SHT_STRTAB) {
        sections.names = sections.data(names);
    }
    return sections;
}

const char* check_tables(const Sections& sections) {
    for (const Elf64_Shdr& section : sections.headers) {
        const char* wrong = nullptr;
        if (section.sh_type == SHT_STRTAB && !ends_with_nul(sections.data(section))) {
            wrong = "a string table has no end";
        } else if (section.sh_type == SHT_SYMTAB) {
            wrong = check_symbols(sections, section);
        } else if (section.sh_type == SHT_REL) {
            wrong = check_relocations(sections, section);
        } else if (sections.name(section) == ".BTF") {
            wrong = check_btf(sections.data(section));
        }
        if (wrong != nullptr) {
            return wrong;
        }
    }
    return nullptr;
}

}  // namespace crema::ebpf::loader
