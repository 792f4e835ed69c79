// SPDX-License-Identifier: BSD-3-Clause
//
// nlohmann-json may throw; requests are parsed without exceptions and every value is asked for its
// type before it is read.
#include "apps/common/watch_service.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <rte_cycles.h>

#include "lib/ebpf/syscall/object_ids.h"
#include "lib/xdp/attach.h"
#include "lib/xdp/capture.h"
#include "lib/xdp/events.h"

namespace crema::app {
namespace {

using Json = nlohmann::json;
using Programs = std::vector<std::shared_ptr<const ebpf::LoadedProgram>>;

constexpr std::size_t kClientsMax = 64;
constexpr std::size_t kRequestMax = std::size_t{1} << 17U;  // bytes; a filter has 4096 instructions
constexpr int kLookMs = 100;                                // programs change under a capture

/// Number under that name, or `otherwise`.
std::uint64_t number_in(const Json& request, const char* name, std::uint64_t otherwise) {
    const auto found = request.find(name);
    return found != request.end() && found->is_number_unsigned() ? found->get<std::uint64_t>()
                                                                 : otherwise;
}

bool flag_in(const Json& request, const char* name) {
    const auto found = request.find(name);
    return found != request.end() && found->is_boolean() && found->get<bool>();
}

std::string text_in(const Json& request, const char* name) {
    const auto found = request.find(name);
    return found != request.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Eight bytes of two digits each make an instruction, as they lie in memory.
std::optional<std::vector<xdp::FilterInsn>> filter_of(const std::string& digits) {
    constexpr std::size_t kDigits = 2 * sizeof(xdp::FilterInsn);
    if (digits.size() % kDigits != 0) {
        return std::nullopt;
    }
    std::vector<std::uint8_t> bytes;
    bytes.reserve(digits.size() / 2);
    constexpr std::string_view kAll = "0123456789abcdef";
    for (std::size_t i = 0; i < digits.size(); i += 2) {
        const std::size_t high = kAll.find(digits[i]);
        const std::size_t low = kAll.find(digits[i + 1]);
        if (high == std::string_view::npos || low == std::string_view::npos) {
            return std::nullopt;
        }
        bytes.push_back(static_cast<std::uint8_t>(high << 4U | low));
    }
    std::vector<xdp::FilterInsn> insns(bytes.size() / sizeof(xdp::FilterInsn));
    std::memcpy(insns.data(), bytes.data(), bytes.size());
    return insns;
}

/// What a capture is of: programs by number, or those on ports whatever they are.
struct Scope {
    std::uint32_t ifindex = 0;  // 0: all
    std::vector<std::uint32_t> programs;

    [[nodiscard]] Programs now() const {
        Programs found;
        for (const std::uint32_t id : programs) {
            using namespace ebpf::syscall;
            const auto object = object_ids::find(object_ids::Kind::program, id);
            if (const auto* held = object ? std::get_if<ProgramObject>(&*object) : nullptr) {
                found.push_back(held->program);
            }
        }
        for (std::uint16_t port_id = 0; programs.empty() && port_id < xdp::kPortsMax; ++port_id) {
            if (ifindex == 0 || ifindex == xdp::ifindex_of(port_id)) {
                for (auto& program : xdp::all_attached(port_id)) {
                    if (std::ranges::find(found, program) == found.end()) {
                        found.push_back(std::move(program));
                    }
                }
            }
        }
        return found;
    }
};

}  // namespace

struct WatchService::Client {
    UniqueFd socket{};
    std::string request{};
    std::string answer{};  // what was not taken yet
    int passed = -1;       // goes with its first byte; of somebody else
    std::unique_ptr<xdp::Capture> capture{};
    Scope scope{};  // of it
    std::optional<ebpf::run_stats::User> counts{};

    [[nodiscard]] Result<Json> start_capture(const Json& asked);
    [[nodiscard]] std::string answer_to(const std::string& line, const TakeSnapshot& snapshot);
    /// False: the client is gone, or says too much.
    [[nodiscard]] bool read();
    [[nodiscard]] bool write();
};

Result<Json> WatchService::Client::start_capture(const Json& asked) {
    if (capture != nullptr) {
        return fail(EBUSY, "a connection has one capture");
    }
    Scope wanted;
    wanted.ifindex = static_cast<std::uint32_t>(number_in(asked, "port", 0));
    if (wanted.ifindex != 0 && xdp::port_by_ifindex(wanted.ifindex) == nullptr) {
        return fail(ENODEV, "no port has ifindex {}", wanted.ifindex);
    }
    if (const auto list = asked.find("programs"); list != asked.end() && list->is_array()) {
        for (const Json& each : *list) {
            if (each.is_number_unsigned()) {
                wanted.programs.push_back(each.get<std::uint32_t>());
            }
        }
    }
    auto filter = filter_of(text_in(asked, "filter"));
    if (!filter) {
        return fail(EINVAL, "the filter is no valid classic BPF");
    }
    constexpr std::uint64_t kDefaultRing = std::uint64_t{4} << 20U;
    auto started =
        xdp::Capture::start({.at_entry = flag_in(asked, "entry"),
                             .at_exit = flag_in(asked, "exit"),
                             .ifindex = wanted.ifindex,
                             .snap_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                 number_in(asked, "snap", xdp::kCaptureSnapMax), UINT32_MAX)),
                             .ring_bytes = number_in(asked, "ring", kDefaultRing),
                             .filter = std::move(*filter)});
    if (!started) {
        return forward_error(started);
    }
    if (const Status watched = (*started)->watch(wanted.now()); !watched) {
        return forward_error(watched);
    }
    scope = std::move(wanted);
    capture = std::move(*started);
    passed = capture->fd();
    return Json{{"watched", capture->watched()}};
}

std::string WatchService::Client::answer_to(const std::string& line, const TakeSnapshot& snapshot) {
    const Json asked = Json::parse(line, nullptr, false);
    const std::string what = asked.is_object() ? text_in(asked, "ask") : std::string();
    Result<Json> answered = Json::object();
    if (what == "stats") {
        return to_json(snapshot());
    }
    if (what == "count_runs") {
        counts.emplace();
    } else if (what == "events") {
        passed = xdp::event_board() != nullptr ? xdp::event_board_fd() : -1;
        answered = passed >= 0 ? Result<Json>(Json{{"tsc_hz", rte_get_tsc_hz()}})
                               : Result<Json>(fail(ENOMEM, "there is no board of events"));
    } else if (what == "capture") {
        answered = start_capture(asked);
    } else {
        answered = fail(EINVAL, "nothing like '{}' can be asked for", what.substr(0, 40));
    }
    return (answered ? *answered : Json{{"error", answered.error().message}})
        .dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool WatchService::Client::read() {
    std::array<char, 16384> part;
    for (;;) {
        const ssize_t bytes = ::recv(socket.get(), part.data(), part.size(), MSG_DONTWAIT);
        if (bytes < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        if (bytes == 0) {
            return false;
        }
        request.append(part.data(), static_cast<std::size_t>(bytes));
        if (request.size() > kRequestMax) {
            return false;
        }
    }
}

bool WatchService::Client::write() {
    while (!answer.empty()) {
        iovec data{.iov_base = answer.data(), .iov_len = answer.size()};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        if (passed >= 0) {
            message.msg_control = control.data();
            message.msg_controllen = control.size();
            cmsghdr* const header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof(int));
            std::memcpy(CMSG_DATA(header), &passed, sizeof passed);
        }
        const ssize_t bytes = ::sendmsg(socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (bytes < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        passed = -1;
        answer.erase(0, static_cast<std::size_t>(bytes));
    }
    return true;
}

Result<std::unique_ptr<WatchService>> WatchService::start(TakeSnapshot take) {
    UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake.valid()) {
        return fail(errno, "no eventfd for who watches (errno {})", errno);
    }
    auto service =
        std::unique_ptr<WatchService>(new WatchService(std::move(take), std::move(wake)));
    service->thread_ = std::thread(&WatchService::work, service.get());
    return service;
}

WatchService::WatchService(TakeSnapshot take, UniqueFd wake)
    : snapshot_(std::move(take)), wake_(std::move(wake)) {}

WatchService::~WatchService() {
    {
        const std::scoped_lock guard(mutex_);
        stop_ = true;
    }
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
    thread_.join();
}

void WatchService::take(UniqueFd connection) {
    {
        const std::scoped_lock guard(mutex_);
        arrived_.push_back(std::move(connection));
    }
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
}

void WatchService::adopt() {
    std::vector<UniqueFd> arrived;
    {
        const std::scoped_lock guard(mutex_);
        arrived = std::exchange(arrived_, {});
    }
    for (UniqueFd& connection : arrived) {
        if (clients_.size() < kClientsMax) {
            clients_.emplace_back().socket = std::move(connection);
        }
    }
}

/// Captures of a port are of the programs that are there now.
void WatchService::follow_programs() {
    for (Client& client : clients_) {
        if (client.capture != nullptr) {
            (void)client.capture->watch(client.scope.now());
        }
    }
}

bool WatchService::serve(Client& client, short events) {
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && !client.read()) {
        return false;
    }
    // Who does not take an answer gets no other.
    for (std::size_t end = 0;
         client.answer.empty() && (end = client.request.find('\n')) != std::string::npos;) {
        const std::string line = client.request.substr(0, end);
        client.request.erase(0, end + 1);
        client.answer = client.answer_to(line, snapshot_) + "\n";
        if (!client.write()) {
            return false;
        }
    }
    return client.write();
}

void WatchService::work() {
    for (;;) {
        std::vector<pollfd> waits = {{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
        bool has_capture = false;
        for (const Client& client : clients_) {
            const short events = client.answer.empty() ? POLLIN : POLLOUT;
            waits.push_back({.fd = client.socket.get(), .events = events, .revents = 0});
            has_capture = has_capture || client.capture != nullptr;
        }
        if (::poll(waits.data(), waits.size(), has_capture ? kLookMs : -1) < 0 && errno != EINTR) {
            break;
        }
        {
            const std::scoped_lock guard(mutex_);
            if (stop_) {
                break;
            }
        }
        std::size_t i = 1;
        for (auto client = clients_.begin(); client != clients_.end();) {
            const short events = waits[i++].revents;
            client =
                events != 0 && !serve(*client, events) ? clients_.erase(client) : std::next(client);
        }
        std::uint64_t count = 0;
        (void)!::read(wake_.get(), &count, sizeof count);
        adopt();
        follow_programs();
    }
    clients_.clear();
}

}  // namespace crema::app
