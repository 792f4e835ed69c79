// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/loader/elf_file.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <optional>
#include <span>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/loader/btf_check.h"

namespace crema::ebpf::loader {
namespace {

constexpr std::size_t kBytesMax = std::size_t{64} << 20;
constexpr Elf64_Half kMachineBpf = 247;  // EM_BPF

using Bytes = std::vector<std::uint8_t>;

std::string reason_of(int code) {
    char text[128];
    return strerror_r(code, text, sizeof(text));
}

Result<Bytes> read_file(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));

    struct stat status {};

    if (!fd.valid() || ::fstat(fd.get(), &status) != 0) {
        const int code = errno;
        return fail(code, "{}: cannot open the object file: {}", path, reason_of(code));
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(S_ISDIR(status.st_mode) ? EISDIR : EINVAL, "{}: not an object file but a {}",
                    path, S_ISDIR(status.st_mode) ? "directory" : "special file");
    }
    if (status.st_size > static_cast<off_t>(kBytesMax)) {
        return fail(EFBIG, "{}: {} bytes are no XDP object (at most {} MiB)", path, status.st_size,
                    kBytesMax >> 20);
    }
    Bytes bytes(static_cast<std::size_t>(status.st_size));
    std::size_t got = 0;
    while (got < bytes.size()) {
        const ssize_t now = ::read(fd.get(), bytes.data() + got, bytes.size() - got);
        if (now < 0 && errno == EINTR) {
            continue;
        }
        if (now < 0) {
            const int code = errno;
            return fail(code, "{}: cannot read the object file: {}", path, reason_of(code));
        }
        if (now == 0) {
            break;
        }
        got += static_cast<std::size_t>(now);
    }
    bytes.resize(got);
    return bytes;
}

/// An ELF file's section table, all of whose bounds were checked.
struct Sections {
    std::span<const std::uint8_t> file;
    std::vector<Elf64_Shdr> headers;
    std::span<const std::uint8_t> names;

    [[nodiscard]] std::span<const std::uint8_t> data(const Elf64_Shdr& header) const {
        return header.sh_type == SHT_NOBITS || header.sh_type == SHT_NULL
                   ? std::span<const std::uint8_t>()
                   : file.subspan(header.sh_offset, header.sh_size);
    }

    [[nodiscard]] std::string_view name(const Elf64_Shdr& header) const {
        if (header.sh_name >= names.size()) {
            return {};
        }
        const auto rest = names.subspan(header.sh_name);
        const auto end = std::find(rest.begin(), rest.end(), 0);
        return {reinterpret_cast<const char*>(rest.data()),
                static_cast<std::size_t>(end - rest.begin())};
    }
};

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

template <typename T>
T entry_at(std::span<const std::uint8_t> table, std::size_t index) {
    T entry{};
    std::memcpy(&entry, table.data() + index * sizeof(T), sizeof(T));
    return entry;
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

/// What libbpf and libelf would follow without looking. Null, or what is wrong.
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

}  // namespace

Result<std::vector<std::uint8_t>> read_object(const std::string& path) {
    auto bytes = read_file(path);
    if (!bytes) {
        return bytes;
    }
    const auto sections = read_sections(path, *bytes);
    if (!sections) {
        return forward_error(sections);
    }
    for (const Elf64_Shdr& section : sections->headers) {
        const std::string_view name = sections->name(section);
        if (name == "maps" || name.substr(0, 5) == "maps/") {
            return fail(ENOTSUP,
                        "{}: legacy map definitions in section '{}' are not supported (nor by "
                        "libbpf 1.0 and later): define maps with BTF in SEC(\".maps\")",
                        path, name);
        }
        // Zeroed global data takes no room in the file, so its size is any number.
        if (section.sh_type == SHT_NOBITS && section.sh_size > kBytesMax) {
            return fail(EFBIG, "{}: {} bytes of global data in section '{}': at most {} MiB", path,
                        section.sh_size, name, kBytesMax >> 20);
        }
    }
    if (const char* wrong = check_tables(*sections); wrong != nullptr) {
        return fail(ENOEXEC, "{}: damaged object file: {}", path, wrong);
    }
    return bytes;
}

}  // namespace crema::ebpf::loader
