// SPDX-License-Identifier: BSD-3-Clause
//
// The driver on the model's wires, through the ethdev API: frames arrive whole, in order and once,
// pages in = pages out, filters and counters do what an application expects. All of it with the
// model in the driver's process, and behind a vfio-user socket.
#include <array>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lib/page_pool/page_pool.h"
#include "lib/xdp/attach.h"
#include "lib/xdp/hook.h"
#include "tests/driver/model_port.h"
#include "tests/support/eal.h"
#include "tests/support/user_server.h"

namespace crema::test {
namespace {

const auto* const eal_environment = with_eal({"-m", "128", "-l", "0"});

enum class Transport : std::uint8_t { in_process, user };

class ModelPort : public PortOnModel, public testing::WithParamInterface<Transport> {
  protected:
    std::string on_wire(const std::string& wire, const std::string& engine = "inline") override {
        if (GetParam() == Transport::in_process) {
            return PortOnModel::on_wire(wire, engine);
        }
        servers_.push_back(
            std::make_unique<vfio::ServerThread>("neta", vfio::ModelArgs{"model", wire, ""}));
        return "device=user:" + servers_.back()->path;
    }

    void TearDown() override {
        PortOnModel::TearDown();
        for (const auto& server : servers_) {
            EXPECT_EQ(server->server->ranges(), 0U);
        }
    }

  private:
    std::vector<std::unique_ptr<vfio::ServerThread>> servers_;
};

INSTANTIATE_TEST_SUITE_P(,
                         ModelPort,
                         testing::Values(Transport::in_process, Transport::user),
                         [](const auto& transport) {
                             return transport.param == Transport::user ? "user" : "in_process";
                         });

TEST_P(ModelPort, MillionFramesOnceInOrderAndForwardedInPlace) {
    up("loop");
    constexpr std::uint32_t kRounds = 1'000'000;
    // 256 numbered frames go round: received pages are sent again as they are.
    for (std::uint32_t i = 0; i < 256; ++i) {
        ASSERT_TRUE(send(port_, numbered_frame(kOwn, i)));
        if (i % 32 == 31) {
            rte_eth_tx_done_cleanup(port_.id, 0, 0);
        }
    }
    std::uint32_t expected = 0;
    std::uint32_t seen = 0;
    for (std::uint32_t polls = 0; seen < kRounds && polls < kRounds; ++polls) {
        std::array<rte_mbuf*, 32> mbufs{};
        const std::uint16_t n = rte_eth_rx_burst(port_.id, 0, mbufs.data(), 32);
        for (std::uint16_t i = 0; i < n; ++i) {
            ASSERT_EQ(number_of(mbufs.at(i)), expected) << "after " << seen;
            ASSERT_EQ(mbufs.at(i)->pkt_len, 64U);
            expected = (expected + 1) % 256;
            ++seen;
        }
        const std::uint16_t sent = rte_eth_tx_burst(port_.id, 0, mbufs.data(), n);
        ASSERT_EQ(sent, n);
    }
    EXPECT_GE(seen, kRounds);
    EXPECT_EQ(port_.stats().ipackets, seen);
    EXPECT_EQ(port_.stats().imissed, 0U);
    EXPECT_EQ(port_.stats().opackets, seen + 256);
    rte_eth_tx_done_cleanup(port_.id, 0, 0);
    const std::uint32_t left = receive_and_free(port_);
    EXPECT_EQ(left, 256U);
}

TEST_P(ModelPort, GeneratedFramesKeepTheirPagesInCirculation) {
    up("gen");
    rte_eth_promiscuous_enable(port_.id);
    std::uint64_t received = 0;
    for (int i = 0; i < 10000; ++i) {
        const auto mbufs = receive(port_);
        received += mbufs.size();
        for (rte_mbuf* mbuf : mbufs) {
            rte_pktmbuf_free(mbuf);
        }
    }
    EXPECT_GT(received, 100'000U);
    // After the first round every page came out of the cache.
    EXPECT_LE(port_.xstat("rx_pp_alloc_slow"), 2048U / 64U + 1);
    EXPECT_EQ(port_.xstat("refill_error"), 0U);
    EXPECT_EQ(port_.stats().ierrors, 0U);
}

TEST_P(ModelPort, FiltersFollowTheApplication) {
    up("loop");
    const auto comes_back = [&](const rte_ether_addr& to) {
        EXPECT_TRUE(send(port_, numbered_frame(to, 1)));
        return receive_and_free(port_) == 1;
    };
    const rte_ether_addr group{{0x33, 0x33, 0, 0, 0, 1}};
    EXPECT_TRUE(comes_back(kOwn));
    EXPECT_TRUE(comes_back(kBroadcast));
    EXPECT_FALSE(comes_back(kOther));
    EXPECT_FALSE(comes_back(group));
    rte_eth_promiscuous_enable(port_.id);
    EXPECT_TRUE(comes_back(kOther));
    EXPECT_TRUE(comes_back(group));
    rte_eth_promiscuous_disable(port_.id);
    EXPECT_FALSE(comes_back(kOther));
    rte_eth_allmulticast_enable(port_.id);
    EXPECT_TRUE(comes_back(group));
    EXPECT_FALSE(comes_back(kOther));
    rte_eth_allmulticast_disable(port_.id);
    rte_ether_addr added{{2, 0, 0, 0, 0, 0x1f}};
    EXPECT_FALSE(comes_back(added));
    EXPECT_EQ(rte_eth_dev_mac_addr_add(port_.id, &added, 0), 0);
    EXPECT_TRUE(comes_back(added));
    rte_ether_addr list = group;
    EXPECT_EQ(rte_eth_dev_set_mc_addr_list(port_.id, &list, 1), 0);
    EXPECT_TRUE(comes_back(group));
}

TEST_P(ModelPort, MtuLimitsWhatIsReceivedAlsoWhileRunning) {
    up("loop");
    ASSERT_EQ(rte_eth_dev_set_mtu(port_.id, 1000), 0);
    ASSERT_TRUE(send(port_, numbered_frame(kOwn, 1, 1018)));
    EXPECT_EQ(receive_and_free(port_), 1U);
    ASSERT_TRUE(send(port_, numbered_frame(kOwn, 1, 1100)));
    EXPECT_EQ(receive_and_free(port_), 0U);
    EXPECT_EQ(port_.stats().ierrors, 1U);
    ASSERT_EQ(rte_eth_dev_set_mtu(port_.id, 1500), 0);
    ASSERT_TRUE(send(port_, numbered_frame(kOwn, 1, 1518)));
    EXPECT_EQ(receive_and_free(port_), 1U);
}

TEST_P(ModelPort, ShortFramesArePadded) {
    up("loop");
    ASSERT_TRUE(send(port_, numbered_frame(kOwn, 1, 20)));
    const auto mbufs = receive(port_);
    ASSERT_EQ(mbufs.size(), 1U);
    EXPECT_EQ(mbufs[0]->pkt_len, 60U);
    rte_pktmbuf_free(mbufs[0]);
}

TEST_P(ModelPort, StatisticsHaveTheNamesPeopleKnow) {
    up("loop");
    for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(send(port_, numbered_frame(i < 3 ? kBroadcast : kOwn, 1, 100)));
    }
    EXPECT_EQ(receive_and_free(port_), 10U);
    EXPECT_EQ(port_.xstat("good_frames_received"), 10U);
    EXPECT_EQ(port_.xstat("good_frames_sent"), 10U);
    EXPECT_EQ(port_.xstat("good_octets_received"), 1040U);
    EXPECT_EQ(port_.xstat("good_octets_sent"), 1040U);
    EXPECT_EQ(port_.xstat("broadcast_frames_received"), 3U);
    EXPECT_EQ(port_.xstat("good_frames_received"), 10U);  // reading the chip cleared it
    EXPECT_EQ(port_.xstat("rx_q0_packets"), 10U);
    for (const char* name : {"bad_octets_received",
                             "internal_mac_transmit_err",
                             "bad_frames_received",
                             "multicast_frames_received",
                             "frames_64_octets",
                             "frames_1024_to_max_octets",
                             "excessive_collision",
                             "unrec_mac_control_received",
                             "fc_sent",
                             "undersize_received",
                             "jabber_received",
                             "late_collision",
                             "rx_discard",
                             "rx_overrun",
                             "refill_error",
                             "rx_xdp_redirect",
                             "rx_xdp_pass",
                             "rx_xdp_drop",
                             "rx_xdp_tx",
                             "rx_xdp_tx_errors",
                             "tx_xdp_xmit",
                             "tx_xdp_xmit_errors",
                             "rx_pp_alloc_fast",
                             "rx_pp_alloc_slow",
                             "rx_pp_alloc_slow_ho",
                             "rx_pp_alloc_empty",
                             "rx_pp_alloc_refill",
                             "rx_pp_alloc_waive",
                             "rx_pp_recycle_cached",
                             "rx_pp_recycle_cache_full",
                             "rx_pp_recycle_ring",
                             "rx_pp_recycle_ring_full",
                             "rx_pp_recycle_released_ref"}) {
        static_cast<void>(port_.xstat(name));  // fails when there is none
    }
    ASSERT_EQ(rte_eth_xstats_reset(port_.id), 0);
    EXPECT_EQ(port_.xstat("good_frames_received"), 0U);
    EXPECT_EQ(port_.stats().ipackets, 0U);
    ASSERT_TRUE(send(port_, numbered_frame(kOwn, 1, 100)));
    EXPECT_EQ(receive_and_free(port_), 1U);
    EXPECT_EQ(port_.xstat("good_frames_received"), 1U);
    EXPECT_EQ(port_.stats().ipackets, 1U);
}

TEST_P(ModelPort, FramesOfProgramsLeaveByQueuesOfTheirOwn) {
    up("loop");
    const xdp::Port* port = xdp::port_by_ifindex(xdp::ifindex_of(port_.id));
    ASSERT_NE(port, nullptr);
    EXPECT_TRUE(port->ops->is_up(port->port));
    EXPECT_EQ(port->ops->frame_bytes_max(port->port), 1518U);
    auto pool = page_pool::create({.name = "frames", .pages = 512, .numa_node = -1});
    ASSERT_TRUE(pool);
    std::array<rte_mbuf*, 64> pages{};
    for (std::uint32_t slot = 0; slot < 20; ++slot) {
        ASSERT_EQ(page_pool::alloc_bulk(*pool, pages.data(), 64), 64U);
        std::array<xdp::Frame, 64> frames{};
        for (std::size_t i = 0; i < 64; ++i) {
            std::uint8_t* data = page_pool::buffer_of(pages.at(i)) + page_pool::kDataOffset;
            std::memcpy(data, &kOwn, 6);
            frames.at(i) = {
                .page = pages.at(i), .data = data, .len = 60, .meta_len = 0, .fragments = 0};
        }
        EXPECT_EQ(port->ops->xmit(port->port, slot, frames.data(), 64), 64U);
        EXPECT_EQ(receive_and_free(port_), 64U);
    }
    EXPECT_EQ(port_.xstat("tx_xdp_xmit"), 20U * 64U);
    EXPECT_EQ(port_.xstat("tx_xdp_xmit_errors"), 0U);
    ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
    EXPECT_FALSE(port->ops->is_up(port->port));
    xdp::Frame frame{.page = pages[0], .data = nullptr, .len = 60, .meta_len = 0, .fragments = 0};
    EXPECT_EQ(port->ops->xmit(port->port, 0, &frame, 1), 0U);
    EXPECT_TRUE(page_pool::destroy(*pool));  // all pages came home
}

TEST_P(ModelPort, ProgramsAndLargeMtusExcludeEachOther) {
    up("null");
    const xdp::Port* port = xdp::port_by_ifindex(xdp::ifindex_of(port_.id));
    ASSERT_NE(port, nullptr);
    const std::uint16_t most = page_pool::kXdpFrameBytesMax - 18;
    ASSERT_EQ(rte_eth_dev_set_mtu(port_.id, most), 0);
    EXPECT_TRUE(port->ops->attach_check(port->port, false));
    ASSERT_EQ(rte_eth_dev_set_mtu(port_.id, most + 1), 0);
    const auto refused = port->ops->attach_check(port->port, false);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find(std::to_string(most + 1)), std::string::npos);
    EXPECT_NE(refused.error().message.find(std::to_string(most)), std::string::npos);
    EXPECT_EQ(refused.error().code, EOPNOTSUPP);
    // Frames of several pages come to ports with scattered RX only.
    EXPECT_FALSE(port->ops->attach_check(port->port, true));
}

TEST_P(ModelPort, ProgramsRunBeforeMbufsAreMade) {
    const std::string folder = CREMA_BPF_FOLDER;
    for (const bool pass : {false, true}) {
        up("gen", ",xdp=" + folder + (pass ? "/pass.bpf.o" : "/drop.bpf.o"));
        rte_eth_promiscuous_enable(port_.id);
        std::uint64_t delivered = 0;
        for (int i = 0; i < 10000; ++i) {
            for (rte_mbuf* mbuf : receive(port_)) {
                rte_pktmbuf_free(mbuf);
                ++delivered;
            }
        }
        const std::uint64_t received = port_.stats().ipackets;
        EXPECT_GT(received, 100'000U);
        EXPECT_EQ(delivered, pass ? received : 0U);
        EXPECT_EQ(port_.xstat("rx_xdp_pass"), pass ? received : 0U);
        EXPECT_EQ(port_.xstat("rx_xdp_drop"), pass ? 0U : received);
        EXPECT_EQ(rte_eth_dev_set_mtu(port_.id, page_pool::kXdpFrameBytesMax - 17), -EINVAL);
        EXPECT_EQ(rte_eth_dev_stop(port_.id), 0);
        EXPECT_EQ(port_.xstat("rx_pp_in_flight"), 0U);
        port_.close();
    }
}

TEST_P(ModelPort, SeveralProgramsRunOneAfterTheOther) {
    const std::string folder = CREMA_BPF_FOLDER;
    up("gen", ",xdp=" + folder + "/pass.bpf.o,xdp=" + folder + "/drop.bpf.o");
    const auto programs = xdp::attachment(port_.id).programs;
    ASSERT_EQ(programs.size(), 2U);
    EXPECT_EQ(programs[0].program->program.name, "drop") << "alike but for the name";
    EXPECT_EQ(programs[1].program->program.name, "pass");
    rte_eth_promiscuous_enable(port_.id);
    for (int i = 0; i < 1000; ++i) {
        EXPECT_TRUE(receive(port_).empty());
    }
    EXPECT_GT(port_.xstat("rx_xdp_drop"), 10'000U);
    EXPECT_EQ(port_.xstat("rx_xdp_drop"), port_.stats().ipackets);
}

TEST_P(ModelPort, ObjectThatCannotBeAttachedFailsTheProbe) {
    EXPECT_LT(port_.plug("net_neta0", "xdp=/no/such/object.o"), 0);
    EXPECT_LT(port_.plug("net_neta0", std::string("xdp=") + CREMA_BPF_FOLDER +
                                          "/drop.bpf.o,xdp=/no/such/object.o"),
              0);
    EXPECT_LT(
        port_.plug("net_neta0", std::string("xdp=") + CREMA_BPF_FOLDER + "/drop.bpf.o:nobody"), 0);
}

class UserPort : public NoLeftovers {};

TEST_F(UserPort, ModelThatDiesIsALinkThatIsDownUntilItIsBack) {
    const vfio::ModelArgs args{"model", "loop", ""};
    auto server = std::make_unique<vfio::ServerThread>("neta", args);
    const std::string path = server->path;
    EthPort port;
    ASSERT_EQ(port.plug("net_neta0", "device=user:" + path + ",mac=02:00:00:00:00:10"), 0);
    ASSERT_EQ(port.configure(), 0);
    const auto comes_back = [&] {
        rte_mbuf* mbuf = numbered_frame(kOwn, 1);
        if (rte_eth_tx_burst(port.id, 0, &mbuf, 1) != 1) {
            rte_pktmbuf_free(mbuf);
            return false;
        }
        const bool received = rte_eth_rx_burst(port.id, 0, &mbuf, 1) == 1;
        if (received) {
            rte_pktmbuf_free(mbuf);
        }
        return received;
    };
    const auto link = [&] {
        rte_eth_link now{};
        rte_eth_link_get_nowait(port.id, &now);
        return now.link_status;
    };
    for (unsigned round = 0; round < 3; ++round) {
        ASSERT_EQ(port.start(), 0);
        EXPECT_EQ(link(), RTE_ETH_LINK_UP);
        EXPECT_TRUE(comes_back());
        server.reset();
        EXPECT_FALSE(comes_back());
        EXPECT_EQ(link(), RTE_ETH_LINK_DOWN);
        for (unsigned i = 0; i < 1000; ++i) {  // more than the ring holds: full, not stuck
            EXPECT_FALSE(comes_back());
        }
        EXPECT_EQ(rte_eth_dev_stop(port.id), 0);
        EXPECT_EQ(port.xstat("rx_pp_in_flight"), 0U);
        EXPECT_EQ(port.start(), -ENOENT);
        server =
            std::make_unique<vfio::ServerThread>("neta", args, vfio::user::Flavour::plain, path);
    }
    port.close();
    EXPECT_EQ(server->server->ranges(), 0U);
}

TEST_P(ModelPort, PairOfPortsAndManyQueues) {
    ASSERT_EQ(port_.plug("net_neta0", on_wire("pair:p") + ",mac=02:00:00:00:00:10"), 0);
    EthPort peer;
    ASSERT_EQ(peer.plug("net_neta1", on_wire("pair:p", "thread") + ",mac=02:00:00:00:00:20"), 0);
    ASSERT_EQ(port_.configure(8, 4, 64, 64), 0);
    ASSERT_EQ(peer.configure(), 0);
    ASSERT_EQ(port_.start(), 0);
    ASSERT_EQ(peer.start(), 0);
    // VLAN priority p arrives in queue p of eight.
    for (std::uint16_t priority = 0; priority < 8; ++priority) {
        rte_mbuf* mbuf = numbered_frame(kOwn, priority, 64);
        auto* data = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
        data[12] = 0x81;
        data[13] = 0x00;
        data[14] = static_cast<std::uint8_t>(priority << 5U);
        ASSERT_TRUE(send(peer, mbuf));
        rte_mbuf* got = nullptr;
        for (int polls = 0; polls < 2000 && got == nullptr; ++polls) {
            if (rte_eth_rx_burst(port_.id, priority, &got, 1) == 0) {
                rte_delay_us_block(100);
            }
        }
        ASSERT_NE(got, nullptr) << "priority " << priority;
        rte_pktmbuf_free(got);
    }
    for (std::uint16_t queue = 0; queue < 4; ++queue) {
        rte_mbuf* mbuf = numbered_frame(kOther, queue);
        ASSERT_EQ(rte_eth_tx_burst(port_.id, queue, &mbuf, 1), 1);
    }
    std::uint32_t arrived = 0;
    for (int polls = 0; polls < 2000 && arrived < 4; ++polls) {
        arrived += receive_and_free(peer);
        rte_delay_us_block(100);
    }
    EXPECT_EQ(arrived, 4U);
    rte_eth_dev_stop(peer.id);
}

}  // namespace
}  // namespace crema::test
