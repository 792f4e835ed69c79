// SPDX-License-Identifier: BSD-3-Clause
//
// A device that commits faults (faults=): traffic goes on, every frame that does not arrive was
// injected and is counted under its right name, no page is lost.
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include <rte_epoll.h>

#include "drivers/net/neta/port.h"
#include "tests/driver/model_port.h"
#include "tests/driver/sums.h"
#include "tests/support/user_server.h"

namespace crema::test {
namespace {

constexpr std::uint32_t kFrames = 12'000;
constexpr std::uint32_t kAtOnce = 24;  // the loop holds them all

struct FaultCase {
    const char* name;
    const char* faults;
    bool link = false;
    bool bad = false;  // status or dma
    bool late = false;
};

class ModelFaults : public PortOnModel, public testing::WithParamInterface<FaultCase> {
  protected:
    [[nodiscard]] std::uint64_t injected(std::string_view what) const {
        return neta_pmd::port_of(&rte_eth_devices[port_.id]).device->injected(what);
    }

    static Bytes frame_of(std::uint32_t number, std::size_t bytes) {
        std::mt19937 dice(number);
        Bytes frame(bytes);
        std::generate(frame.begin(), frame.end(),
                      [&] { return static_cast<std::uint8_t>(dice()); });
        std::memcpy(frame.data(), &kOwn, 6);
        frame.at(6) = 2;
        frame.at(12) = 0x88;
        frame.at(13) = 0xb5;
        std::memcpy(&frame.at(14), &number, 4);
        return frame;
    }

    static std::size_t length_of(std::uint32_t number, std::size_t most) {
        return 60 + number * 7919U % (most - 60);
    }

    void send_numbered(std::uint32_t number, std::size_t most) {
        const Bytes frame = frame_of(number, length_of(number, most));
        rte_mbuf* first = nullptr;
        for (std::size_t at = 0; at < frame.size(); at += 1900) {
            const std::size_t n = std::min<std::size_t>(1900, frame.size() - at);
            rte_mbuf* segment = EthPort::app_mbuf(static_cast<std::uint16_t>(n));
            std::memcpy(rte_pktmbuf_mtod(segment, std::uint8_t*), &frame.at(at), n);
            if (first == nullptr) {
                first = segment;
            } else {
                ASSERT_EQ(rte_pktmbuf_chain(first, segment), 0);
            }
        }
        ASSERT_TRUE(send(port_, first));
    }

    /// Takes what is there; every frame is whole, and comes after the ones before.
    void take(std::size_t most) {
        for (rte_mbuf* mbuf : receive(port_)) {
            const Bytes got = bytes_of(mbuf);
            std::uint32_t number = 0;
            ASSERT_GE(got.size(), 60U);
            std::memcpy(&number, &got.at(14), 4);
            EXPECT_GE(number, next_);
            ASSERT_LT(number, sent_);
            next_ = number + 1;
            ASSERT_EQ(got, frame_of(number, length_of(number, most))) << number;
            ++received_;
            rte_pktmbuf_free(mbuf);
        }
        rte_eth_link link{};
        ASSERT_EQ(rte_eth_link_get_nowait(port_.id, &link), 0);
        (link.link_status == RTE_ETH_LINK_UP ? ups_ : downs_) += 1;
    }

    [[nodiscard]] std::uint64_t bad() const {
        std::uint64_t sum = 0;
        for (const char* name : {"rx_error_crc", "rx_error_overrun", "rx_error_too_long",
                                 "rx_error_resource", "rx_error_fragment", "rx_error_size"}) {
            sum += port_.xstat(name);
        }
        return sum;
    }

    [[nodiscard]] std::uint64_t accounted() const {
        return received_ + bad() + port_.xstat("tx_drop") +
               port_.xstat("internal_mac_transmit_err") + injected("not heard");
    }

    void exchange(std::size_t most) {
        while (sent_ < kFrames) {
            for (std::uint32_t i = 0; i < kAtOnce; ++i) {
                ASSERT_NO_FATAL_FAILURE(send_numbered(sent_, most));
                ++sent_;
            }
            rte_eth_tx_done_cleanup(port_.id, 0, 0);
            for (int polls = 0; polls < 6; ++polls) {
                ASSERT_NO_FATAL_FAILURE(take(most));
            }
        }
        for (int polls = 0; polls < 3000 && accounted() != sent_; ++polls) {
            ASSERT_NO_FATAL_FAILURE(take(most));
        }
    }

    void expect_right_names() {
        EXPECT_EQ(accounted(), sent_);
        EXPECT_EQ(port_.xstat("rx_error_crc"), injected("crc"));
        EXPECT_EQ(port_.xstat("rx_error_overrun"), injected("overrun"));
        EXPECT_EQ(port_.xstat("rx_error_too_long"), injected("too long"));
        EXPECT_EQ(port_.xstat("rx_error_fragment"), injected("fragment"));
        EXPECT_EQ(port_.xstat("rx_error_size"), injected("size"));
        EXPECT_EQ(port_.xstat("internal_mac_transmit_err"), injected("not sent"));
        EXPECT_EQ(port_.xstat("rx_error_resource"),
                  injected("resource") + injected("dma") - injected("not sent"));
        EXPECT_EQ(port_.stats().ierrors, bad());
        EXPECT_EQ(port_.stats().ipackets, received_);
        const FaultCase& now = GetParam();
        EXPECT_EQ(port_.xstat("rx_descriptor_late") != 0, now.late);
        EXPECT_EQ(injected("late") != 0, now.late);
        EXPECT_EQ(bad() != 0, now.bad);
        EXPECT_EQ(downs_ != 0, now.link);
        EXPECT_EQ(injected("link") != 0, now.link);
        EXPECT_GT(ups_, downs_);
        EXPECT_GT(received_, kFrames / 2);
        if (!now.link && !now.bad) {
            EXPECT_EQ(received_, kFrames);
        }
    }

    std::uint32_t sent_ = 0;
    std::uint32_t next_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t ups_ = 0;
    std::uint64_t downs_ = 0;
};

INSTANTIATE_TEST_SUITE_P(
    ,
    ModelFaults,
    testing::Values(FaultCase{.name = "none", .faults = ""},
                    FaultCase{.name = "late", .faults = ",faults=late=5", .late = true},
                    FaultCase{.name = "status", .faults = ",faults=status=10", .bad = true},
                    FaultCase{.name = "link", .faults = ",faults=link=400", .link = true},
                    FaultCase{.name = "dma", .faults = ",faults=dma=20", .bad = true},
                    FaultCase{.name = "mixed",
                              .faults = ",faults=late=5:status=20:link=600:dma=50:seed=3",
                              .link = true,
                              .bad = true,
                              .late = true},
                    FaultCase{.name = "mixed_not_coherent",
                              .faults = ",cache=evicting,faults=late=3:status=20:link=600:dma=50:"
                                        "seed=4",
                              .link = true,
                              .bad = true,
                              .late = true}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_P(ModelFaults, NothingIsLostThatWasNotInjected) {
    up("loop", GetParam().faults);
    ASSERT_NO_FATAL_FAILURE(exchange(1514));
    expect_right_names();
}

TEST_P(ModelFaults, PortsStopAndStartUnderFaults) {
    up("loop", GetParam().faults);
    for (unsigned round = 0; round < 40; ++round) {
        for (std::uint32_t i = 0; i < kAtOnce; ++i) {
            ASSERT_NO_FATAL_FAILURE(send_numbered(sent_, 1514));
            ++sent_;
        }
        for (unsigned polls = round % 4; polls != 0; --polls) {
            ASSERT_NO_FATAL_FAILURE(take(1514));
        }
        if (round % 2 == 0) {
            ASSERT_EQ(rte_eth_dev_rx_queue_stop(port_.id, 0), 0);
            ASSERT_EQ(rte_eth_dev_rx_queue_start(port_.id, 0), 0);
        } else {
            ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
            EXPECT_EQ(port_.xstat("rx_pp_in_flight"), 0U);
            ASSERT_EQ(port_.start(), 0);
        }
    }
}

class ScatteredFaults : public ModelFaults {};

INSTANTIATE_TEST_SUITE_P(
    ,
    ScatteredFaults,
    testing::Values(FaultCase{.name = "late", .faults = ",faults=late=5", .late = true},
                    FaultCase{.name = "dma", .faults = ",faults=dma=40", .bad = true},
                    FaultCase{.name = "mixed",
                              .faults = ",faults=late=5:link=600:dma=50:seed=5",
                              .link = true,
                              .bad = true,
                              .late = true},
                    // A program takes them in pieces and passes them all.
                    FaultCase{
                        .name = "mixed_program",
                        .faults = ",faults=late=5:link=600:dma=50:seed=6,xdp=" CREMA_TEST_OBJECTS
                                  "/native_cases.o:in_pieces",
                        .link = true,
                        .bad = true,
                        .late = true}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_P(ScatteredFaults, NothingIsLostThatWasNotInjected) {
    port_.conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER;
    port_.conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    port_.conf.rxmode.mtu = 9000;
    up("loop", GetParam().faults);
    ASSERT_NO_FATAL_FAILURE(exchange(9000));
    expect_right_names();
}

class LostInterrupts : public PortOnModel {};

TEST_F(LostInterrupts, WhoSleepsForALimitedTimeMissesNoFrame) {
    vfio::ServerThread server("neta",
                              {.instance = "model", .wire = "loop", .faults = "interrupt=3"});
    port_.conf.intr_conf.rxq = 1;
    ASSERT_EQ(port_.plug("net_neta0", "device=user:" + server.path + ",mac=02:00:00:00:00:10"), 0);
    ASSERT_EQ(port_.configure(), 0);
    ASSERT_EQ(port_.start(), 0);
    ASSERT_EQ(
        rte_eth_dev_rx_intr_ctl_q(port_.id, 0, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD, nullptr),
        0);
    unsigned woken = 0;
    unsigned overslept = 0;
    for (std::uint32_t round = 0; round < 200; ++round) {
        ASSERT_EQ(rte_eth_dev_rx_intr_enable(port_.id, 0), 0);
        ASSERT_TRUE(send(port_, numbered_frame(kOwn, round)));
        rte_epoll_event event{};
        (rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, 20) == 1 ? woken : overslept) += 1;
        ASSERT_EQ(rte_eth_dev_rx_intr_disable(port_.id, 0), 0);
        ASSERT_EQ(receive_and_free(port_), 1U) << round;
    }
    EXPECT_GT(woken, 20U);
    EXPECT_GT(overslept, 20U);
    ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
    EXPECT_EQ(port_.xstat("rx_pp_in_flight"), 0U);
    port_.close();
}

TEST_F(LostInterrupts, WrongWordsAreRefused) {
    for (const char* wrong : {"sometimes", "late=", "late=0", "late=x", "late:late=1:nothing",
                              "seed", "late=4294967296"}) {
        EXPECT_EQ(port_.plug("net_neta0", std::string("faults=") + wrong), -EINVAL) << wrong;
    }
    EXPECT_EQ(port_.plug("net_neta0", "device=user:/no/such,faults=late"), -EINVAL);
}

}  // namespace
}  // namespace crema::test
