// SPDX-License-Identifier: BSD-3-Clause
//
// Reads an object file and looks at it before libbpf does: what is missing, no ELF, for another
// machine, cut off or of the pre-BTF map format gets a message of its own. The bytes are read once,
// so a file that changes or shrinks meanwhile cannot hurt.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace crema::ebpf::loader {

/// Bytes of the BPF object file at `path`. ENOENT and other errors of open(2) and read(2), EISDIR,
/// EFBIG file or global data above 64 MiB, ENOEXEC not a BPF object or damaged, ENOTSUP legacy map
/// definitions.
[[nodiscard]] Result<std::vector<std::uint8_t>> read_object(const std::string& path);

}  // namespace crema::ebpf::loader
