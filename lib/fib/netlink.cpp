// SPDX-License-Identifier: BSD-3-Clause
#include "lib/fib/netlink.h"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <vector>

namespace crema::fib {

namespace {

constexpr std::size_t kReceiveBytes = 64 * 1024;
constexpr int kSocketBufferBytes = 1 << 20;

struct Request {
    nlmsghdr header;
    rtgenmsg body;
};

Status send_request(int fd, std::uint16_t type) {
    Request request{};
    request.header.nlmsg_len = NLMSG_LENGTH(sizeof request.body);
    request.header.nlmsg_type = type;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.header.nlmsg_seq = 1;
    request.body.rtgen_family = AF_UNSPEC;
    if (send(fd, &request, request.header.nlmsg_len, 0) < 0) {
        return fail(errno, "rtnetlink request {}: errno {}", type, errno);
    }
    return {};
}

}  // namespace

Result<UniqueFd> open_netlink(std::span<const std::uint32_t> groups) {
    UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd.valid()) {
        return fail(errno, "rtnetlink socket: errno {}", errno);
    }
    // Best effort: a small buffer loses notifications, which only costs another dump.
    (void)setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kSocketBufferBytes,
                     sizeof kSocketBufferBytes);
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    (void)setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return fail(errno, "rtnetlink bind: errno {}", errno);
    }
    for (const std::uint32_t group : groups) {
        if (setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
            return fail(errno, "rtnetlink group {}: errno {}", group, errno);
        }
    }
    return fd;
}

Status dump(int fd, std::uint16_t request, const std::function<void(const Message&)>& take) {
    if (auto sent = send_request(fd, request); !sent) {
        return sent;
    }
    std::vector<std::uint8_t> buffer(kReceiveBytes);
    for (;;) {
        const ssize_t received = recv(fd, buffer.data(), buffer.size(), MSG_TRUNC);
        if (received < 0 && errno == EINTR) {
            continue;
        }
        if (received < 0) {
            return fail(errno, "rtnetlink dump {}: errno {}", request, errno);
        }
        auto bytes = static_cast<std::size_t>(received);
        if (bytes > buffer.size()) {
            return fail(EMSGSIZE, "rtnetlink dump {}: a message of {} bytes", request, bytes);
        }
        const std::uint8_t* at = buffer.data();
        while (bytes >= sizeof(nlmsghdr)) {
            nlmsghdr header{};
            std::memcpy(&header, at, sizeof header);
            if (header.nlmsg_len < sizeof header || header.nlmsg_len > bytes) {
                return fail(EBADMSG, "rtnetlink dump {}: a broken message", request);
            }
            if (header.nlmsg_type == NLMSG_DONE) {
                return {};
            }
            const Bytes payload(at + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN);
            if (header.nlmsg_type == NLMSG_ERROR) {
                const int error = -number_in<int>(payload);
                return fail(error, "rtnetlink dump {}: errno {}", request, error);
            }
            take({.type = header.nlmsg_type, .payload = payload});
            const std::size_t step = NLMSG_ALIGN(header.nlmsg_len);
            at += std::min(step, bytes);
            bytes -= std::min(step, bytes);
        }
    }
}

void for_each_attribute(Bytes bytes, const std::function<void(std::uint16_t, Bytes)>& take) {
    while (bytes.size() >= sizeof(rtattr)) {
        rtattr attribute{};
        std::memcpy(&attribute, bytes.data(), sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > bytes.size()) {
            return;
        }
        take(attribute.rta_type & NLA_TYPE_MASK,
             bytes.subspan(sizeof attribute, attribute.rta_len - sizeof attribute));
        bytes = bytes.subspan(std::min<std::size_t>(RTA_ALIGN(attribute.rta_len), bytes.size()));
    }
}

}  // namespace crema::fib
