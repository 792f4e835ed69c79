// SPDX-License-Identifier: BSD-3-Clause
//
// The types that another process is to see as the kernel's: ours (kernel_btf.h) and, behind them,
// the host's, whose structures CO-RE relocations need. Functions of the host keep their place and
// lose their name, so that nobody finds one that is not served. Our type numbers stay what they are
// everywhere.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/result.h"

namespace crema::ebpf::kfuncs {

/// host: the file /sys/kernel/btf/vmlinux. EINVAL: it is no such file. What comes back is for
/// loaders; it is not checked record by record.
[[nodiscard]] Result<std::vector<std::uint8_t>> with_host_types(std::span<const std::uint8_t> host);

}  // namespace crema::ebpf::kfuncs
