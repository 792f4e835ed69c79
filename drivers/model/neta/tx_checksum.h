// SPDX-License-Identifier: BSD-3-Clause
//
// Checksum insertion of the transmit engine, driven by the command word of the first descriptor.
// Source: hardware page 3.5, 8.2.
#pragma once

#include <cstdint>

namespace crema::neta::model {

/// True when `command` asks for any checksum.
[[nodiscard]] bool wants_checksums(std::uint32_t command);

/// Fills in the IPv4 header and TCP/UDP checksums of frame[0, bytes). False: the offsets of the
/// command lie outside of the frame; nothing was changed.
[[nodiscard]] bool insert_checksums(std::uint32_t command,
                                    std::uint16_t start_value,
                                    std::uint8_t* frame,
                                    std::uint32_t bytes);

}  // namespace crema::neta::model
