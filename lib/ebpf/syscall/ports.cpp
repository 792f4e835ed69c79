// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/ports.h"

#include <cerrno>
#include <utility>

namespace crema::ebpf::syscall {
namespace {

PortHooks& hooks() {
    static PortHooks the_hooks = {
        .change = [](std::uint32_t ifindex, const PortChange&) -> Status {
            return fail(ENODEV, "no port has ifindex {}", ifindex);
        },
        .replace = [](std::uint32_t, const LoadedProgram&,
                      const std::shared_ptr<const LoadedProgram>&) { return -ENODEV; },
        .detach = [](std::uint32_t, const LoadedProgram&) {},
        .change_chain = [](std::uint32_t ifindex, const ChainChange&) -> Status {
            return fail(ENODEV, "no port has ifindex {}", ifindex);
        },
        .list = [] { return std::vector<PortInfo>(); },
    };
    return the_hooks;
}

}  // namespace

Attachment alone(std::shared_ptr<const LoadedProgram> program, XdpMode mode, bool by_link) {
    Attachment result;
    result.mode = mode;
    result.by_link = by_link;
    if (program != nullptr) {
        // Whoever attaches one program does not care how it would stand among others.
        const RunConfig config = run_config_of(program->program).value_or(RunConfig{});
        result.programs.push_back({.program = std::move(program), .config = config});
    }
    return result;
}

void set_port_hooks(const PortHooks& installed) {
    hooks() = installed;
}

const PortHooks& port_hooks() {
    return hooks();
}

}  // namespace crema::ebpf::syscall
