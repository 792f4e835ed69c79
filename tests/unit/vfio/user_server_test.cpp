// SPDX-License-Identifier: BSD-3-Clause
//
// Server and client on a socket: what a driver sees of the device, and what is left when either
// side dies or talks nonsense.
#include <array>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <random>
#include <sys/socket.h>
#include <sys/un.h>
#include <vector>

#include "lib/vfio/user/client.h"
#include "lib/vfio/user/server.h"
#include "tests/unit/vfio/copy_engine.h"

namespace crema::vfio::user {
namespace {

constexpr std::size_t kBytes = std::size_t{1} << 20U;

/// Polls for ten seconds.
template <typename Condition>
bool soon(Condition&& condition) {
    for (int i = 0; i < 10'000; ++i) {
        if (condition()) {
            return true;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
}

UniqueFd raw_client(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0);
    return socket;
}

class UserDeviceTest : public testing::Test {
  protected:
    UserDeviceTest() : server_((CopyEngine::enroll(), "copy")) {}

    std::unique_ptr<Device> connected() {
        auto device = connect(server_.path, space_);
        if (!device) {
            ADD_FAILURE() << device.error().message;
            std::abort();
        }
        return std::move(*device);
    }

    std::uint32_t share(const SharedFile& file) {
        const DmaBacking backing{file.fd.get(), 0, kBytes};
        const auto iova = space_.map(file.memory, kBytes, std::span(&backing, 1));
        EXPECT_TRUE(iova) << iova.error().message;
        return iova ? *iova : 0;
    }

    /// Bytes that the device copied.
    static std::uint32_t copy(const Registers& registers,
                              std::uint32_t from,
                              std::uint32_t to,
                              std::uint32_t bytes) {
        registers.write(CopyEngine::kFrom, from);
        registers.write(CopyEngine::kTo, to);
        registers.write(CopyEngine::kCopy, bytes);
        return registers.read(CopyEngine::kCopied);
    }

    DmaSpace space_;
    ServerThread server_;
};

TEST_F(UserDeviceTest, RegistersKeepTheirOrder) {
    const auto device = connected();
    EXPECT_EQ(device->describe(), "vfio-user " + server_.path);
    const Registers& registers = device->registers();
    for (std::uint32_t i = 0; i < 10'000; ++i) {
        registers.write(4 * (i % 16), i);
        if (i % 7 == 0) {
            ASSERT_EQ(registers.read(4 * (i % 16)), i);
        }
    }
    EXPECT_EQ(registers.read(CopyEngine::kBytes), 0U);  // outside: refused, and alive
    EXPECT_TRUE(device->alive());
}

TEST_F(UserDeviceTest, ThreadsShareTheDevice) {
    const auto device = connected();
    std::vector<std::thread> threads;
    for (std::uint32_t t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (std::uint32_t i = 0; i < 2000; ++i) {
                device->registers().write(4 * t, i);
                ASSERT_EQ(device->registers().read(4 * t), i);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

TEST_F(UserDeviceTest, MemoryIsSharedAsLongAsItIsMapped) {
    const SharedFile before(kBytes);
    const SharedFile after(kBytes);
    const std::uint32_t from = share(before);  // mapped before the device came
    auto device = connected();
    const std::uint32_t to = share(after);
    EXPECT_EQ(server_.server->ranges(), 2U);
    std::memcpy(before.memory + 100, "crema", 6);
    EXPECT_EQ(copy(device->registers(), from + 100, to + kBytes - 6, 6), 6U);
    EXPECT_STREQ(reinterpret_cast<const char*>(after.memory + kBytes - 6), "crema");
    EXPECT_EQ(copy(device->registers(), from, to + kBytes - 5, 6), 0U);  // over the end
    ASSERT_TRUE(space_.unmap(after.memory));
    EXPECT_EQ(copy(device->registers(), from, to, 6), 0U);
    EXPECT_EQ(server_.server->ranges(), 1U);
    device.reset();
    EXPECT_EQ(server_.server->ranges(), 0U);  // no DMA once the device is closed
    ASSERT_TRUE(space_.unmap(before.memory));
}

TEST_F(UserDeviceTest, MemoryWithoutAFileIsRefused) {
    alignas(4096) static std::array<std::uint8_t, 4096> memory;
    ASSERT_TRUE(space_.map(memory.data(), memory.size()));
    const auto refused = connect(server_.path, space_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ENOTSUP);
    ASSERT_TRUE(space_.unmap(memory.data()));
    const auto device = connected();
    EXPECT_EQ(space_.map(memory.data(), memory.size()).error().code, ENOTSUP);
    EXPECT_EQ(space_.ranges(), 0U);
    EXPECT_TRUE(device->alive());
}

TEST_F(UserDeviceTest, InterruptsComeByEventfd) {
    const auto device = connected();
    const auto event = device->enable_interrupt();
    ASSERT_TRUE(event) << event.error().message;
    const auto fired = [&] {
        std::uint64_t count = 0;
        return ::read(*event, &count, sizeof(count)) == sizeof(count);
    };
    EXPECT_FALSE(fired());
    device->registers().write(CopyEngine::kLine, 1);
    pollfd wait{*event, POLLIN, 0};
    ASSERT_EQ(::poll(&wait, 1, 10'000), 1);
    EXPECT_TRUE(fired());
    EXPECT_EQ(device->registers().read(CopyEngine::kLine), 1U);
    EXPECT_FALSE(fired());
    device->rearm_interrupt();
    EXPECT_TRUE(fired());
    device->disable_interrupt();
    device->rearm_interrupt();
    EXPECT_FALSE(fired());
}

TEST_F(UserDeviceTest, DeathOfTheServerLeavesADeadDevice) {
    const SharedFile file(kBytes);
    auto device = connected();
    share(file);
    device->registers().write(0, 7);
    ASSERT_EQ(device->registers().read(0), 7U);
    server_.end();
    EXPECT_EQ(device->registers().read(0), 0U);
    EXPECT_FALSE(device->alive());
    device->registers().write(0, 1);
    EXPECT_FALSE(device->enable_interrupt());
    const SharedFile more(kBytes);
    share(more);  // for the others
    EXPECT_TRUE(space_.unmap(more.memory));
    EXPECT_TRUE(space_.unmap(file.memory));
    device.reset();
    EXPECT_EQ(connect(server_.path, space_).error().code, ENOENT);
}

TEST_F(UserDeviceTest, DeadDeviceIsFoundAgainWithItsMemoryAndInterrupt) {
    const SharedFile file(kBytes);
    const auto device = connected();
    const std::uint32_t at = share(file);
    const auto event = device->enable_interrupt();
    ASSERT_TRUE(event);
    const std::string path = server_.path;
    server_.end();
    EXPECT_EQ(device->registers().read(0), 0U);
    EXPECT_EQ(device->reattach().error().code, ENOENT);
    EXPECT_FALSE(device->alive());
    ServerThread back("copy", {}, Flavour::plain, path);
    const auto found = device->reattach();
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_TRUE(device->alive());
    EXPECT_EQ(copy(device->registers(), at, at + 4096, 64), 64U);
    device->registers().write(CopyEngine::kLine, 1);
    pollfd wait{*event, POLLIN, 0};
    EXPECT_EQ(::poll(&wait, 1, 10'000), 1);
    EXPECT_TRUE(space_.unmap(file.memory));
    EXPECT_EQ(back.server->ranges(), 0U);
}

TEST_F(UserDeviceTest, NextClientFindsAFreshDevice) {
    for (unsigned i = 1; i <= 20; ++i) {
        const SharedFile file(kBytes);
        const auto device = connected();
        share(file);
        EXPECT_EQ(device->registers().read(0), 0U) << i;
        device->registers().write(0, i);
        EXPECT_EQ(device->registers().read(0), i);
        EXPECT_EQ(server_.server->clients(), i);
        EXPECT_TRUE(space_.unmap(file.memory));
    }
}

TEST_F(UserDeviceTest, SocketOfAnotherServerIsNotTaken) {
    const auto second = Server::create(server_.path, Flavour::plain, "copy", {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EADDRINUSE);
    EXPECT_EQ(Server::create("/no/such/folder/socket", Flavour::plain, "copy", {}).error().code,
              ENOENT);
    EXPECT_EQ(Server::create(std::string(200, 'x'), Flavour::plain, "copy", {}).error().code,
              EINVAL);
    EXPECT_EQ(Server::create("/tmp/crema-no-model", Flavour::plain, "none", {}).error().code,
              ENODEV);
    EXPECT_NE(::access("/tmp/crema-no-model", F_OK), 0);
    connected();
}

TEST_F(UserDeviceTest, LeftOverSocketIsReplaced) {
    const std::string path = server_.path + "-left";
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.c_str(), path.size());
        const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
        ASSERT_EQ(
            ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    }
    EXPECT_TRUE(Server::create(path, Flavour::plain, "copy", {}));
    EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

/// Each says something else that is wrong; the server must serve the next client.
class NonsenseTest : public UserDeviceTest {
  protected:
    void send(const UniqueFd& socket, const void* data, std::size_t bytes) {
        EXPECT_EQ(::send(socket.get(), data, bytes, MSG_NOSIGNAL), static_cast<ssize_t>(bytes));
    }

    /// True when the server ended the connection.
    static bool ended(const UniqueFd& socket) {
        std::array<char, 4096> rest{};
        const timeval patience{10, 0};
        ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        ssize_t got = 0;
        do {
            got = ::recv(socket.get(), rest.data(), rest.size(), 0);
        } while (got > 0);
        return got == 0 || errno == ECONNRESET;
    }

    void TearDown() override {
        const auto device = connected();
        device->registers().write(8, 3);
        EXPECT_EQ(device->registers().read(8), 3U);
    }
};

TEST_F(NonsenseTest, LengthsThatCannotBe) {
    for (const std::uint32_t bytes : {0U, 15U, kPayloadMax + 17U, ~0U}) {
        const UniqueFd client = raw_client(server_.path);
        const Header header{.id = 1, .command = Command::version, .bytes = bytes};
        send(client, &header, sizeof(header));
        EXPECT_TRUE(ended(client)) << bytes;
    }
}

TEST_F(NonsenseTest, AnswersToNothing) {
    const UniqueFd client = raw_client(server_.path);
    const Header header{.id = 1, .command = Command::version, .bytes = 16, .flags = kTypeReply};
    send(client, &header, sizeof(header));
    EXPECT_TRUE(ended(client));
}

TEST_F(NonsenseTest, HalfAMessageAndGone) {
    for (std::size_t cut = 0; cut < 20; ++cut) {
        const UniqueFd client = raw_client(server_.path);

        struct {
            Header header{.id = 1, .command = Command::version, .bytes = 20};
            Version version;
        } message;

        static_assert(sizeof(message) == 20);
        send(client, &message, cut);
    }
}

TEST_F(NonsenseTest, OneByteAtATimeIsNone) {
    const UniqueFd client = raw_client(server_.path);

    struct {
        Header header{.id = 77, .command = Command::version, .bytes = 20};
        Version version;
    } message;

    for (std::size_t i = 0; i < sizeof(message); ++i) {
        send(client, reinterpret_cast<const char*>(&message) + i, 1);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    Header answer;
    ASSERT_EQ(::recv(client.get(), &answer, sizeof(answer), MSG_WAITALL), 16);
    EXPECT_EQ(answer.id, 77);
    EXPECT_EQ(answer.flags, kTypeReply);
}

TEST_F(NonsenseTest, MoreDescriptorsThanAllowed) {
    const UniqueFd client = raw_client(server_.path);
    const Header header{.id = 1, .command = Command::version, .bytes = 20};
    std::array<int, kFdsMax + 1> fds{};
    fds.fill(client.get());
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(fds))> control{};
    iovec data{const_cast<Header*>(&header), sizeof(header)};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const right = CMSG_FIRSTHDR(&message);
    right->cmsg_level = SOL_SOCKET;
    right->cmsg_type = SCM_RIGHTS;
    right->cmsg_len = CMSG_LEN(sizeof(fds));
    std::memcpy(CMSG_DATA(right), fds.data(), sizeof(fds));
    ASSERT_EQ(::sendmsg(client.get(), &message, MSG_NOSIGNAL), 16);
    EXPECT_TRUE(ended(client));
}

TEST_F(NonsenseTest, QuestionsWhoseAnswersNobodyReads) {
    const UniqueFd client = raw_client(server_.path);
    ASSERT_EQ(::fcntl(client.get(), F_SETFL, O_NONBLOCK), 0);
    const Header header{.id = 1, .command = Command::device_info, .bytes = 16};
    const auto gone = [&] {
        return ::send(client.get(), &header, sizeof(header), MSG_NOSIGNAL) < 0 && errno == EPIPE;
    };
    EXPECT_TRUE(soon(gone));
}

TEST_F(NonsenseTest, RandomBytes) {
    std::mt19937 dice(std::random_device{}());
    for (unsigned round = 0; round < 300; ++round) {
        const UniqueFd client = raw_client(server_.path);
        std::array<std::uint8_t, 512> bytes{};
        for (auto& byte : bytes) {
            byte = static_cast<std::uint8_t>(dice() % 4 == 0 ? dice() : 0);
        }
        static_cast<void>(::send(client.get(), bytes.data(), dice() % bytes.size(), MSG_NOSIGNAL));
    }
}

TEST_F(NonsenseTest, MemoryThatShrinksUnderTheDevice) {
    auto device = connected();
    const SharedFile file(kBytes);
    const std::uint32_t at = share(file);
    EXPECT_EQ(copy(device->registers(), at, at + 4096, 64), 64U);
    ASSERT_EQ(::ftruncate(file.fd.get(), 0), 0);
    device->registers().write(CopyEngine::kCopy, 64);
    EXPECT_TRUE(soon([&] { return !device->alive() || device->registers().read(0) == 1; }));
    EXPECT_FALSE(device->alive());
    EXPECT_TRUE(space_.unmap(file.memory));
}

}  // namespace
}  // namespace crema::vfio::user
