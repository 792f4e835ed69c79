// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/loader/elf_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/loader/elf_sections.h"

namespace crema::ebpf::loader {
namespace {

constexpr std::size_t kBytesMax = std::size_t{64} << 20;

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

}  // namespace

Result<Bytes> read_object(const std::string& path) {
    auto bytes = read_file(path);
    if (!bytes) {
        return bytes;
    }
    const auto sections = read_sections(path, *bytes);
    if (!sections) {
        return forward_error(sections);
    }
    for (const Elf64_Shdr& section : sections->headers) {
        // Zeroed global data takes no room in the file, so its size is any number.
        if (section.sh_type == SHT_NOBITS && section.sh_size > kBytesMax) {
            return fail(EFBIG, "{}: {} bytes of global data in section '{}': at most {} MiB", path,
                        section.sh_size, sections->name(section), kBytesMax >> 20);
        }
    }
    if (const char* wrong = check_tables(*sections); wrong != nullptr) {
        return fail(ENOEXEC, "{}: damaged object file: {}", path, wrong);
    }
    return bytes;
}

}  // namespace crema::ebpf::loader
