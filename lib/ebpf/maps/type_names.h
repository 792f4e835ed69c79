// SPDX-License-Identifier: BSD-3-Clause
//
// Map types by the names that tools give them.
#pragma once

#include <cstdint>
#include <string_view>

namespace crema::ebpf::maps {

/// "percpu_array"; empty for a number that is no type. Types that are not served have names, too.
[[nodiscard]] std::string_view type_name(std::uint32_t type);

}  // namespace crema::ebpf::maps
