// SPDX-License-Identifier: BSD-3-Clause
//
// Reads an object file and looks at it before libbpf does: what is missing, no ELF, for another
// machine or cut off gets a message of its own. The bytes are read once, so a file that changes or
// shrinks meanwhile cannot hurt.
#pragma once

#include <string>

#include "lib/base/result.h"
#include "lib/ebpf/loader/elf_sections.h"

namespace crema::ebpf::loader {

/// Bytes of the BPF object file at `path`. ENOENT and other errors of open(2) and read(2), EISDIR,
/// EFBIG file or global data above 64 MiB, ENOEXEC not a BPF object or damaged.
[[nodiscard]] Result<Bytes> read_object(const std::string& path);

}  // namespace crema::ebpf::loader
