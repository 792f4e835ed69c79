// SPDX-License-Identifier: BSD-3-Clause
//
// A device in another process, reached by vfio-user: "user:SOCKET". Register reads are a question
// and an answer, writes are posted, and memory is shared by its files, so frames cross without a
// copy and without a message. Each access takes a lock: any thread may make one.
// When the server dies or does not answer for kAnswerSeconds, the device is dead: one error line,
// reads are 0, writes go nowhere. The process may go on, close the device, or find it again when a
// server is back at the same place.
#pragma once

#include <memory>
#include <string>

#include "lib/vfio/device.h"

namespace crema::vfio::user {

inline constexpr int kAnswerSeconds = 5;

/// Connects, agrees on the protocol, and shares the memory of `space` from now on.
/// Errors: what connect(2) says, EPROTO the server does not speak as it should, ENOTSUP no
/// registers to be read and written, and of memory: ENOTSUP when it is not backed by files.
[[nodiscard]] Result<std::unique_ptr<Device>> connect(const std::string& path, DmaSpace& space);

}  // namespace crema::vfio::user
