// SPDX-License-Identifier: BSD-3-Clause
//
// A filter in the words of pcap-filter(7), compiled by libpcap to run in the data path.
#pragma once

#include <cstdint>
#include <string>

#include "lib/base/result.h"

namespace crema::command {

/// The instructions as hexadecimal digits, as they lie in memory; of Ethernet. Empty words: empty,
/// which takes all. EINVAL: libpcap's reason.
[[nodiscard]] Result<std::string> compile_filter(const std::string& words,
                                                 std::uint32_t snap_bytes);

}  // namespace crema::command
