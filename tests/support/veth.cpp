// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/veth.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>

namespace crema::test {
namespace {

Status ip(const std::string& words) {
    std::vector<std::string> command = {"ip"};
    for (std::size_t at = 0; at < words.size();) {
        const std::size_t end = std::min(words.find(' ', at), words.size());
        command.push_back(words.substr(at, end - at));
        at = end + 1;
    }
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (std::string& word : command) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    pid_t child = 0;
    int status = 0;
    if (posix_spawnp(&child, "ip", nullptr, nullptr, arguments.data(), environ) != 0 ||
        waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return fail(EOPNOTSUPP, "`ip {}` failed: is iproute2 installed, and veth in the kernel?",
                    words);
    }
    return {};
}

/// No neighbour discovery: only the test's frames are on the wires.
void silence_ipv6() {
    for (const char* which : {"all", "default"}) {
        const std::string path = fmt::format("/proc/sys/net/ipv6/conf/{}/disable_ipv6", which);
        if (FILE* file = std::fopen(path.c_str(), "we"); file != nullptr) {
            (void)std::fputs("1", file);
            (void)std::fclose(file);
        }
    }
}

/// One request of ethtool(8)'s ioctl; false when the driver does not know it.
bool ask_ethtool(int socket, const std::string& interface, void* request) {
    ifreq wanted{};
    std::strncpy(wanted.ifr_name, interface.c_str(), IFNAMSIZ - 1);
    wanted.ifr_data = static_cast<char*>(request);
    return ::ioctl(socket, SIOCETHTOOL, &wanted) == 0;
}

}  // namespace

Result<std::unique_ptr<Veths>> Veths::make(std::uint32_t first_ifindex,
                                           std::uint32_t pairs,
                                           std::uint32_t mtu) {
    if (unshare(CLONE_NEWNET) != 0) {
        return fail(errno, "no network namespace of our own ({}): run as root",
                    std::strerror(errno));
    }
    silence_ipv6();
    auto made = std::unique_ptr<Veths>(new Veths(first_ifindex));
    for (std::uint32_t pair = 0; pair < pairs; ++pair) {
        if (Status added = made->add(pair, mtu); !added) {
            return forward_error(added);
        }
    }
    return made;
}

Status Veths::add(std::uint32_t pair, std::uint32_t mtu) const {
    if (Status made =
            ip(fmt::format("link add near{0} index {1} mtu {3} type veth peer name far{0} "
                           "index {2} mtu {3}",
                           pair, near_ifindex(pair), far_ifindex(pair), mtu));
        !made) {
        return made;
    }
    if (Status up = ip(fmt::format("link set far{} up", pair)); !up) {
        return up;
    }
    return set_up(pair, true);
}

Status Veths::remove(std::uint32_t pair) const {
    return ip(fmt::format("link del near{}", pair));
}

Status Veths::set_up(std::uint32_t pair, bool up) const {
    return ip(fmt::format("link set near{} {}", pair, up ? "up" : "down"));
}

Status Veths::set_mtu(std::uint32_t pair, std::uint32_t mtu) const {
    return ip(fmt::format("link set near{} mtu {}", pair, mtu));
}

Result<PacketSocket> PacketSocket::open(std::uint32_t ifindex) {
    UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    constexpr int kRoom = 16 << 20;
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(ifindex);
    if (!fd.valid() ||
        ::setsockopt(fd.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0 ||
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kRoom, sizeof kRoom) != 0 ||
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return fail(errno, "no raw socket on interface {}: {}", ifindex, std::strerror(errno));
    }
    return PacketSocket(std::move(fd));
}

Status PacketSocket::send(const std::vector<std::uint8_t>& frame) const {
    if (::send(fd_.get(), frame.data(), frame.size(), 0) != static_cast<ssize_t>(frame.size())) {
        return fail(errno, "a frame of {} bytes cannot be sent: {}", frame.size(),
                    std::strerror(errno));
    }
    return {};
}

std::optional<std::vector<std::uint8_t>> PacketSocket::receive() const {
    std::vector<std::uint8_t> frame(65536);
    const ssize_t got = ::recv(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT);
    if (got < 0) {
        return std::nullopt;
    }
    frame.resize(static_cast<std::size_t>(got));
    return frame;
}

std::vector<std::pair<std::string, std::uint64_t>> ethtool_counters(const std::string& interface) {
    std::vector<std::pair<std::string, std::uint64_t>> found;
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    if (!socket.valid() || !ask_ethtool(socket.get(), interface, &info)) {
        return found;
    }
    // Both requests end in an array of info.n_stats elements.
    std::vector<std::uint8_t> names(sizeof(ethtool_gstrings) + info.n_stats * ETH_GSTRING_LEN);
    auto* const strings = reinterpret_cast<ethtool_gstrings*>(names.data());
    strings->cmd = ETHTOOL_GSTRINGS;
    strings->string_set = ETH_SS_STATS;
    strings->len = info.n_stats;
    std::vector<std::uint64_t> values(sizeof(ethtool_stats) / 8 + info.n_stats);
    auto* const stats = reinterpret_cast<ethtool_stats*>(values.data());
    stats->cmd = ETHTOOL_GSTATS;
    stats->n_stats = info.n_stats;
    if (!ask_ethtool(socket.get(), interface, strings) ||
        !ask_ethtool(socket.get(), interface, stats)) {
        return found;
    }
    for (std::uint32_t i = 0; i < info.n_stats; ++i) {
        const auto* const name = reinterpret_cast<const char*>(names.data()) +
                                 sizeof(ethtool_gstrings) + i * std::size_t{ETH_GSTRING_LEN};
        const std::uint64_t value = values[sizeof(ethtool_stats) / 8 + i];
        if (value != 0) {
            found.emplace_back(std::string(name, strnlen(name, ETH_GSTRING_LEN)), value);
        }
    }
    return found;
}

}  // namespace crema::test
