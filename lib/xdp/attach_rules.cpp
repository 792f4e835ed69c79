// SPDX-License-Identifier: BSD-3-Clause
//
// A port of the kernel has a place for a program in each of three modes, and only one of native and
// generic may be taken. Ours has one place; a program in it is shown in the mode it was attached
// in. So a request in the other mode finds its place empty. Several programs are in that one place
// together: to the kernel's ways they are the first of them, which goes with all the others.
#include "lib/xdp/attach_rules.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <optional>
#include <string_view>

#include "lib/ebpf/program/program.h"
#include "lib/xdp/chain.h"

namespace crema::xdp {
namespace {

using ebpf::syscall::Attachment;
using ebpf::syscall::ChainChange;
using ebpf::syscall::ChainedProgram;
using ebpf::syscall::PortChange;
using ebpf::syscall::XdpMode;

/// Nothing: hardware.
std::optional<XdpMode> mode_asked(std::uint32_t flags, XdpMode own) {
    if ((flags & ebpf::syscall::kHwMode) != 0) {
        return std::nullopt;
    }
    if ((flags & ebpf::syscall::kDrvMode) != 0) {
        return XdpMode::native;
    }
    return (flags & ebpf::syscall::kSkbMode) != 0 ? XdpMode::generic : own;
}

Status check_flags(const PortChange& change) {
    const std::uint32_t flags = change.flags;
    if (change.by_link && (flags & ~ebpf::syscall::kModeFlags) != 0) {
        return fail(EINVAL, "Invalid XDP flags for BPF link attachment");
    }
    if (std::popcount(flags & ebpf::syscall::kModeFlags) > 1) {
        return fail(EINVAL, "Only one XDP mode flag can be set");
    }
    if (change.program != nullptr && (flags & ebpf::syscall::kHwMode) != 0) {
        return fail(EINVAL, "");  // a program for that is loaded for its device
    }
    return {};
}

Status check_type(const ebpf::LoadedProgram& program) {
    const std::uint32_t type = program.program.expected_attach_type;
    if (type == ebpf::kAttachXdpDevmap) {
        return fail(EINVAL, "BPF_XDP_DEVMAP programs can not be attached to a device");
    }
    if (type == ebpf::kAttachXdpCpumap) {
        return fail(EINVAL, "BPF_XDP_CPUMAP programs can not be attached to a device");
    }
    return {};
}

/// here: in the mode that is asked for.
Status check_new_program(const PortChange& change, const Attachment& now, bool here) {
    if (change.program == nullptr) {
        return {};
    }
    if (here && (change.flags & ebpf::syscall::kUpdateIfNoExist) != 0) {
        return fail(EBUSY, "XDP program already attached");
    }
    if (!here && now.first() != nullptr) {
        return fail(EEXIST, "Native and generic XDP can't be active at the same time");
    }
    return check_type(*change.program);
}

bool is_there(const Attachment& now, std::uint32_t id) {
    return std::ranges::any_of(now.programs,
                               [id](const ChainedProgram& each) { return each.program->id == id; });
}

/// What is there may be changed by ways that know of several programs.
Status check_chain(const Attachment& now, const ChainChange& change) {
    if (change.join.empty() && change.leave.empty() && !change.all_leave) {
        return fail(EINVAL, "no program is to join or to leave");
    }
    if (std::popcount(change.flags) > 1 || (change.flags & ~ebpf::syscall::kModeFlags) != 0 ||
        (change.flags & ebpf::syscall::kHwMode) != 0) {
        return fail(EINVAL, "programs that run together have one mode, native or generic");
    }
    if (now.by_link && now.first() != nullptr) {
        return fail(EBUSY, "Can't replace active BPF XDP link");
    }
    if (change.all_leave) {
        return change.join.empty() && now.programs.empty()
                   ? Status(fail(ENOENT, "no program is attached"))
                   : Status();
    }
    // By its name, as libxdp knows it: what is beside it libxdp would not see, and take away.
    const auto first = now.first();
    if (!change.join.empty() && first != nullptr && first->program.name == "xdp_dispatcher") {
        return fail(EBUSY,
                    "what is there is libxdp's: add to it by its tools (crema bpf --to SOCKET -- "
                    "xdp-loader load), or replace all of it");
    }
    for (const std::uint32_t id : change.leave) {
        if (!is_there(now, id)) {
            return fail(ENOENT, "no program with id {} is attached", id);
        }
    }
    return {};
}

}  // namespace

Result<Attachment> after_change(const Attachment& now, XdpMode own, const PortChange& change) {
    if (const Status valid = check_flags(change); !valid) {
        return forward_error(valid);
    }
    const std::optional<XdpMode> mode = mode_asked(change.flags, own);
    const bool here = now.first() != nullptr && mode == now.mode;
    if (here && now.by_link) {
        return fail(EBUSY, "Can't replace active BPF XDP link");
    }
    if (here && change.by_link) {
        return fail(EBUSY, "Can't replace active XDP program with BPF link");
    }
    const auto current = here ? now.first() : nullptr;
    if ((change.flags & ebpf::syscall::kReplace) != 0 && current != change.expected) {
        return fail(EEXIST, "Active program does not match expected");
    }
    if (const Status allowed = check_new_program(change, now, here); !allowed) {
        return forward_error(allowed);
    }
    if (change.program == current && !change.by_link && now.programs.size() <= 1) {
        return now;
    }
    if (mode == XdpMode::native && own != XdpMode::native) {
        return fail(EOPNOTSUPP, "Underlying driver does not support XDP in native mode");
    }
    return ebpf::syscall::alone(change.program, mode.value_or(own), change.by_link);
}

Result<Attachment> after_chain_change(const Attachment& now,
                                      XdpMode own,
                                      const ChainChange& change) {
    if (const Status allowed = check_chain(now, change); !allowed) {
        return forward_error(allowed);
    }
    Attachment next = now;
    std::erase_if(next.programs, [&change](const ChainedProgram& each) {
        return change.all_leave ||
               std::ranges::find(change.leave, each.program->id) != change.leave.end();
    });
    const std::size_t present = next.programs.size();
    // As above: a mode that nobody asks for is the port's own.
    const XdpMode mode = mode_asked(change.flags, own).value_or(own);
    if (!change.join.empty() && present != 0 && mode != now.mode) {
        return fail(EEXIST, "Native and generic XDP can't be active at the same time");
    }
    if (!change.join.empty() && mode == XdpMode::native && own != XdpMode::native) {
        return fail(EOPNOTSUPP, "Underlying driver does not support XDP in native mode");
    }
    for (const ChainedProgram& each : change.join) {
        if (const Status fits = check_type(*each.program); !fits) {
            return forward_error(fits);
        }
        if (is_there(next, each.program->id)) {
            return fail(EEXIST, "program {} with id {} is there already",
                        each.program->program.name, each.program->id);
        }
        next.programs.push_back(each);
    }
    if (next.programs.size() > kChainMax) {
        return fail(E2BIG, "{} programs would be there: at most {}", next.programs.size(),
                    kChainMax);
    }
    if (next.programs.empty()) {
        return Attachment{};
    }
    next.mode = present != 0 ? now.mode : mode;
    sort_chain(next.programs, present);
    return next;
}

}  // namespace crema::xdp
