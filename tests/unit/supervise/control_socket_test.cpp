// SPDX-License-Identifier: BSD-3-Clause
//
// The control socket and clients that mean harm: garbage, other descriptors than wanted, many of
// them, silence, leaving in the middle, all of it from several threads at once. It goes on
// answering, and every descriptor is closed afterwards. CREMA_TEST_ROUNDS multiplies the clients.
#include "lib/ebpf/supervise/control_socket.h"

#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "lib/base/unique_fd.h"
#include "tests/support/open_files.h"
#include "tests/support/rounds.h"

namespace crema::ebpf::supervise {
namespace {

using namespace std::chrono_literals;

/// The right of another thread to be served is its own matter: a full backlog is waited for.
UniqueFd connect_to(const std::string& path) {
    UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    const timeval patience{10, 0};
    (void)::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        client.reset();
    }
    return client;
}

/// One byte and `count` descriptors, all of them standard input.
void send_descriptors(int socket, std::size_t count) {
    constexpr std::size_t kMax = 32;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMax * sizeof(int))> control{};
    char byte = 'd';
    iovec data{.iov_base = &byte, .iov_len = 1};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));  // the descriptors: all zero
    (void)::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void send_garbage(int socket, std::mt19937& random) {
    std::vector<char> bytes(1 + random() % 100'000);
    for (char& byte : bytes) {
        byte = static_cast<char>(random());
    }
    (void)::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/// Keeps the last few of its clients open and silent.
void flood(const std::string& path, std::uint32_t seed, std::uint64_t clients) {
    std::mt19937 random(seed);
    std::array<UniqueFd, 20> silent;
    for (std::uint64_t i = 0; i < clients; ++i) {
        UniqueFd client = connect_to(path);
        if (!client.valid()) {
            continue;
        }
        switch (random() % 6) {
            case 0:
                send_garbage(client.get(), random);
                break;
            case 1:
                send_descriptors(client.get(), 1);
                break;
            case 2:
                send_descriptors(client.get(), 2 + random() % 30);
                break;
            case 3:
                send_garbage(client.get(), random);
                send_descriptors(client.get(), 1);
                send_garbage(client.get(), random);
                break;
            case 4:
                (void)::shutdown(client.get(), random() % 2 == 0 ? SHUT_WR : SHUT_RD);
                break;
            default:
                break;
        }
        if (random() % 2 == 0) {
            silent[random() % silent.size()] = std::move(client);
        }
    }
}

/// What the socket says to somebody who sends a descriptor that is no trap.
std::string answer_of(const std::string& path) {
    const UniqueFd client = connect_to(path);
    send_descriptors(client.get(), 1);
    std::array<char, 200> line{};
    const ssize_t bytes = ::recv(client.get(), line.data(), line.size(), 0);
    return bytes > 0 ? std::string(line.data(), static_cast<std::size_t>(bytes)) : std::string();
}

/// Descriptors open, when they have come down to `wanted` or after some seconds.
std::size_t settled(std::size_t wanted) {
    std::size_t open = crema::test::open_files();
    for (int i = 0; i < 100 && open > wanted; ++i) {
        std::this_thread::sleep_for(50ms);
        open = crema::test::open_files();
    }
    return open;
}

TEST(ControlSocket, HostileClientsDoNoHarmAndLeaveNothing) {
    const std::size_t files = crema::test::open_files();
    const std::string path =
        testing::TempDir() + "crema_control_" + std::to_string(::getpid()) + ".sock";
    {
        auto socket = ControlSocket::listen(path);
        ASSERT_TRUE(socket) << socket.error().message;
        const std::size_t listening = crema::test::open_files();
        std::vector<std::thread> threads;
        for (std::uint32_t i = 0; i < 4; ++i) {
            threads.emplace_back(flood, path, i, crema::test::scaled_rounds(500));
        }
        // Served in between, too.
        EXPECT_EQ(answer_of(path), "error: the descriptor is not that of a trap\n");
        for (std::thread& thread : threads) {
            thread.join();
        }
        EXPECT_EQ(answer_of(path), "error: the descriptor is not that of a trap\n");
        EXPECT_EQ(settled(listening), listening);
    }
    EXPECT_EQ(settled(files), files);
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_FALSE(std::filesystem::exists(path + ".bpffs"));
}

TEST(ControlSocket, TheSilentAreThrownOutAndHoldUpNobody) {
    const std::string path =
        testing::TempDir() + "crema_control_" + std::to_string(::getpid()) + ".sock";
    const auto socket = ControlSocket::listen(path);
    ASSERT_TRUE(socket) << socket.error().message;
    std::vector<UniqueFd> silent;
    for (int i = 0; i < 100; ++i) {
        silent.push_back(connect_to(path));
        ASSERT_TRUE(silent.back().valid());
    }
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(answer_of(path), "error: the descriptor is not that of a trap\n");
    EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
    for (const UniqueFd& client : silent) {
        char byte = 0;
        EXPECT_LE(::recv(client.get(), &byte, 1, 0), 0) << "closed, not answered";
        EXPECT_NE(errno, EAGAIN) << "not within ten seconds";
        errno = 0;
    }
}

}  // namespace
}  // namespace crema::ebpf::supervise
