// SPDX-License-Identifier: BSD-3-Clause
//
// Looks over the types of an object's BTF section before libbpf reads them. libbpf before 1.3 takes
// them on trust: an index that leads nowhere or a typedef of itself would end the process or keep
// it busy for ever.
#pragma once

#include <cstdint>
#include <span>

namespace crema::ebpf::loader {

/// Null when every type is whole, every name and type index leads somewhere and no type contains
/// itself; else what is wrong.
[[nodiscard]] const char* check_btf(std::span<const std::uint8_t> section);

}  // namespace crema::ebpf::loader
