// SPDX-License-Identifier: BSD-3-Clause
//
// See channel.h. A header is read first, with room for descriptors, then exactly the rest: so a
// descriptor never belongs to two messages.
#include "lib/vfio/user/channel.h"

#include <cerrno>
#include <cstring>
#include <poll.h>

namespace crema::vfio::user {
namespace {

constexpr int kRoomWaitMs = 1000;

}  // namespace

Channel::Channel(UniqueFd socket)
    : socket_(std::move(socket)), buffer_(sizeof(Header) + kPayloadMax) {}

void Channel::shut() {
    (void)::shutdown(socket_.get(), SHUT_RDWR);
}

// False: more descriptors than a message may have. Those that came are owned either way.
bool Channel::keep_fds(const msghdr& message) {
    bool fits = (message.msg_flags & MSG_CTRUNC) == 0;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(const_cast<msghdr*>(&message), part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
            fits = fds_.add(UniqueFd(fd)) && fits;
        }
    }
    return fits;
}

Channel::Outcome Channel::read_some(std::size_t wanted) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kFdsMax * sizeof(int))> control{};
    iovec data{buffer_.data() + have_, wanted - have_};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t got = -1;
    do {
        got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got == 0) {
        return Outcome::closed;
    }
    if (got < 0) {
        if (errno == EAGAIN) {
            return Outcome::nothing;
        }
        why_ = std::strerror(errno);
        return errno == ECONNRESET ? Outcome::closed : Outcome::broken;
    }
    have_ += static_cast<std::size_t>(got);
    if (!keep_fds(message)) {
        why_ = fmt::format("a message with more than {} descriptors", kFdsMax);
        return Outcome::broken;
    }
    return Outcome::message;
}

Channel::Outcome Channel::receive() {
    if (whole_) {
        whole_ = false;
        have_ = 0;
        fds_.clear();
    }
    while (have_ < sizeof(Header)) {
        if (const Outcome read = read_some(sizeof(Header)); read != Outcome::message) {
            return read;
        }
    }
    std::memcpy(&header_, buffer_.data(), sizeof(Header));
    if (header_.bytes < sizeof(Header) || header_.bytes > sizeof(Header) + kPayloadMax) {
        why_ = fmt::format("a message of {} bytes", header_.bytes);
        return Outcome::broken;
    }
    while (have_ < header_.bytes) {
        if (const Outcome read = read_some(header_.bytes); read != Outcome::message) {
            return read;
        }
    }
    whole_ = true;
    return Outcome::message;
}

bool Channel::wait_for_room() {
    pollfd wait{socket_.get(), POLLOUT, 0};
    return ::poll(&wait, 1, kRoomWaitMs) == 1;
}

Status Channel::send(Header header,
                     std::span<const std::uint8_t> first,
                     std::span<const std::uint8_t> second,
                     int fd) {
    header.bytes = static_cast<std::uint32_t>(sizeof(Header) + first.size() + second.size());
    std::array<iovec, 3> parts{{{&header, sizeof(header)},
                                {const_cast<std::uint8_t*>(first.data()), first.size()},
                                {const_cast<std::uint8_t*>(second.data()), second.size()}}};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    if (fd >= 0) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* const right = CMSG_FIRSTHDR(&message);
        right->cmsg_level = SOL_SOCKET;
        right->cmsg_type = SCM_RIGHTS;
        right->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(right), &fd, sizeof(int));
    }
    for (;;) {
        const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && errno == EAGAIN) {
            if (!wait_for_room()) {
                return fail(ETIMEDOUT, "the peer takes no message for {} ms", kRoomWaitMs);
            }
            continue;
        }
        if (sent < 0) {
            return fail(errno, "{}", std::strerror(errno));
        }
        // What was sent falls off the front; descriptors went with its first byte.
        message.msg_control = nullptr;
        message.msg_controllen = 0;
        auto rest = static_cast<std::size_t>(sent);
        while (message.msg_iovlen != 0 && rest >= message.msg_iov->iov_len) {
            rest -= message.msg_iov->iov_len;
            ++message.msg_iov;
            --message.msg_iovlen;
        }
        if (message.msg_iovlen == 0) {
            return {};
        }
        message.msg_iov->iov_base = static_cast<char*>(message.msg_iov->iov_base) + rest;
        message.msg_iov->iov_len -= rest;
    }
}

}  // namespace crema::vfio::user
