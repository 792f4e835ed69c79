// SPDX-License-Identifier: BSD-3-Clause
//
// A running data path as its own bpf(2) and rtnetlink show it: this process joins it as any command
// under `crema bpf --to` does, and asks. What can be asked: remote_map.h, remote_port.h.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include <linux/bpf.h>

#include "lib/base/result.h"

namespace crema::command {

using Bytes = std::vector<std::uint8_t>;

/// From here on bpf(2) calls of this process are those of the data path behind the socket. Once.
[[nodiscard]] Status join_data_path(const std::string& socket);

/// Where the data path keeps what others see at `path` in their BPF file system: a name, or a path
/// below /sys/fs/bpf. EINVAL: another path.
[[nodiscard]] Result<std::string> place_of_pin(const std::string& path);

/// bpf(2) or a command of lib/ebpf/supervise/private_commands.h. Result or negative errno.
template <typename Attr>
[[nodiscard]] long call(int command, Attr& attr) {
    const long result = ::syscall(SYS_bpf, command, &attr, sizeof attr);
    return result >= 0 ? result : -errno;
}

[[nodiscard]] inline std::uint64_t address(const void* memory) {
    return reinterpret_cast<std::uintptr_t>(memory);
}

/// "what: reason", of a negative errno.
[[nodiscard]] tl::unexpected<Error> refused(const std::string& what, long result);

/// OBJ_GET_INFO_BY_FD.
template <typename Info>
[[nodiscard]] Result<Info> info_of(int fd) {
    Info info{};
    bpf_attr attr{};
    attr.info.bpf_fd = static_cast<std::uint32_t>(fd);
    attr.info.info = address(&info);
    attr.info.info_len = sizeof info;
    const long result = call(BPF_OBJ_GET_INFO_BY_FD, attr);
    return result == 0 ? Result<Info>(info) : refused("object information", result);
}

/// A name in such information.
template <std::size_t N>
[[nodiscard]] std::string text_of(const char (&field)[N]) {
    const std::string_view all(field, N);
    return std::string(all.substr(0, all.find('\0')));
}

}  // namespace crema::command
