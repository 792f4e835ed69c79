// SPDX-License-Identifier: BSD-3-Clause
//
// The socket functions of libc. All but rtnetlink requests about links goes to the kernel as it
// came; what comes back is looked at only while an answer of ours is under way.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/types.h>

#include "lib/ebpf/preload/netlink.h"
#include "lib/ebpf/preload/supervised.h"

namespace crema::preload {
namespace {

// Not plain system calls: a thread may be cancelled in these.
constinit std::atomic<void*> g_sendto{nullptr}, g_sendmsg{nullptr}, g_recvfrom{nullptr},
    g_recvmsg{nullptr};

ssize_t real_sendto(
    int socket, const void* data, size_t size, int flags, const sockaddr* to, socklen_t to_length) {
    return next_definition<decltype(&::sendto)>(g_sendto, "sendto")(socket, data, size, flags, to,
                                                                    to_length);
}

/// As send_request(), for a request in several pieces, whose first one has the header.
bool send_pieces(int socket, const msghdr& message, int flags, ssize_t& sent) {
    if (message.msg_iovlen == 0) {
        return false;
    }
    const iovec& first = message.msg_iov[0];
    if (message.msg_iovlen == 1) {
        return send_request(socket, first.iov_base, first.iov_len, flags, sent);
    }
    if (!looks_like_request(first.iov_base, first.iov_len)) {
        return false;
    }
    std::uint8_t whole[ebpf::supervise::kNetlinkBytesMax];
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < message.msg_iovlen; ++i) {
        const iovec& piece = message.msg_iov[i];
        if (piece.iov_len > sizeof whole - bytes) {
            return false;
        }
        std::memcpy(whole + bytes, piece.iov_base, piece.iov_len);
        bytes += piece.iov_len;
    }
    return send_request(socket, whole, bytes, flags, sent);
}

ssize_t receive(
    int socket, void* data, size_t size, int flags, sockaddr* from, socklen_t* from_length) {
    iovec piece = {.iov_base = data, .iov_len = size};
    msghdr message{};
    message.msg_name = from;
    message.msg_namelen = from != nullptr && from_length != nullptr ? *from_length : 0;
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    ssize_t got = 0;
    if (!receive_answer(socket, &message, flags, got)) {
        return next_definition<decltype(&::recvfrom)>(g_recvfrom, "recvfrom")(
            socket, data, size, flags, from, from_length);
    }
    if (from != nullptr && from_length != nullptr) {
        *from_length = message.msg_namelen;
    }
    return got;
}

}  // namespace
}  // namespace crema::preload

extern "C" {

[[gnu::visibility("default")]] ssize_t send(int socket, const void* data, size_t size, int flags) {
    ssize_t sent = 0;
    return crema::preload::send_request(socket, data, size, flags, sent)
               ? sent
               : crema::preload::real_sendto(socket, data, size, flags, nullptr, 0);
}

[[gnu::visibility("default")]] ssize_t sendto(int socket,
                                              const void* data,
                                              size_t size,
                                              int flags,
                                              const struct sockaddr* to,
                                              socklen_t to_length) {
    ssize_t sent = 0;
    return crema::preload::send_request(socket, data, size, flags, sent)
               ? sent
               : crema::preload::real_sendto(socket, data, size, flags, to, to_length);
}

[[gnu::visibility("default")]] ssize_t sendmsg(int socket,
                                               const struct msghdr* message,
                                               int flags) {
    ssize_t sent = 0;
    return message != nullptr && crema::preload::send_pieces(socket, *message, flags, sent)
               ? sent
               : crema::preload::next_definition<decltype(&::sendmsg)>(
                     crema::preload::g_sendmsg, "sendmsg")(socket, message, flags);
}

[[gnu::visibility("default")]] ssize_t recv(int socket, void* data, size_t size, int flags) {
    return crema::preload::receive(socket, data, size, flags, nullptr, nullptr);
}

[[gnu::visibility("default")]] ssize_t recvfrom(int socket,
                                                void* __restrict data,
                                                size_t size,
                                                int flags,
                                                struct sockaddr* __restrict from,
                                                socklen_t* __restrict from_length) {
    return crema::preload::receive(socket, data, size, flags, from, from_length);
}

[[gnu::visibility("default")]] ssize_t recvmsg(int socket, struct msghdr* message, int flags) {
    ssize_t got = 0;
    return message != nullptr && crema::preload::receive_answer(socket, message, flags, got)
               ? got
               : crema::preload::next_definition<decltype(&::recvmsg)>(
                     crema::preload::g_recvmsg, "recvmsg")(socket, message, flags);
}

// What the two above become in programs that are built with checks of buffers: the names are the
// C library's.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
[[gnu::visibility("default")]] ssize_t __recv_chk(
    int socket, void* data, size_t size, size_t room, int flags) {
    if (size > room) {
        ::abort();
    }
    return recv(socket, data, size, flags);
}

[[gnu::visibility("default")]] ssize_t __recvfrom_chk(int socket,
                                                      void* data,
                                                      size_t size,
                                                      size_t room,
                                                      int flags,
                                                      struct sockaddr* from,
                                                      socklen_t* from_length) {
    if (size > room) {
        ::abort();
    }
    return recvfrom(socket, data, size, flags, from, from_length);
}

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}
