// SPDX-License-Identifier: BSD-3-Clause
//
// Commands beside those of the kernel, for the preload library (lib/ebpf/preload): what it needs to
// show about descriptors that the kernel shows in /proc and statfs. They are bpf(2) calls with
// numbers that the kernel will not use, so they come the same way; elsewhere they are EINVAL.
#pragma once

#include <cstdint>

namespace crema::ebpf::supervise {

inline constexpr int kFirstPrivate = 0x43524d00;

/// attr: an address of PrivateAttr.
enum class PrivateCommand : int {
    /// The text of /proc/PID/fdinfo/FD, as a new descriptor to read from. EINVAL: not one of ours.
    fd_info = kFirstPrivate,
    /// 0 when the directory `fd` lies in what stands for the BPF file system, else -EINVAL.
    inside_bpffs,
    /// An eventfd that becomes readable when a ring buffer has new records. EINVAL: not one.
    ring_events,
    /// The producer's page and the data of a ring buffer, to be mapped for reading. EINVAL: not
    /// one.
    ring_data,
    /// What stands for /sys/kernel/btf/vmlinux (kfuncs/host_types.h), to read from; `fd` means
    /// nothing.
    kernel_types,
    end,
};

struct PrivateAttr {
    std::int32_t fd;
};

[[nodiscard]] constexpr bool is_private(int command) {
    return command >= kFirstPrivate && command < static_cast<int>(PrivateCommand::end);
}

[[nodiscard]] constexpr bool private_returns_descriptor(int command) {
    const auto asked = static_cast<PrivateCommand>(command);
    return asked == PrivateCommand::fd_info || asked == PrivateCommand::ring_events ||
           asked == PrivateCommand::ring_data || asked == PrivateCommand::kernel_types;
}

/// Result or negative errno, for the process of caller::current().
[[nodiscard]] long serve_private(int command, std::uint64_t attr, std::uint32_t size);

}  // namespace crema::ebpf::supervise
