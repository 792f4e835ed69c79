// SPDX-License-Identifier: BSD-3-Clause
//
// Commands beside those of the kernel, for the preload library (lib/ebpf/preload): what it needs to
// show about descriptors that the kernel shows in /proc and statfs, and what rtnetlink says of
// ports. They are bpf(2) calls with numbers that the kernel will not use, so they come the same
// way; elsewhere they are EINVAL.
#pragma once

#include <cstdint>

namespace crema::ebpf::supervise {

inline constexpr int kFirstPrivate = 0x43524d00;

/// attr: an address of PrivateAttr; for `netlink` of NetlinkAttr, for `port_programs` of
/// PortProgramsAttr (port_programs.h).
enum class PrivateCommand : int {
    /// The text of /proc/PID/fdinfo/FD, as a new descriptor to read from. EINVAL: not one of ours.
    fd_info = kFirstPrivate,
    /// 0 when the directory `fd` lies in what stands for the BPF file system, else -EINVAL.
    inside_bpffs,
    /// A descriptor (maps/wakeups.h) that becomes readable when a ring buffer, or the ring of a
    /// perf
    /// event, has new records, or writable when a user ring buffer has new room: by edges. EINVAL:
    /// none of them.
    ring_events,
    /// The producer's page and the data of a ring buffer, to be mapped for reading, or of a user
    /// ring buffer, to be mapped for writing, too. EINVAL: neither.
    ring_data,
    /// What stands for /sys/kernel/btf/vmlinux (kfuncs/host_types.h), to read from; `fd` means
    /// nothing.
    kernel_types,
    /// What becomes of an rtnetlink request that the process is about to send: a NetlinkHandling.
    netlink,
    /// Before a perf event is mapped: argument is the number of bytes, request 1 when they may be
    /// written. 0, or why the kernel would refuse it.
    event_map,
    /// ioctl of a perf event.
    event_control,
    /// Programs of a port that run one after the other: a list, or a change of it.
    port_programs,
    end,
};

struct PrivateAttr {
    std::int32_t fd;
    std::uint32_t request = 0;
    std::uint64_t argument = 0;
};

struct NetlinkAttr {
    std::uint64_t request;  // address of one message
    std::uint64_t reply;    // address of room for the messages that belong to the answer
    std::uint32_t request_bytes;
    std::uint32_t reply_room;
    std::uint32_t reply_bytes;   // out
    std::uint32_t capped : 1;    // the socket has NETLINK_CAP_ACK
    std::uint32_t extended : 1;  // and NETLINK_EXT_ACK
};

/// A request longer than this is none about ports, and no answer is longer: 32 ports.
inline constexpr std::uint32_t kNetlinkBytesMax = 16384;

enum class NetlinkHandling : int {
    kernel,       // the request goes to the kernel, whose answer stands
    instead,      // it does not: the reply stands alone
    before_dump,  // it does; the reply comes before the first message of the kernel's list
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
