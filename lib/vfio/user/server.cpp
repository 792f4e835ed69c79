// SPDX-License-Identifier: BSD-3-Clause
//
// See server.h.
#include "lib/vfio/user/server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/base/log.h"

namespace crema::vfio::user {
namespace {

constexpr std::int64_t kLookNs = 100'000'000;  // how long a stop may go unnoticed
constexpr unsigned kMessagesAtOnce = 64;       // then the device has its turn
// A driver that polls asks again at once: falling asleep between its questions would cost more.
constexpr unsigned kIdleRoundsMax = 200;

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        return fail(EINVAL, "socket {}: want a path of 1 to {} characters", path,
                    sizeof(address.sun_path) - 1);
    }
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    return address;
}

/// A socket file that nobody listens at is what a killed server left.
bool is_left_over(const sockaddr_un& address) {
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
               0 &&
           errno == ECONNREFUSED;
}

Result<UniqueFd> listen_at(const std::string& path) {
    const auto address = address_of(path);
    if (!address) {
        return forward_error(address);
    }
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto bind = [&] {
        return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address),
                      sizeof(*address)) == 0;
    };
    bool bound = bind();
    if (!bound && errno == EADDRINUSE && is_left_over(*address)) {
        (void)::unlink(path.c_str());
        bound = bind();
    }
    if (!bound || ::listen(socket.get(), 1) != 0) {
        const int error = errno;
        return fail(error, "socket {}: cannot listen: {}", path, std::strerror(error));
    }
    return socket;
}

timespec timespec_of(std::int64_t ns) {
    return {ns / 1'000'000'000, ns % 1'000'000'000};
}

}  // namespace

Server::Server(std::string path, UniqueFd socket, Flavour flavour)
    : path_(std::move(path)), socket_(std::move(socket)), flavour_(flavour) {
    reply_.reserve(kPayloadMax);
}

Server::~Server() {
    (void)::unlink(path_.c_str());
}

Result<std::unique_ptr<Server>> Server::create(const std::string& path,
                                               Flavour flavour,
                                               const std::string& chip,
                                               const ModelArgs& args) {
    auto socket = listen_at(path);
    if (!socket) {
        return forward_error(socket);
    }
    std::unique_ptr<Server> server(new Server(path, std::move(*socket), flavour));
    auto model = make_servable(chip, server->memory_, args);
    if (!model) {
        return forward_error(model);
    }
    server->model_ = std::move(*model);
    return server;
}

void Server::run(const std::atomic<bool>& stop) {
    const GuestMemory::Guard guard(memory_);
    while (!stop.load(std::memory_order_acquire)) {
        pollfd wait{socket_.get(), POLLIN, 0};
        const timespec look = timespec_of(kLookNs);
        if (::ppoll(&wait, 1, &look, nullptr) != 1) {
            continue;
        }
        UniqueFd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (client.valid()) {
            clients_.fetch_add(1, std::memory_order_relaxed);
            serve(std::move(client), stop);
        }
    }
}

void Server::serve(UniqueFd client, const std::atomic<bool>& stop) {
    Channel channel(std::move(client));
    Session session(*model_, memory_, flavour_);
    const std::uint64_t faults = model_->driver_faults();
    why_ = "the server ends";
    unsigned idle_rounds = 0;
    while (!stop.load(std::memory_order_relaxed)) {
        bool busy = false;
        if (!take_messages(channel, session, busy)) {
            break;
        }
        busy = model_->advance() || busy;
        if (memory_.broken()) {
            why_ = "a file of its memory has become shorter";
            break;
        }
        session.update_interrupt();
        idle_rounds = busy ? 0 : idle_rounds + 1;
        if (idle_rounds >= kIdleRoundsMax) {
            sleep(channel);
        }
    }
    memory_.clear();
    model_->power_cycle();
    ranges_.store(0, std::memory_order_relaxed);
    const Session::Counts& counts = session.counts();
    log::notice(
        "{}: client {} gone ({}): {} register reads, {} writes, {} interrupts, {} messages "
        "refused, {} driver faults",
        path_, clients(), why_, counts.register_reads, counts.register_writes, counts.interrupts,
        counts.refused, model_->driver_faults() - faults);
    if (const std::string injected = model_->injected_faults(); !injected.empty()) {
        log::notice("{}: injected so far: {}", path_, injected);
    }
}

// False: the connection is over.
bool Server::take_messages(Channel& channel, Session& session, bool& busy) {
    for (unsigned taken = 0; taken < kMessagesAtOnce; ++taken) {
        switch (channel.receive()) {
            case Channel::Outcome::nothing:
                return true;
            case Channel::Outcome::closed:
                why_ = "it closed the connection";
                return false;
            case Channel::Outcome::broken:
                why_ = channel.why();
                return false;
            case Channel::Outcome::message:
                busy = true;
                if (!answer(channel, session)) {
                    return false;
                }
                break;
        }
    }
    return true;
}

bool Server::answer(Channel& channel, Session& session) {
    const Header& asked = channel.header();
    if ((asked.flags & kTypeMask) != kTypeCommand) {
        why_ = "it answered without a question";
        return false;
    }
    const int error = session.handle(asked.command, channel.payload(), channel.fds(), reply_);
    ranges_.store(memory_.ranges(), std::memory_order_relaxed);
    if ((asked.flags & kNoReply) != 0) {
        return true;
    }
    Header header{.id = asked.id, .command = asked.command, .flags = kTypeReply};
    if (error != 0) {
        header.flags |= kError;
        header.error = static_cast<std::uint32_t>(error);
    }
    if (const Status sent = channel.send(header, reply_); !sent) {
        why_ = sent.error().message;
        return false;
    }
    return true;
}

void Server::sleep(const Channel& channel) {
    const Servable::Idle idle = model_->idle();
    std::array<pollfd, 2> waits{{{channel.fd(), POLLIN, 0}, {idle.fd, POLLIN, 0}}};
    const timespec time = timespec_of(std::min(idle.ns, kLookNs));
    (void)::ppoll(waits.data(), waits.size(), &time, nullptr);
}

}  // namespace crema::vfio::user
