// SPDX-License-Identifier: BSD-3-Clause
//
// Which programs run on which port. Attach, replace and detach work under traffic and lose no
// frame: a burst sees all the old programs or all the new ones, and what goes is released after
// every reader was quiescent.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/ebpf/syscall/ports.h"
#include "lib/xdp/hook.h"

namespace crema::xdp {

using ebpf::syscall::Attachment;
using ebpf::syscall::ChainChange;
using ebpf::syscall::ChainedProgram;
using ebpf::syscall::XdpMode;

/// What is to stand at a port after what stands there now; own: the mode of the port itself.
using Decision = std::function<Result<Attachment>(const Attachment& now, XdpMode own)>;

/// Nothing else changes the port between the look and the change.
/// Errors: ENODEV no such port, those of `decide`, and of new programs EINVAL another attach type
/// or bound elsewhere, attach_check's of all that will be there.
[[nodiscard]] Status change(std::uint16_t port_id, const Decision& decide);

/// Attaches to all RX queues of the port, alone: replaces whatever is there.
/// Errors: ENODEV no such port, EINVAL program of another attach type, attach_check's.
[[nodiscard]] Status attach(std::uint16_t port_id,
                            std::shared_ptr<const ebpf::LoadedProgram> program);

/// Programs join those of the port and leave them, all in one step; what stays runs on meanwhile.
/// Errors: those of after_chain_change() (attach_rules.h) and of change().
[[nodiscard]] Status change_chain(std::uint16_t port_id, const ChainChange& asked);

/// One program joins, with what its object says of its place (ebpf::run_config_of()).
[[nodiscard]] Status join(std::uint16_t port_id,
                          std::shared_ptr<const ebpf::LoadedProgram> program);

/// Detaches all. ENOENT when nothing is attached. The port then delivers every frame (PASS).
[[nodiscard]] Status detach(std::uint16_t port_id);

[[nodiscard]] Attachment attachment(std::uint16_t port_id);

/// The first of the programs; null when nothing is attached.
[[nodiscard]] std::shared_ptr<const ebpf::LoadedProgram> attached(std::uint16_t port_id);

/// All of them, in the order they run.
[[nodiscard]] std::vector<std::shared_ptr<const ebpf::LoadedProgram>> all_attached(
    std::uint16_t port_id);

/// False: a port that only stands for a number.
[[nodiscard]] bool has_programs(const PortOps& ops);

/// Sum over the port's RX queues since registration.
[[nodiscard]] VerdictCounters verdicts(std::uint16_t port_id);

/// The same by RX queue; empty: no such port.
[[nodiscard]] std::vector<VerdictCounters> queue_verdicts(std::uint16_t port_id);

}  // namespace crema::xdp
