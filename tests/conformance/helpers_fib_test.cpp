// SPDX-License-Identifier: BSD-3-Clause
//
// fib_lookup and check_mtu beside the running kernel, in a network namespace of the test's own:
// three veth pairs, routes of every type, rules, neighbours, MTUs. The kernel answers from its
// tables, ours from the mirror of them; result and parameters must be equal.
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include "lib/ebpf/helpers/natives.h"
#include "lib/fib/mirror.h"
#include "tests/support/helper_call.h"
#include "tests/support/kernel_bpf.h"

namespace crema::test {
namespace {

namespace helpers = ebpf::helpers;

bool shell(const std::string& command) {
    return std::system(command.c_str()) == 0;  // NOLINT(concurrency-mt-unsafe)
}

void set_sysctl(const std::string& name, int value) {
    std::ofstream("/proc/sys/net/" + name) << value;
}

constexpr const char* kSetup = R"(set -e
ip link set lo up
ip link add va type veth peer name vb
ip link add vc type veth peer name vd
ip link add du type veth peer name dv
for d in va vb vc vd du dv; do ip link set $d up; done
ip link set vc mtu 1400
ip addr add 10.0.1.1/24 dev va
ip addr add 10.0.2.1/24 dev vc
ip addr add 10.0.3.1/24 dev du
ip -6 addr add 2001:db8:1::1/64 dev va nodad
ip -6 addr add 2001:db8:2::1/64 dev vc nodad
ip -6 addr add 2001:db8:3::1/64 dev du nodad
ip neigh add 10.0.1.2 lladdr 02:00:00:00:01:02 dev va nud permanent
ip neigh add 10.0.2.2 lladdr 02:00:00:00:02:02 dev vc nud permanent
ip neigh add 10.0.2.9 lladdr 02:00:00:00:02:09 dev vc nud stale
ip neigh add 10.0.2.8 dev vc nud failed
ip -6 neigh add 2001:db8:1::2 lladdr 02:00:00:00:01:62 dev va nud permanent
ip -6 neigh add 2001:db8:2::2 lladdr 02:00:00:00:02:62 dev vc nud permanent
ip route add 192.0.2.0/24 via 10.0.1.2
ip route add 192.0.2.128/25 via 10.0.2.2 metric 50
ip route add 192.0.2.128/25 via 10.0.1.2 metric 40
ip route add 192.0.3.0/24 via 10.0.2.7
ip route add 192.0.4.0/24 via 10.0.1.2 mtu lock 900
ip route add 192.0.5.0/24 via 10.0.1.2 mtu 900
ip route add 192.0.6.0/24 via 10.0.2.2 src 10.0.3.1
ip route add 192.0.7.0/24 via inet6 2001:db8:1::2 dev va
ip route add 192.0.8.0/24 tos 0x10 via 10.0.2.2
ip route add 192.0.8.0/24 via 10.0.1.2
ip route add blackhole 198.51.100.0/26
ip route add unreachable 198.51.100.64/26
ip route add prohibit 198.51.100.128/26
ip route add throw 198.51.100.192/26
ip route add 203.0.113.0/24 via 10.0.2.2 table 100
ip route add default via 10.0.2.2 table 101
ip route add 192.0.2.0/24 via 10.0.2.2 table 102
ip route add default via 10.0.1.2 table 104
ip rule add from 10.9.0.0/16 lookup 100 priority 1000
ip rule add fwmark 7 lookup 101 priority 1001
ip rule add fwmark 0x10/0x30 lookup 102 priority 1002
ip rule add to 172.16.0.0/12 blackhole priority 1003
ip rule add to 172.32.0.0/12 prohibit priority 1004
ip rule add to 172.48.0.0/12 unreachable priority 1005
ip rule add iif vc to 203.0.114.0/24 lookup 101 priority 1006
ip rule add oif vc to 203.0.115.0/24 lookup 101 priority 1007
ip rule add ipproto 17 dport 53 to 203.0.116.0/24 lookup 101 priority 1008
ip rule add ipproto 6 sport 1000-2000 to 203.0.116.0/24 lookup 104 priority 1009
ip rule add tos 0x08 to 203.0.117.0/24 lookup 101 priority 1010
ip rule add not from 10.0.0.0/8 lookup 101 priority 1011
ip rule add from 10.7.0.0/16 goto 1020 priority 1012
ip rule add to 203.0.119.0/24 lookup 101 priority 1013
ip rule add to 203.0.119.0/24 lookup 104 priority 1020
ip rule add from 10.6.0.0/16 lookup 104 suppress_prefixlength 0 priority 1021
ip rule add iif nosuchdevice lookup 101 priority 1022
ip -6 route add 2001:db8:a::/48 via 2001:db8:1::2
ip -6 route add 2001:db8:a:b::/64 via 2001:db8:2::2
ip -6 route add 2001:db8:b::/48 via 2001:db8:2::2 mtu 1300
ip -6 route add 2001:db8:b8::/48 via 2001:db8:2::2 mtu lock 1300
ip -6 route add 2001:db8:c::/48 via 2001:db8:2::7
ip -6 route add 2001:db8:d::/48 via 2001:db8:1::2 metric 10
ip -6 route add 2001:db8:d::/48 via 2001:db8:2::2 metric 20
ip -6 route add 2001:db8:e::/48 via 2001:db8:1::2 src 2001:db8:3::1
ip -6 route add blackhole 2001:db8:f0::/48
ip -6 route add unreachable 2001:db8:f1::/48
ip -6 route add prohibit 2001:db8:f2::/48
ip -6 route add throw 2001:db8:f3::/48
ip -6 route add default via 2001:db8:2::2 table 101
ip -6 rule add from 2001:db8:99::/48 lookup 101 priority 1000
ip -6 rule add fwmark 7 lookup 101 priority 1001
ip -6 rule add to 2001:db8:98::/48 blackhole priority 1002
ip -6 rule add to 2001:db8:97::/48 unreachable priority 1003
ip -6 rule add to 2001:db8:96::/48 prohibit priority 1004
)";

class HelpersOfRouting : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (!kernel::available() || unshare(CLONE_NEWNET) != 0) {
            return;
        }
        s_is_ready = true;
        ASSERT_TRUE(shell(kSetup));
        set_sysctl("ipv4/ip_forward", 1);
        set_sysctl("ipv6/conf/all/forwarding", 1);
        set_sysctl("ipv4/conf/du/forwarding", 0);
        set_sysctl("ipv6/conf/du/forwarding", 0);
        ASSERT_TRUE(fib::start_mirror());
    }

    void SetUp() override {
        if (!s_is_ready) {
            GTEST_SKIP() << "no bpf(2), or no right to make a network namespace";
        }
    }

    static bool s_is_ready;
};

bool HelpersOfRouting::s_is_ready = false;

struct Question {
    int family = AF_INET;
    std::string source = "10.0.1.9";
    std::string destination;
    const char* interface = "va";
    int total_length = 0;
    std::uint32_t flow = 0;  // in memory order
    int protocol = 17;
    int source_port = 1500;
    int destination_port = 53;
    std::uint32_t table = 0;
    std::uint32_t mark = 0;
};

std::vector<std::uint8_t> parameters_of(const Question& question) {
    std::vector<std::uint8_t> bytes(64, 0xcc);
    const auto put = [&](std::size_t at, auto value) {
        std::memcpy(bytes.data() + at, &value, sizeof value);
    };
    put(0, static_cast<std::uint8_t>(question.family));
    put(1, static_cast<std::uint8_t>(question.protocol));
    put(2, htons(static_cast<std::uint16_t>(question.source_port)));
    put(4, htons(static_cast<std::uint16_t>(question.destination_port)));
    put(6, static_cast<std::uint16_t>(question.total_length));
    put(8, if_nametoindex(question.interface));
    put(12, question.flow);
    std::memset(bytes.data() + 16, 0, 32);
    EXPECT_EQ(inet_pton(question.family == AF_INET6 ? AF_INET6 : AF_INET, question.source.c_str(),
                        bytes.data() + 16),
              1)
        << question.source;
    EXPECT_EQ(inet_pton(question.family == AF_INET6 ? AF_INET6 : AF_INET,
                        question.destination.c_str(), bytes.data() + 32),
              1)
        << question.destination;
    put(48, question.table);
    put(52, question.mark);
    return bytes;
}

std::string hex_of(const std::vector<std::uint8_t>& bytes) {
    std::string text;
    for (const std::uint8_t byte : bytes) {
        constexpr const char* kDigits = "0123456789abcdef";
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

HelperCall lookup_call(const Question& question, std::uint32_t flags, std::uint32_t size = 64) {
    return {.helper = 69,
            .args = {context(), memory(0), number(size), number(flags)},
            .frame = std::vector<std::uint8_t>(64),
            .memory = parameters_of(question)};
}

std::int64_t same(const Question& question, std::uint32_t flags) {
    const HelperCall call = lookup_call(question, flags);
    const CallOutcome theirs = call_in_kernel(call);
    const CallOutcome ours = call_native(call, helpers::fib_lookup);
    EXPECT_TRUE(ours == theirs) << question.source << " > " << question.destination << " on "
                                << question.interface << ", flags " << flags << ", length "
                                << question.total_length << ", mark " << question.mark << ", table "
                                << question.table << "\n  kernel: " << describe(theirs) << ' '
                                << hex_of(theirs.memory) << "\n  ours:   " << describe(ours) << ' '
                                << hex_of(ours.memory);
    return static_cast<std::int64_t>(theirs.result);
}

constexpr const char* kInterfaces[] = {"va", "vc", "du", "lo"};

TEST_F(HelpersOfRouting, RoutesOfVersion4) {
    std::array<int, 10> results{};
    for (const char* destination :
         {"10.0.1.2",        "10.0.1.3",       "10.0.2.2",    "10.0.2.9",     "10.0.2.8",
          "10.0.1.1",        "10.0.1.255",     "127.0.0.1",   "192.0.2.1",    "192.0.2.127",
          "192.0.2.128",     "192.0.2.255",    "192.0.3.1",   "192.0.4.1",    "192.0.5.1",
          "192.0.6.1",       "192.0.7.1",      "192.0.8.1",   "198.51.100.1", "198.51.100.65",
          "198.51.100.129",  "198.51.100.193", "203.0.113.1", "8.8.8.8",      "224.0.0.1",
          "255.255.255.255", "0.0.0.0"}) {
        for (const char* interface : kInterfaces) {
            for (const int length : {0, 899, 901, 1400, 1401, 1500, 1501, 65535}) {
                for (std::uint32_t flags : {0U, 1U, 2U, 3U, 4U, 16U, 20U, 5U, 32U}) {
                    const std::int64_t result = same({.destination = destination,
                                                      .interface = interface,
                                                      .total_length = length},
                                                     flags);
                    if (result >= 0) {
                        ++results[static_cast<std::size_t>(result)];
                    }
                }
            }
        }
    }
    for (const int result : {0, 1, 2, 3, 4, 5, 7, 8}) {
        EXPECT_GT(results[static_cast<std::size_t>(result)], 0) << "result " << result;
    }
}

TEST_F(HelpersOfRouting, RulesOfVersion4) {
    for (const char* destination :
         {"192.0.2.1", "192.0.2.200", "203.0.113.1", "203.0.114.1", "203.0.115.1", "203.0.116.1",
          "203.0.117.1", "203.0.118.1", "203.0.119.1", "172.16.0.1", "172.32.0.1", "172.48.0.1",
          "8.8.8.8"}) {
        for (const char* source : {"10.0.1.9", "10.9.0.1", "11.0.0.1", "10.7.0.1", "10.6.0.1"}) {
            for (const char* interface : {"va", "vc"}) {
                for (const std::uint32_t flags : {0U, 1U, 2U, 32U}) {
                    for (const std::uint32_t mark : {0U, 7U, 0x10U, 0x18U, 0x30U}) {
                        for (const std::uint32_t tos : {0U, 0x10U, 0x08U, 0x0bU, 0x28U}) {
                            same({.source = source,
                                  .destination = destination,
                                  .interface = interface,
                                  .flow = tos,
                                  .mark = mark},
                                 flags);
                        }
                    }
                }
            }
        }
    }
    for (const int protocol : {0, 6, 17}) {
        for (const int source_port : {0, 999, 1000, 1500, 2000, 2001}) {
            for (const int destination_port : {0, 52, 53, 54}) {
                same({.destination = "203.0.116.1",
                      .protocol = protocol,
                      .source_port = source_port,
                      .destination_port = destination_port},
                     0);
            }
        }
    }
}

TEST_F(HelpersOfRouting, NamedTables) {
    for (const std::uint32_t table : {0U, 100U, 101U, 102U, 253U, 254U, 255U, 4711U}) {
        for (const char* destination : {"192.0.2.1", "203.0.113.1", "10.0.1.1", "8.8.8.8"}) {
            for (const std::uint32_t flags : {8U, 9U, 11U, 13U}) {
                same({.destination = destination, .table = table}, flags);
            }
        }
        for (const char* destination : {"2001:db8:a::1", "2001:db8:ff::1", "2001:db8:1::1"}) {
            for (const std::uint32_t flags : {8U, 9U, 11U, 13U}) {
                same({.family = AF_INET6,
                      .source = "2001:db8:1::9",
                      .destination = destination,
                      .table = table},
                     flags);
            }
        }
    }
}

TEST_F(HelpersOfRouting, RoutesAndRulesOfVersion6) {
    std::array<int, 10> results{};
    for (const char* destination : {"2001:db8:1::2",
                                    "2001:db8:1::3",
                                    "2001:db8:1::1",
                                    "2001:db8:a::1",
                                    "2001:db8:a:b::1",
                                    "2001:db8:b::1",
                                    "2001:db8:b8::1",
                                    "2001:db8:c::1",
                                    "2001:db8:d::1",
                                    "2001:db8:f0::1",
                                    "2001:db8:f1::1",
                                    "2001:db8:f2::1",
                                    "2001:db8:f3::1",
                                    "2001:db8:98::1",
                                    "2001:db8:97::1",
                                    "2001:db8:96::1",
                                    "2001:db8:ff::1",
                                    "fe80::1",
                                    "ff02::1",
                                    "::1",
                                    "::",
                                    "febf::1",
                                    "fec0::1"}) {
        for (const char* source : {"2001:db8:1::9", "2001:db8:99::1", "fe80::9", "::1"}) {
            for (const char* interface : kInterfaces) {
                for (const int length : {0, 1300, 1301, 1401, 1501}) {
                    for (std::uint32_t flags : {0U, 1U, 2U, 4U, 5U, 32U}) {
                        for (const std::uint32_t mark : {0U, 7U}) {
                            const std::int64_t result = same({.family = AF_INET6,
                                                              .source = source,
                                                              .destination = destination,
                                                              .interface = interface,
                                                              .total_length = length,
                                                              .mark = mark},
                                                             flags);
                            if (result >= 0) {
                                ++results[static_cast<std::size_t>(result)];
                            }
                        }
                    }
                }
            }
        }
    }
    for (const int result : {0, 1, 2, 3, 4, 5, 7, 8}) {
        EXPECT_GT(results[static_cast<std::size_t>(result)], 0) << "result " << result;
    }
    same({.family = AF_INET6, .source = "2001:db8:1::9", .destination = "2001:db8:e::1"}, 16);
}

TEST_F(HelpersOfRouting, ArgumentsAreCheckedAsInTheKernel) {
    for (const int family : {0, 1, 2, 3, 10, 17, 255}) {
        same({.family = family,
              .source = family == 10 ? "::2" : "10.0.1.9",
              .destination = family == 10 ? "::3" : "192.0.2.1"},
             0);
    }
    for (const std::uint32_t flags : {64U, 128U, 0x80000000U}) {
        same({.destination = "192.0.2.1"}, flags);
    }
    for (const std::uint32_t size : {1U, 63U, 64U}) {
        const HelperCall call = lookup_call({.destination = "192.0.2.1"}, 0, size);
        EXPECT_TRUE(call_native(call, helpers::fib_lookup) == call_in_kernel(call)) << size;
    }
    same({.destination = "192.0.2.1", .interface = "nosuchdevice"}, 0);
}

TEST_F(HelpersOfRouting, MtusAreCheckedAsInTheKernel) {
    for (const char* name : {"", "va", "vc", "du", "lo", "nosuchdevice"}) {
        const std::uint64_t ifindex = *name == '\0'               ? 0
                                      : if_nametoindex(name) != 0 ? if_nametoindex(name)
                                                                  : 4711;
        for (const std::uint32_t length :
             {0U, 1U, 1400U, 1401U, 1500U, 1501U, 65536U, 0x7fffffffU, 0xffffffffU}) {
            for (const std::int64_t difference : {0L, 1L, -1L, -100L, 1336L, 1350L, 1351L, 1450L,
                                                  1451L, 0x7fffffffL, -0x80000000L}) {
                for (const std::uint64_t flags : {0U, 1U}) {
                    HelperCall call{.helper = 163,
                                    .args = {context(), number(ifindex), memory(0),
                                             signed_number(difference), number(flags)},
                                    .frame = std::vector<std::uint8_t>(64)};
                    call.memory.assign(4, 0);
                    std::memcpy(call.memory.data(), &length, sizeof length);
                    const CallOutcome theirs = call_in_kernel(call);
                    const CallOutcome ours = call_native(call, helpers::check_mtu);
                    EXPECT_TRUE(ours == theirs)
                        << describe(call) << " length " << length
                        << "\n  kernel: " << describe(theirs) << ' ' << hex_of(theirs.memory)
                        << "\n  ours: " << describe(ours) << ' ' << hex_of(ours.memory);
                }
            }
        }
    }
}

// Multipath: the kernel's hash has a secret seed; ours must spread over the same hops.
TEST_F(HelpersOfRouting, MultipathSpreadsOverAllHops) {
    ASSERT_TRUE(
        shell("ip route add 192.0.9.0/24 nexthop via 10.0.1.2 weight 1 "
              "nexthop via 10.0.2.2 weight 3"));
    ASSERT_TRUE(fib::refresh_mirror());
    std::array<int, 2> hops{};
    for (int i = 1; i < 250; ++i) {
        const HelperCall call = lookup_call({.destination = "192.0.9." + std::to_string(i)}, 0);
        const CallOutcome ours = call_native(call, helpers::fib_lookup);
        ASSERT_EQ(ours.result, 0U);
        std::uint32_t ifindex = 0;
        std::memcpy(&ifindex, ours.memory.data() + 8, sizeof ifindex);
        ++hops[ifindex == if_nametoindex("vc") ? 1 : 0];
    }
    EXPECT_NEAR(hops[0], 62, 30);
    EXPECT_NEAR(hops[1], 187, 30);
}

// Changes reach the mirror by themselves.
TEST_F(HelpersOfRouting, TheMirrorFollowsChanges) {
    const auto eventually = [](const Question& question, std::uint64_t result) {
        for (int i = 0; i < 300; ++i) {
            const CallOutcome ours = call_native(lookup_call(question, 0), helpers::fib_lookup);
            if (ours.result == result) {
                return true;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    };
    const Question question{.destination = "192.0.10.1"};
    ASSERT_EQ(call_native(lookup_call(question, 0), helpers::fib_lookup).result, 4U);
    ASSERT_TRUE(shell("ip route add 192.0.10.0/24 via 10.0.1.7"));
    EXPECT_TRUE(eventually(question, 7)) << "a route, no neighbour";
    ASSERT_TRUE(shell("ip neigh add 10.0.1.7 lladdr 02:00:00:00:01:07 dev va nud permanent"));
    EXPECT_TRUE(eventually(question, 0)) << "a neighbour";
    same(question, 0);
    ASSERT_TRUE(shell("ip rule add to 192.0.10.0/24 blackhole priority 900"));
    EXPECT_TRUE(eventually(question, 1)) << "a rule";
    ASSERT_TRUE(shell("ip rule del priority 900"));
    EXPECT_TRUE(eventually(question, 0));
    set_sysctl("ipv4/conf/va/forwarding", 0);
    EXPECT_TRUE(eventually(question, 5)) << "forwarding";
    set_sysctl("ipv4/conf/va/forwarding", 1);
    EXPECT_TRUE(eventually(question, 0));
    ASSERT_TRUE(shell("ip link set va mtu 1000"));
    EXPECT_TRUE(eventually({.destination = "192.0.10.1", .total_length = 1001}, 8)) << "MTU";
    ASSERT_TRUE(shell("ip link set va mtu 1500"));
    ASSERT_TRUE(shell("ip route del 192.0.10.0/24"));
    EXPECT_TRUE(eventually(question, 4)) << "no route";
}

}  // namespace
}  // namespace crema::test
