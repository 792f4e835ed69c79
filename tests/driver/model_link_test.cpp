// SPDX-License-Identifier: BSD-3-Clause
//
// Links that are not just 1000 full: speeds that the application forces, and a PHY that the MAC
// follows.
#include <atomic>
#include <cerrno>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>
#include <vector>

#include <rte_cycles.h>
#include <rte_dev_info.h>

#include "lib/neta/registers.h"
#include "tests/driver/model_port.h"

namespace crema::test {
namespace {

constexpr std::uint32_t kFixed = RTE_ETH_LINK_SPEED_FIXED;

class ModelLink : public PortOnModel {
  protected:
    void up_at(std::uint32_t speeds, const std::string& more = "") {
        port_.conf.link_speeds = speeds;
        up("loop", more);
    }

    [[nodiscard]] rte_eth_link link() const {
        rte_eth_link link{};
        EXPECT_EQ(rte_eth_link_get_nowait(port_.id, &link), 0);
        return link;
    }

    void expect_link(std::uint32_t mbps, unsigned duplex, unsigned autoneg) const {
        const rte_eth_link now = link();
        EXPECT_EQ(now.link_status, RTE_ETH_LINK_UP);
        EXPECT_EQ(now.link_speed, mbps);
        EXPECT_EQ(now.link_duplex, duplex);
        EXPECT_EQ(now.link_autoneg, autoneg);
    }

    [[nodiscard]] std::uint32_t register_at(std::uint32_t offset) const {
        std::vector<std::uint32_t> words(neta::kRegionBytes / 4);
        rte_dev_reg_info info{};
        info.data = words.data();
        EXPECT_EQ(rte_eth_dev_get_reg_info(port_.id, &info), 0);
        return words.at(offset / 4);
    }

    void expect_traffic() {
        ASSERT_TRUE(send(port_, numbered_frame(kOwn, 1)));
        EXPECT_EQ(receive_and_free(port_), 1U);
    }
};

TEST_F(ModelLink, SpeedsAreForced) {
    const struct {
        std::uint32_t speeds, mbps;
        unsigned duplex;
    } cases[] = {{0, 1000, RTE_ETH_LINK_FULL_DUPLEX},
                 {kFixed | RTE_ETH_LINK_SPEED_1G, 1000, RTE_ETH_LINK_FULL_DUPLEX},
                 {kFixed | RTE_ETH_LINK_SPEED_100M, 100, RTE_ETH_LINK_FULL_DUPLEX},
                 {kFixed | RTE_ETH_LINK_SPEED_100M_HD, 100, RTE_ETH_LINK_HALF_DUPLEX},
                 {kFixed | RTE_ETH_LINK_SPEED_10M, 10, RTE_ETH_LINK_FULL_DUPLEX},
                 {kFixed | RTE_ETH_LINK_SPEED_10M_HD, 10, RTE_ETH_LINK_HALF_DUPLEX}};

    up_at(0);
    for (const auto& one : cases) {
        ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
        port_.conf.link_speeds = one.speeds;
        ASSERT_EQ(port_.configure(), 0);
        ASSERT_EQ(port_.start(), 0);
        expect_link(one.mbps, one.duplex, RTE_ETH_LINK_FIXED);
        expect_traffic();
    }
}

TEST_F(ModelLink, SpeedsThatCannotBeAreRefused) {
    up_at(0);
    rte_eth_dev_info info{};
    ASSERT_EQ(rte_eth_dev_info_get(port_.id, &info), 0);
    EXPECT_EQ(info.speed_capa, kFixed | RTE_ETH_LINK_SPEED_10M_HD | RTE_ETH_LINK_SPEED_10M |
                                   RTE_ETH_LINK_SPEED_100M_HD | RTE_ETH_LINK_SPEED_100M |
                                   RTE_ETH_LINK_SPEED_1G);
    ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
    for (const std::uint32_t wrong :
         {kFixed, kFixed | RTE_ETH_LINK_SPEED_2_5G, kFixed | RTE_ETH_LINK_SPEED_10G,
          kFixed | RTE_ETH_LINK_SPEED_100M | RTE_ETH_LINK_SPEED_1G,
          std::uint32_t{RTE_ETH_LINK_SPEED_100M}}) {  // who would negotiate it?
        port_.conf.link_speeds = wrong;
        EXPECT_EQ(port_.configure(), -EINVAL) << std::hex << wrong;
    }
    port_.conf.link_speeds = 0;
    ASSERT_EQ(port_.configure(), 0);
    ASSERT_EQ(port_.start(), 0);
}

TEST_F(ModelLink, PhyNegotiatesWhatIsOffered) {
    const struct {
        std::uint32_t speeds, mbps;
        unsigned duplex, autoneg;
    } cases[] = {
        {0, 1000, RTE_ETH_LINK_FULL_DUPLEX, RTE_ETH_LINK_AUTONEG},
        {RTE_ETH_LINK_SPEED_100M | RTE_ETH_LINK_SPEED_10M, 100, RTE_ETH_LINK_FULL_DUPLEX,
         RTE_ETH_LINK_AUTONEG},
        {RTE_ETH_LINK_SPEED_100M_HD, 100, RTE_ETH_LINK_HALF_DUPLEX, RTE_ETH_LINK_AUTONEG},
        {RTE_ETH_LINK_SPEED_10M, 10, RTE_ETH_LINK_FULL_DUPLEX, RTE_ETH_LINK_AUTONEG},
        {kFixed | RTE_ETH_LINK_SPEED_100M, 100, RTE_ETH_LINK_FULL_DUPLEX, RTE_ETH_LINK_FIXED},
        {kFixed | RTE_ETH_LINK_SPEED_10M_HD, 10, RTE_ETH_LINK_HALF_DUPLEX, RTE_ETH_LINK_FIXED},
        {kFixed | RTE_ETH_LINK_SPEED_1G, 1000, RTE_ETH_LINK_FULL_DUPLEX, RTE_ETH_LINK_FIXED}};

    up_at(0, ",phy=0");
    for (const auto& one : cases) {
        ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
        port_.conf.link_speeds = one.speeds;
        ASSERT_EQ(port_.configure(), 0);
        ASSERT_EQ(port_.start(), 0);
        expect_link(one.mbps, one.duplex, one.autoneg);
        expect_traffic();
        ASSERT_EQ(rte_eth_dev_set_mtu(port_.id, 1400), 0);
        expect_link(one.mbps, one.duplex, one.autoneg);
    }
}

TEST_F(ModelLink, PauseIsNegotiated) {
    constexpr std::uint32_t kPause = neta::kGmacStatusRxFlowCtrl | neta::kGmacStatusTxFlowCtrl;
    up_at(0, ",phy=0");
    EXPECT_EQ(register_at(neta::kGmacStatus) & kPause, 0U) << "not offered";
    rte_eth_fc_conf conf{};
    ASSERT_EQ(rte_eth_dev_flow_ctrl_get(port_.id, &conf), 0);
    EXPECT_EQ(conf.autoneg, 1);
    conf.mode = RTE_ETH_FC_FULL;
    ASSERT_EQ(rte_eth_dev_flow_ctrl_set(port_.id, &conf), 0);
    EXPECT_EQ(register_at(neta::kGmacStatus) & kPause, kPause);
    ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
    port_.conf.link_speeds = RTE_ETH_LINK_SPEED_100M_HD;
    ASSERT_EQ(port_.configure(), 0);
    ASSERT_EQ(port_.start(), 0);
    EXPECT_EQ(register_at(neta::kGmacStatus) & kPause, 0U) << "never in half duplex";
}

TEST_F(ModelLink, LinkIsThePhys) {
    static std::atomic<int> told{0};
    told = 0;
    const std::string cable = "pair:link" + std::to_string(::getpid());
    port_.conf.intr_conf.lsc = 1;
    up(cable, ",phy=0");
    port_.count_events(RTE_ETH_EVENT_INTR_LSC, told);
    EXPECT_EQ(link().link_status, RTE_ETH_LINK_DOWN) << "nobody at the other end";
    const auto wait_for = [&](int changes) {
        for (int i = 0; i < 500 && told < changes; ++i) {
            rte_delay_us_sleep(10'000);
        }
        EXPECT_EQ(told, changes);
    };
    {
        EthPort other;
        ASSERT_EQ(other.plug("net_neta1", on_wire(cable) + ",mac=02:00:00:00:00:20"), 0);
        wait_for(1);
        expect_link(1000, RTE_ETH_LINK_FULL_DUPLEX, RTE_ETH_LINK_AUTONEG);
        ASSERT_EQ(rte_eth_dev_set_link_down(port_.id), 0);
        EXPECT_EQ(link().link_status, RTE_ETH_LINK_DOWN);
        rte_delay_us_sleep(250'000);
        EXPECT_EQ(link().link_status, RTE_ETH_LINK_DOWN) << "and stays so";
        ASSERT_EQ(rte_eth_dev_set_link_up(port_.id), 0);
        expect_link(1000, RTE_ETH_LINK_FULL_DUPLEX, RTE_ETH_LINK_AUTONEG);
    }
    wait_for(2);
    EXPECT_EQ(link().link_status, RTE_ETH_LINK_DOWN);
}

TEST_F(ModelLink, WhereNoPhyAnswersProbeFails) {
    EXPECT_EQ(port_.plug("net_neta0", on_wire("null") + ",phy=7"), -ENODEV);
    EXPECT_EQ(port_.plug("net_neta0", on_wire("null") + ",phy=32"), -EINVAL);
    EXPECT_EQ(port_.plug("net_neta0", on_wire("null") + ",phy=one"), -EINVAL);
}

}  // namespace
}  // namespace crema::test
