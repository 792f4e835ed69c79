// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/watch_client.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>

#include "lib/ebpf/supervise/control_socket.h"

namespace crema::command {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kPatienceMs = 10'000;

tl::unexpected<Error> has_ended(const std::string& path) {
    return fail(ECONNRESET, "{}: the data path has ended", path);
}

/// The first descriptor of a message; others are closed.
UniqueFd descriptor_in(msghdr& message) {
    UniqueFd first;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= part->cmsg_len; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, reinterpret_cast<const char*>(part) + at, sizeof fd);
            UniqueFd held(fd);
            if (!first.valid()) {
                first = std::move(held);
            }
        }
    }
    return first;
}

}  // namespace

Result<WatchClient> WatchClient::join(const std::string& path) {
    auto socket = ebpf::supervise::reach(path);
    if (!socket) {
        return forward_error(socket);
    }
    return WatchClient(path, std::move(*socket));
}

Status WatchClient::send(const std::string& line) const {
    for (std::size_t sent = 0; sent < line.size();) {
        const ssize_t bytes =
            ::send(socket_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
        if (bytes < 0 && errno != EINTR) {
            return has_ended(path_);
        }
        sent += bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
    }
    return {};
}

Result<std::string> WatchClient::receive() {
    std::size_t end = 0;
    while ((end = rest_.find('\n')) == std::string::npos) {
        pollfd wait{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        const int ready = ::poll(&wait, 1, kPatienceMs);
        if (ready == 0) {
            return fail(ETIMEDOUT, "{}: the data path does not answer", path_);
        }
        std::array<char, 65536> part;
        iovec data{.iov_base = part.data(), .iov_len = part.size()};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> control{};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const ssize_t bytes =
            ready > 0 ? ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) : -1;
        if (bytes < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (bytes <= 0) {
            return has_ended(path_);
        }
        if (UniqueFd passed = descriptor_in(message); passed.valid()) {
            passed_ = std::move(passed);
        }
        rest_.append(part.data(), static_cast<std::size_t>(bytes));
    }
    std::string line = rest_.substr(0, end);
    rest_.erase(0, end + 1);
    return line;
}

Result<Json> WatchClient::ask(const Json& request) {
    passed_.reset();
    if (const Status sent = send(request.dump() + "\n"); !sent) {
        return forward_error(sent);
    }
    const auto line = receive();
    if (!line) {
        return forward_error(line);
    }
    Json answer = Json::parse(*line, nullptr, false);
    if (!answer.is_object()) {
        return fail(EPROTO, "{}: what answers there is no data path of this version", path_);
    }
    if (const auto error = answer.find("error"); error != answer.end() && error->is_string()) {
        return fail(EINVAL, "{}", error->get<std::string>());
    }
    return answer;
}

bool WatchClient::is_alive() const {
    pollfd look{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&look, 1, 0) == 0;
}

}  // namespace crema::command
