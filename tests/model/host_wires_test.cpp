// SPDX-License-Identifier: BSD-3-Clause
//
// Wires to the host's network stack: tap and packet. Each test works in a network namespace of its
// own (unshare), so it needs root and touches nothing else; without the right it is skipped.
#include <chrono>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <thread>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "lib/base/unique_fd.h"
#include "tests/model/port.h"
#include "tests/support/under_qemu.h"

namespace crema::neta::model {
namespace {

constexpr MacAddress kMac{0x02, 1, 2, 3, 4, 5};
constexpr std::uint16_t kTestType = 0x88b5;

// True when `command` ended with 0.
bool shell(const std::string& command) {
    return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

class HostWires : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::unshare(CLONE_NEWNET) != 0) {
            GTEST_SKIP() << "needs root: own network namespace: " << std::strerror(errno);
        }
        if (!shell("ip link set lo up")) {
            GTEST_SKIP() << "needs ip (iproute2)";
        }
    }

    // Raw socket on an interface, as a neighbour would see it.
    static UniqueFd raw_socket(const char* interface) {
        UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL)));
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        address.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
        EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
                  0);
        return fd;
    }

    // First frame of our test type that `next` yields within a second.
    template <typename Next>
    static Bytes wait_for(Next&& next) {
        for (int i = 0; i < 1000; ++i) {
            Bytes frame = next();
            if (frame.size() >= 14 && load_be16(&frame[12]) == kTestType) {
                return frame;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return {};
    }

    static Bytes next_of(Wire& wire) {
        std::array<WireFrame, 1> frames;
        return wire.receive(frames) == 1 ? Bytes(frames[0].data, frames[0].data + frames[0].bytes)
                                         : Bytes{};
    }

    static Bytes next_of(const UniqueFd& fd) {
        Bytes frame(70000);
        sockaddr_ll from{};
        socklen_t from_bytes = sizeof(from);
        const ssize_t got = ::recvfrom(fd.get(), frame.data(), frame.size(), 0,
                                       reinterpret_cast<sockaddr*>(&from), &from_bytes);
        frame.resize(got > 0 && from.sll_pkttype != PACKET_OUTGOING ? static_cast<std::size_t>(got)
                                                                    : 0);
        return frame;
    }

    static void put(Wire& wire, const Bytes& frame) {
        const WireFrame view{frame.data(), static_cast<std::uint32_t>(frame.size()), false,
                             nullptr};
        wire.send(std::span(&view, 1));
    }
};

TEST_F(HostWires, TapCarriesFramesBothWays) {
    auto wire = open_wire("tap:crtap0", kMac);
    ASSERT_TRUE(wire.has_value()) << wire.error().message;
    ASSERT_TRUE(shell("ip link show crtap0 | grep -q 'UP'")) << "brought up";
    const UniqueFd host = raw_socket("crtap0");
    const Bytes frame = make_frame({0x02, 9, 9, 9, 9, 9}, kTestType, 200);
    put(**wire, frame);
    EXPECT_EQ(wait_for([&] { return next_of(host); }), frame);
    ASSERT_EQ(::send(host.get(), frame.data(), frame.size(), 0),
              static_cast<ssize_t>(frame.size()));
    EXPECT_EQ(wait_for([&] { return next_of(**wire); }), frame);
    const Bytes small = make_frame(broadcast, kTestType, 20);
    ASSERT_EQ(::send(host.get(), small.data(), small.size(), 0), 20);
    Bytes padded = small;
    padded.resize(60, 0);
    EXPECT_EQ(wait_for([&] { return next_of(**wire); }), padded);
    EXPECT_EQ(open_wire("tap:crtap0", kMac).error().code, EBUSY);
    EXPECT_EQ(open_wire("tap:lo", kMac).error().code, EINVAL);
    wire->reset();
    EXPECT_EQ(::if_nametoindex("crtap0"), 0U) << "the interface goes with the wire";
}

TEST_F(HostWires, TapSurvivesTheMoveToAnotherNamespace) {
    const std::string space = "crema" + std::to_string(::getpid());
    auto wire = open_wire("tap:crtap1", kMac);
    ASSERT_TRUE(wire.has_value()) << wire.error().message;
    if (!shell("ip netns add " + space)) {
        GTEST_SKIP() << "cannot create a named network namespace";
    }
    EXPECT_TRUE(shell("ip link set crtap1 netns " + space));
    const Bytes frame = make_frame({0x02, 9, 9, 9, 9, 9}, kTestType, 100);
    put(**wire, frame);
    EXPECT_GE((*wire)->losses().io_errors.load(), 1U) << "down after the move: lost and counted";
    // Not `ip -n`: it remounts /sys, which a root that is no mount point (a chroot) refuses.
    const std::string inside = "nsenter --net=/run/netns/" + space + " ";
    EXPECT_TRUE(shell(inside + "ip addr add 10.1.1.1/24 dev crtap1"));
    EXPECT_TRUE(shell(inside + "ip link set crtap1 up"));
    // The stack there speaks up by itself when pinging; ARP is what comes.
    std::thread ping([&] { (void)shell(inside + "ping -c1 -W1 10.1.1.2"); });
    bool arp = false;
    for (int i = 0; i < 2000 && !arp; ++i) {
        const Bytes got = next_of(**wire);
        arp = got.size() == 60 && load_be16(&got[12]) == ETH_P_ARP;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ping.join();
    EXPECT_TRUE(arp);
    EXPECT_TRUE(shell("ip netns del " + space));
}

TEST_F(HostWires, PacketCarriesFramesBothWays) {
    SKIP_UNDER_QEMU("PACKET_AUXDATA");
    if (!shell("ip link add crv0 type veth peer name crv1") || !shell("ip link set crv1 up")) {
        GTEST_SKIP() << "kernel without veth";
    }
    auto wire = open_wire("packet:crv0", kMac);
    ASSERT_TRUE(wire.has_value()) << wire.error().message;
    EXPECT_FALSE((*wire)->link()) << "interface is down";
    ASSERT_TRUE(shell("ip link set crv0 up"));
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    EXPECT_TRUE((*wire)->link());
    const UniqueFd peer = raw_socket("crv1");
    const Bytes frame = make_frame({0x02, 9, 9, 9, 9, 9}, kTestType, 300);
    // The kernel activates a new link some time after it reports it: send until one is through.
    EXPECT_EQ(wait_for([&] {
                  put(**wire, frame);
                  return next_of(peer);
              }),
              frame);
    ASSERT_EQ(::send(peer.get(), frame.data(), frame.size(), 0), 300);
    EXPECT_EQ(wait_for([&] { return next_of(**wire); }), frame) << "any address is heard";
    Bytes tagged = make_frame({0x02, 9, 9, 9, 9, 9}, 0x8100, 80);
    tagged[16] = 0x88;
    tagged[17] = 0xb5;
    ASSERT_EQ(::send(peer.get(), tagged.data(), tagged.size(), 0), 80);
    Bytes got;
    for (int i = 0; i < 1000 && (got.size() < 14 || load_be16(&got[12]) != 0x8100); ++i) {
        got = next_of(**wire);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(got, tagged) << "the tag is back in the frame";
    // What the host sends through the interface itself is not received.
    const UniqueFd self = raw_socket("crv0");
    ASSERT_EQ(::send(self.get(), frame.data(), frame.size(), 0), 300);
    EXPECT_TRUE(wait_for([&] { return next_of(**wire); }).empty());
}

TEST_F(HostWires, PacketFinishesOpenChecksums) {
    SKIP_UNDER_QEMU("PACKET_AUXDATA");
    if (!shell("ip link add crv0 type veth peer name crv1 && ip link set crv0 up && "
               "ip addr add 10.9.9.1/24 dev crv1 && ip link set crv1 up && "
               "ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:02 dev crv1")) {
        GTEST_SKIP() << "kernel without veth";
    }
    PortOptions options;
    options.wire = "packet:crv0";
    const Port port(options);
    port.start();
    port.promiscuous();
    // UDP from the stack leaves its checksum to the (virtual) hardware.
    const UniqueFd udp(::socket(AF_INET, SOCK_DGRAM, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(9);
    to.sin_addr.s_addr = htonl(0x0a090902);
    ASSERT_EQ(
        ::sendto(udp.get(), "hello", 5, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 5);
    bool found = false;
    std::uint32_t slot = 0;
    for (int i = 0; i < 1000 && !found; ++i) {
        for (const std::uint32_t ready = port.occupied(0); slot < ready; ++slot) {
            const std::uint32_t status = port.rx_ring(0)[slot].status;
            if (kRxL3Type.get(status) == kRxL3Ipv4Good && kRxL4Type.get(status) == kRxL4Udp) {
                found = true;
                EXPECT_NE(status & kRxL4CsumOk, 0U) << "checksum was left open";
            }
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_TRUE(found);
}

}  // namespace
}  // namespace crema::neta::model
