// SPDX-License-Identifier: BSD-3-Clause
//
// Answers about ports for the rtnetlink sockets of this process. The kernel keeps order, addresses
// and wake-ups: an answer of ours waits until the kernel's answer to the same request (or to a
// request that means nothing, sent in place of ours) is the next message of the socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sys/socket.h>
#include <sys/types.h>

#include "lib/ebpf/supervise/private_commands.h"

namespace crema::preload {

/// Asks for what becomes of a request. bytes: in the room, out the messages in `reply`. Without
/// supervisor everything is the kernel's.
[[nodiscard]] ebpf::supervise::NetlinkHandling ask_netlink(const void* request,
                                                           std::size_t request_bytes,
                                                           int socket,
                                                           std::uint8_t* reply,
                                                           std::uint32_t& bytes);

/// The start of a message that may be a request about links.
[[nodiscard]] bool looks_like_request(const void* data, std::size_t size);

/// True: `sent` is the result of sending the message, whose single piece is data[0..size).
[[nodiscard]] bool send_request(
    int socket, const void* data, std::size_t size, int flags, ssize_t& sent);

/// True: an answer of ours was the next message; `got` is the result.
[[nodiscard]] bool receive_answer(int socket, msghdr* message, int flags, ssize_t& got);

}  // namespace crema::preload
