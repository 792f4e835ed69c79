// SPDX-License-Identifier: BSD-3-Clause
#include "apps/common/metrics_server.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

namespace crema::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kClientsMax = 16;
constexpr std::size_t kHeadMax = 8192;  // bytes of a request's head
constexpr std::chrono::seconds kPatience{5};
constexpr int kBacklog = 16;
constexpr std::string_view kUnix = "unix:";

std::string answer(std::string_view status,
                   std::string_view type,
                   std::string_view body,
                   bool with_body = true) {
    return fmt::format(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
        status, type, body.size(), with_body ? body : std::string_view());
}

std::string refusal(std::string_view status, std::string_view why) {
    return answer(status, "text/plain; charset=utf-8", std::string(why) + "\n");
}

std::string lower(std::string_view text) {
    std::string all(text);
    std::ranges::transform(all, all.begin(), [](unsigned char letter) {
        return static_cast<char>(std::tolower(letter));
    });
    return all;
}

struct HostAndPort {
    std::string host = "127.0.0.1";
    std::string port;
};

Result<HostAndPort> host_and_port(const std::string& address) {
    HostAndPort parts;
    const std::size_t colon = address.rfind(':');
    parts.port = colon == std::string::npos ? address : address.substr(colon + 1);
    if (colon != std::string::npos) {
        parts.host = address.substr(0, colon);
        if (parts.host.size() >= 2 && parts.host.front() == '[' && parts.host.back() == ']') {
            parts.host = parts.host.substr(1, parts.host.size() - 2);
        }
    }
    const bool is_number = !parts.port.empty() && parts.port.size() <= 5 &&
                           std::ranges::all_of(parts.port, [](unsigned char letter) {
                               return std::isdigit(letter) != 0;
                           });
    if (parts.host.empty() || !is_number || std::stoi(parts.port) > UINT16_MAX) {
        return fail(EINVAL, "'{}' is no address: [HOST:]PORT or unix:PATH", address);
    }
    return parts;
}

Result<UniqueFd> listen_inet(const std::string& address) {
    const auto parts = host_and_port(address);
    if (!parts) {
        return forward_error(parts);
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (const int rc = ::getaddrinfo(parts->host.c_str(), parts->port.c_str(), &hints, &found);
        rc != 0) {
        return fail(EINVAL, "{}: {}", address, ::gai_strerror(rc));
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> held(found, ::freeaddrinfo);
    UniqueFd socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int one = 1;
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!socket.valid() || ::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0 ||
        ::listen(socket.get(), kBacklog) != 0) {
        const int code = errno;
        return fail(code, "{}: cannot listen there: {}", address, std::strerror(code));
    }
    return socket;
}

Result<UniqueFd> listen_unix(const std::string& path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof name.sun_path) {
        return fail(ENAMETOOLONG, "{}: a socket's path has 1 to {} letters", path,
                    sizeof name.sun_path - 1);
    }
    path.copy(static_cast<char*>(name.sun_path), path.size());
    const auto* const address = reinterpret_cast<const sockaddr*>(&name);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

    struct stat status {};

    if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
        if (::connect(socket.get(), address, sizeof name) == 0 || errno != ECONNREFUSED) {
            return fail(EADDRINUSE, "{}: another process listens there", path);
        }
        ::unlink(path.c_str());  // of one that ended without removing it
        socket.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    }
    if (!socket.valid() || ::bind(socket.get(), address, sizeof name) != 0 ||
        ::listen(socket.get(), kBacklog) != 0) {
        const int code = errno;
        return fail(code, "{}: cannot listen there: {}", path, std::strerror(code));
    }
    return socket;
}

std::string name_of(const UniqueFd& socket) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> port{};
    if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0 ||
        ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host.data(), host.size(),
                      port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return {};
    }
    const bool is_v6 = address.ss_family == AF_INET6;
    return fmt::format("{}{}{}:{}", is_v6 ? "[" : "", host.data(), is_v6 ? "]" : "", port.data());
}

}  // namespace

struct MetricsServer::Client {
    UniqueFd socket{};
    Clock::time_point deadline{};
    std::string head{};
    std::string answer{};
    std::size_t sent = 0;
};

Result<std::unique_ptr<MetricsServer>> MetricsServer::listen(const std::string& address,
                                                             Write write) {
    const bool is_unix = address.starts_with(kUnix);
    const std::string path = is_unix ? address.substr(kUnix.size()) : std::string();
    auto socket = is_unix ? listen_unix(path) : listen_inet(address);
    if (!socket) {
        return forward_error(socket);
    }
    UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
    if (!stop.valid()) {
        return fail(errno, "no eventfd for the metrics (errno {})", errno);
    }
    auto server = std::unique_ptr<MetricsServer>(
        new MetricsServer(std::move(write), std::move(*socket), std::move(stop)));
    server->path_ = path;
    server->address_ = is_unix ? address : name_of(server->listening_);
    server->thread_ = std::thread(&MetricsServer::work, server.get());
    return server;
}

MetricsServer::MetricsServer(Write write, UniqueFd listening, UniqueFd stop)
    : write_(std::move(write)), listening_(std::move(listening)), stop_(std::move(stop)) {}

MetricsServer::~MetricsServer() {
    const std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    if (thread_.joinable()) {
        thread_.join();
    }
    if (!path_.empty()) {
        ::unlink(path_.c_str());
    }
}

std::string MetricsServer::answer_to(std::string_view head) const {
    const std::size_t line_end = head.find("\r\n");
    const std::string_view line = head.substr(0, line_end);
    const std::size_t first = line.find(' ');
    const std::size_t second = line.find(' ', first == line.npos ? first : first + 1);
    if (first == line.npos || second == line.npos ||
        !line.substr(second + 1).starts_with("HTTP/1.")) {
        return refusal("400 Bad Request", "this is no HTTP/1 request");
    }
    const std::string_view method = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, second - first - 1);
    if (method != "GET" && method != "HEAD") {
        return refusal("405 Method Not Allowed", "only GET");
    }
    if (target.substr(0, target.find('?')) != "/metrics") {
        return refusal("404 Not Found", "there is /metrics");
    }
    const bool wants_open = lower(head).find("application/openmetrics-text") != std::string::npos;
    return answer("200 OK",
                  wants_open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                             : "text/plain; version=0.0.4; charset=utf-8",
                  write_(wants_open ? MetricsForm::open_metrics : MetricsForm::prometheus),
                  method == "GET");
}

bool MetricsServer::serve(Client& client) const {
    if (client.answer.empty()) {
        std::array<char, 2048> part{};
        const ssize_t bytes = ::recv(client.socket.get(), part.data(), part.size(), MSG_DONTWAIT);
        if (bytes == 0 || (bytes < 0 && errno != EAGAIN && errno != EINTR)) {
            return false;
        }
        client.head.append(part.data(), bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
        const std::size_t end = client.head.find("\r\n\r\n");
        if (end != std::string::npos) {
            client.answer = answer_to(std::string_view(client.head).substr(0, end + 2));
        } else if (client.head.size() > kHeadMax) {
            client.answer = refusal("431 Request Header Fields Too Large", "too long");
        } else {
            return true;
        }
    }
    const ssize_t bytes = ::send(client.socket.get(), client.answer.data() + client.sent,
                                 client.answer.size() - client.sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (bytes < 0 && errno != EAGAIN && errno != EINTR) {
        return false;
    }
    client.sent += bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
    if (client.sent != client.answer.size()) {
        return true;
    }
    (void)::shutdown(client.socket.get(), SHUT_WR);
    return false;
}

void MetricsServer::accept_all() {
    for (int taken = 0; taken < kBacklog; ++taken) {
        UniqueFd socket(
            ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket.valid()) {
            if (errno != EAGAIN && errno != EINTR) {
                constexpr int kPauseMs = 50;  // no descriptor is left: not at once again
                (void)::poll(nullptr, 0, kPauseMs);
            }
            return;
        }
        if (clients_.size() == kClientsMax) {
            clients_.pop_front();  // who has kept us waiting longest
        }
        Client& client = clients_.emplace_back();
        client.socket = std::move(socket);
        client.deadline = Clock::now() + kPatience;
    }
}

void MetricsServer::work() {
    constexpr int kLookMs = 500;
    for (;;) {
        std::vector<pollfd> waits = {{.fd = stop_.get(), .events = POLLIN, .revents = 0},
                                     {.fd = listening_.get(), .events = POLLIN, .revents = 0}};
        for (const Client& client : clients_) {
            const short events = client.answer.empty() ? POLLIN : POLLOUT;
            waits.push_back({.fd = client.socket.get(), .events = events, .revents = 0});
        }
        if (::poll(waits.data(), waits.size(), clients_.empty() ? -1 : kLookMs) < 0 &&
            errno != EINTR) {
            return;
        }
        if (waits[0].revents != 0) {
            return;
        }
        std::size_t i = 2;
        for (auto client = clients_.begin(); client != clients_.end();) {
            const bool is_ready = waits[i++].revents != 0;
            const bool goes_on = (!is_ready || serve(*client)) && Clock::now() < client->deadline;
            client = goes_on ? std::next(client) : clients_.erase(client);
        }
        if (waits[1].revents != 0) {
            accept_all();
        }
    }
}

}  // namespace crema::app
