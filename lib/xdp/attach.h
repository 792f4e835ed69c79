// SPDX-License-Identifier: BSD-3-Clause
//
// Which program runs on which port. Attach, replace and detach work under traffic and lose no
// frame: a burst sees the old program or the new one, and the old one is released after every
// reader was quiescent.
#pragma once

#include <cstdint>
#include <memory>

#include "lib/base/result.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/xdp/hook.h"

namespace crema::xdp {

/// Attaches to all RX queues of the port, or replaces the program there.
/// Errors: ENODEV no such port, EINVAL program of another attach type, attach_check's.
[[nodiscard]] Status attach(std::uint16_t port_id,
                            std::shared_ptr<const ebpf::LoadedProgram> program);

/// ENOENT when nothing is attached. The port then delivers every frame (PASS).
[[nodiscard]] Status detach(std::uint16_t port_id);

/// Null when nothing is attached.
[[nodiscard]] std::shared_ptr<const ebpf::LoadedProgram> attached(std::uint16_t port_id);

/// Sum over the port's RX queues since registration.
[[nodiscard]] VerdictCounters verdicts(std::uint16_t port_id);

}  // namespace crema::xdp
