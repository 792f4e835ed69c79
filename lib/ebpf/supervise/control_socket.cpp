// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/supervise/control_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <linux/seccomp.h>

#include "lib/base/log.h"
#include "lib/ebpf/supervise/trap.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/pins.h"
#include "lib/ebpf/syscall/run_stats.h"

namespace crema::ebpf::supervise {
namespace {

constexpr std::size_t kClientsMax = 32;  // that have not said what they want
constexpr std::size_t kSupervisorsMax = 64;
constexpr std::int64_t kPatienceMs = 3000;
constexpr char kErrorMark[] = "error: ";

std::int64_t now_ms() {
    using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::steady_clock;
    return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return fail(ENAMETOOLONG, "{}: a socket's path has 1 to {} letters", path,
                    sizeof address.sun_path - 1);
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

UniqueFd new_socket() {
    return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

bool connects(const UniqueFd& socket, const sockaddr_un& address) {
    return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
           0;
}

bool is_for_us(int socket) {
    ucred peer{};
    socklen_t length = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == ::geteuid() || peer.uid == 0);
}

/// A descriptor of seccomp answers that it knows no such call; others do not know the question.
bool is_trap(int fd) {
    std::uint64_t no_call = 0;
    return ::ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &no_call) != 0 && errno == ENOENT;
}

/// The rights of the socket are set before anybody can connect.
bool bind_private(int socket, const sockaddr_un& address) {
    constexpr mode_t kOthers = 0177;
    const mode_t before = ::umask(kOthers);
    const int result = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int code = errno;
    ::umask(before);
    errno = code;
    return result == 0;
}

}  // namespace

Result<std::unique_ptr<ControlSocket>> ControlSocket::listen(const std::string& path,
                                                             Guests guests) {
    const auto address = address_of(path);
    if (!address) {
        return forward_error(address);
    }
    UniqueFd socket = new_socket();
    if (connects(socket, *address)) {
        return fail(EADDRINUSE, "{}: another process listens there", path);
    }

    struct stat status {};

    if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
        ::unlink(path.c_str());  // of one that ended without removing it
    }
    socket = new_socket();
    UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
    constexpr int kBacklog = 16;
    if (!stop.valid() || !bind_private(socket.get(), *address) ||
        ::listen(socket.get(), kBacklog) != 0) {
        const int code = errno;
        return fail(code, "{}: no socket can be made there (errno {})", path, code);
    }
    std::unique_ptr<ControlSocket> made(
        new ControlSocket(path, std::move(guests), std::move(socket), std::move(stop)));
    constexpr mode_t kOwnerOnly = 0700;
    if (::mkdir(made->folder_.c_str(), kOwnerOnly) != 0 && errno != EEXIST) {
        const int code = errno;
        return fail(code, "{}: no folder for pins can be made there (errno {})", made->folder_,
                    code);
    }
    if (const Status named = syscall::pins::set_directory(made->folder_); !named) {
        return forward_error(named);
    }
    made->thread_ = std::thread(&ControlSocket::work, made.get());
    return made;
}

ControlSocket::ControlSocket(std::string path, Guests guests, UniqueFd listening, UniqueFd stop)
    : path_(std::move(path)),
      folder_(path_ + ".bpffs"),
      guests_(std::move(guests)),
      listening_(std::move(listening)),
      stop_(std::move(stop)) {}

ControlSocket::~ControlSocket() {
    const std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    if (thread_.joinable()) {
        thread_.join();
    }
    supervisors_.clear();
    syscall::pins::clear();
    syscall::object_store::remove_all_of(syscall::object_store::kDescriptors);
    ::unlink(path_.c_str());
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

void ControlSocket::work() {
    constexpr int kLookMs = 500;
    for (;;) {
        std::vector<pollfd> waits = {{.fd = stop_.get(), .events = POLLIN, .revents = 0},
                                     {.fd = listening_.get(), .events = POLLIN, .revents = 0}};
        for (const Client& client : clients_) {
            waits.push_back({.fd = client.socket.get(), .events = POLLIN, .revents = 0});
        }
        if (::poll(waits.data(), waits.size(), kLookMs) < 0 && errno != EINTR) {
            return;
        }
        if (waits[0].revents != 0) {
            return;
        }
        for (std::size_t i = clients_.size(); i-- > 0;) {
            const bool speaks = waits[2 + i].revents != 0;
            if (speaks) {
                serve(clients_[i]);
            }
            if (speaks || now_ms() > clients_[i].deadline_ms) {
                clients_.erase(clients_.begin() + static_cast<std::ptrdiff_t>(i));
            }
        }
        if (waits[1].revents != 0) {
            accept_one();
        }
        std::erase_if(supervisors_, [](const auto& one) { return one->finished(); });
        run_stats::follow_sysctl();
        collect_objects();
    }
}

void ControlSocket::accept_one() {
    UniqueFd socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid() || !is_for_us(socket.get())) {
        return;
    }
    if (clients_.size() == kClientsMax) {
        clients_.erase(clients_.begin());  // who has kept us waiting longest
    }
    clients_.push_back({std::move(socket), now_ms() + kPatienceMs});
}

std::string ControlSocket::answer_to(const Client& client) {
    auto listener = receive_descriptor(client.socket.get());
    if (!listener) {
        return kErrorMark + listener.error().message;
    }
    if (!is_trap(listener->get())) {
        return std::string(kErrorMark) + "the descriptor is not that of a trap";
    }
    if (supervisors_.size() == kSupervisorsMax) {
        return std::string(kErrorMark) + "too many commands at the same time";
    }
    auto supervisor = Supervisor::start(std::move(*listener), {});
    if (!supervisor) {
        return kErrorMark + supervisor.error().message;
    }
    supervisors_.push_back(std::move(*supervisor));
    std::error_code ignored;
    return std::filesystem::absolute(folder_, ignored).string();
}

void ControlSocket::serve(Client& client) {
    char first = 0;
    if (guests_ && ::recv(client.socket.get(), &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1 &&
        first == kGuestMark) {
        guests_(std::move(client.socket));
        return;
    }
    const std::string line = answer_to(client) + "\n";
    // A new socket takes a line at once; who left does not want it.
    (void)::send(client.socket.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

Result<UniqueFd> reach(const std::string& path) {
    const auto address = address_of(path);
    if (!address) {
        return forward_error(address);
    }
    UniqueFd socket = new_socket();
    if (!connects(socket, *address)) {
        const int code = errno;
        return fail(code, "{}: nobody serves there: {}", path, std::strerror(code));
    }
    return socket;
}

Result<std::string> hand_over(const std::string& path, const UniqueFd& listener) {
    const auto connected = reach(path);
    if (!connected) {
        return forward_error(connected);
    }
    const UniqueFd& socket = *connected;
    if (const Status sent = send_descriptor(socket.get(), listener.get()); !sent) {
        return forward_error(sent);
    }
    std::string line;
    std::array<char, 512> part{};
    while (line.find('\n') == std::string::npos) {
        const ssize_t bytes = ::recv(socket.get(), part.data(), part.size(), 0);
        if (bytes <= 0) {
            return fail(ECONNRESET, "{}: the other side left without an answer", path);
        }
        line.append(part.data(), static_cast<std::size_t>(bytes));
    }
    line.resize(line.find('\n'));
    if (line.starts_with(kErrorMark)) {
        return fail(EPROTO, "{}: {}", path, line.substr(sizeof kErrorMark - 1));
    }
    return line;
}

}  // namespace crema::ebpf::supervise
