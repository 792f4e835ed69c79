// SPDX-License-Identifier: BSD-3-Clause
//
// A port of the kernel has a place for a program in each of three modes, and only one of native and
// generic may be taken. Ours has one place; a program in it is shown in the mode it was attached
// in. So a request in the other mode finds its place empty.
#include "lib/xdp/attach_rules.h"

#include <bit>
#include <cerrno>
#include <optional>

#include "lib/ebpf/program/program.h"

namespace crema::xdp {
namespace {

using ebpf::syscall::Attachment;
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

/// here: in the mode that is asked for.
Status check_new_program(const PortChange& change, const Attachment& now, bool here) {
    if (change.program == nullptr) {
        return {};
    }
    if (here && (change.flags & ebpf::syscall::kUpdateIfNoExist) != 0) {
        return fail(EBUSY, "XDP program already attached");
    }
    if (!here && now.program != nullptr) {
        return fail(EEXIST, "Native and generic XDP can't be active at the same time");
    }
    const std::uint32_t type = change.program->program.expected_attach_type;
    if (type == ebpf::kAttachXdpDevmap) {
        return fail(EINVAL, "BPF_XDP_DEVMAP programs can not be attached to a device");
    }
    if (type == ebpf::kAttachXdpCpumap) {
        return fail(EINVAL, "BPF_XDP_CPUMAP programs can not be attached to a device");
    }
    return {};
}

}  // namespace

Result<Attachment> after_change(const Attachment& now, XdpMode own, const PortChange& change) {
    if (const Status valid = check_flags(change); !valid) {
        return forward_error(valid);
    }
    const std::optional<XdpMode> mode = mode_asked(change.flags, own);
    const bool here = now.program != nullptr && mode == now.mode;
    if (here && now.by_link) {
        return fail(EBUSY, "Can't replace active BPF XDP link");
    }
    if (here && change.by_link) {
        return fail(EBUSY, "Can't replace active XDP program with BPF link");
    }
    const auto& current = here ? now.program : nullptr;
    if ((change.flags & ebpf::syscall::kReplace) != 0 && current != change.expected) {
        return fail(EEXIST, "Active program does not match expected");
    }
    if (const Status allowed = check_new_program(change, now, here); !allowed) {
        return forward_error(allowed);
    }
    if (change.program == current && !change.by_link) {
        return now;
    }
    if (mode == XdpMode::native && own != XdpMode::native) {
        return fail(EOPNOTSUPP, "Underlying driver does not support XDP in native mode");
    }
    return Attachment{
        .program = change.program, .mode = mode.value_or(own), .by_link = change.by_link};
}

}  // namespace crema::xdp
