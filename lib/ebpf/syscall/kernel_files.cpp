// SPDX-License-Identifier: BSD-3-Clause
//
// The second seam to libbpf: the one file by which it knows the kernel's types. While a session
// loads an object, our copy of libbpf finds there what kfuncs/kernel_btf.h says exists here, so
// `extern ... __ksym` is resolved against this process and not against the host. By another
// spelling (kHostKernelTypes in session.h) the file is the host's: CO-RE relocations need the
// layouts of its structures.
#include <cstddef>
#include <cstdio>
#include <fcntl.h>
#include <string_view>

#include "lib/ebpf/kfuncs/kernel_btf.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"

// NOLINTBEGIN(bugprone-reserved-identifier): the names are the linker's, see --wrap in ld(1)
extern "C" {
FILE* __real_fopen64(const char* path, const char* mode);
int __real_faccessat(int folder, const char* path, int mode, int flags);

[[gnu::visibility("hidden")]] FILE* __wrap_fopen64(const char* path, const char* mode);
[[gnu::visibility("hidden")]] int __wrap_faccessat(int folder,
                                                   const char* path,
                                                   int mode,
                                                   int flags);
}

// NOLINTEND(bugprone-reserved-identifier)

namespace {

bool is_kernel_types(const char* path) {
    return path != nullptr && std::string_view(path) == "/sys/kernel/btf/vmlinux" &&
           (crema::ebpf::syscall::Session::current() != nullptr ||
            crema::ebpf::syscall::served_elsewhere());
}

}  // namespace

FILE* __wrap_fopen64(const char* path, const char* mode) {
    if (!is_kernel_types(path)) {
        return __real_fopen64(path, mode);
    }
    // Kept for the life of the process: the stream reads it in place, and "r" never writes.
    static const std::shared_ptr<const crema::ebpf::Btf> types = crema::ebpf::kfuncs::kernel_btf();
    const std::vector<std::uint8_t>& bytes = types->bytes();
    return ::fmemopen(const_cast<std::uint8_t*>(bytes.data()), bytes.size(), "r");
}

int __wrap_faccessat(int folder, const char* path, int mode, int flags) {
    return is_kernel_types(path) ? 0 : __real_faccessat(folder, path, mode, flags);
}
