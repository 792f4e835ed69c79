// SPDX-License-Identifier: BSD-3-Clause
//
// Frames over several descriptors from a device that keeps the rules, breaks them or never ends
// what it began: chains are right or counted, and every page comes home.
#include <array>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "lib/page_pool/page_pool.h"
#include "tests/driver/scripted_port.h"

namespace crema::test {
namespace {

constexpr std::uint32_t kFirst = neta::kRxFirst;
constexpr std::uint32_t kLast = neta::kRxLast;
constexpr std::uint32_t kBuffer = page_pool::kPieceDmaBytes;
constexpr std::uint16_t kJumboMtu = 9000;

class DeviceScatter : public ScriptedPort {
  protected:
    void up_scattered(const std::string& more = "") {
        port_.conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER;
        port_.conf.rxmode.mtu = kJumboMtu;
        up(more);
    }

    [[nodiscard]] std::uint64_t faults() const { return port_.stats().ierrors; }
};

void expect_consistent(const rte_mbuf* mbuf) {
    std::uint32_t bytes = 0;
    unsigned segments = 0;
    for (const rte_mbuf* segment = mbuf; segment != nullptr; segment = segment->next) {
        EXPECT_GT(segment->data_len, 0);
        EXPECT_LE(segment->data_off + segment->data_len, segment->buf_len);
        bytes += segment->data_len;
        ++segments;
    }
    EXPECT_EQ(bytes, mbuf->pkt_len);
    EXPECT_EQ(segments, mbuf->nb_segs);
}

struct Descriptor {
    std::uint32_t status;
    std::uint32_t size;
};

struct Case {
    const char* what;
    std::vector<Descriptor> given;
    const char* counter;  // of the one fault; null: a good frame
};

TEST_F(DeviceScatter, BrokenChainsCountOnceAndTheirPagesComeHome) {
    up_scattered();
    constexpr std::uint32_t kTwo = kBuffer + 1;        // smallest size that takes two
    constexpr std::uint32_t kThree = 2 * kBuffer + 1;  // ... and three
    const std::uint32_t error = neta::kRxError;
    const std::vector<Case> cases = {
        {"two", {{kFirst, kTwo}, {kLast, 0}}, nullptr},
        {"three", {{kFirst, kThree}, {0, 0}, {kLast, 0}}, nullptr},
        {"sizes in all of them", {{kFirst, kThree}, {0, 77}, {kLast, 0xffff}}, nullptr},
        {"largest", {{kFirst, 9018 + 6}, {0, 0}, {0, 0}, {kLast, 0}}, nullptr},
        {"a byte too long", {{kFirst, 9018 + 7}, {0, 0}, {0, 0}, {kLast, 0}}, "rx_error_size"},
        {"far too long", {{kFirst, 0xffff}, {0, 0}, {0, 0}, {0, 0}, {kLast, 0}}, "rx_error_size"},
        {"ends too early", {{kFirst, kThree}, {kLast, 0}}, "rx_error_size"},
        {"ends in the first", {{kFirst | kLast, kTwo}}, "rx_error_size"},
        {"goes on though it fits", {{kFirst, 100}, {kLast, 0}}, "rx_error_fragment"},
        {"ends too late", {{kFirst, kTwo}, {0, 0}, {0, 0}, {kLast, 0}}, "rx_error_fragment"},
        {"no beginning", {{0, 0}, {0, 50}, {kLast, 0}}, "rx_error_fragment"},
        {"only an end", {{kLast, 100}}, "rx_error_fragment"},
        {"cut off by the next frame", {{kFirst, kThree}, {0, 0}}, "rx_error_fragment"},
        {"out of descriptors",
         {{kFirst | error | neta::kRxErrorCode.of(3), kThree}, {kLast, 0}},
         "rx_error_resource"},
        {"bad FCS", {{kFirst | error, kThree}, {0, 0}, {kLast, 0}}, "rx_error_crc"},
        {"nothing in it", {{kFirst, 0}, {kLast, 0}}, "rx_error_size"},
        {"shorter than a header", {{kFirst | kLast, 19}}, "rx_error_size"},
    };
    for (int round = 0; round < 20; ++round) {  // around the ring, in all positions
        for (const Case& one : cases) {
            SCOPED_TRACE(one.what);
            const std::uint64_t before = one.counter == nullptr ? 0 : port_.xstat(one.counter);
            const std::uint64_t all_before = faults();
            for (const Descriptor& descriptor : one.given) {
                ASSERT_TRUE(device().deliver(descriptor.status, descriptor.size));
            }
            ASSERT_TRUE(device().deliver(kGood, 66));
            const auto mbufs = receive();
            ASSERT_EQ(mbufs.size(), one.counter == nullptr ? 2U : 1U);
            for (rte_mbuf* mbuf : mbufs) {
                expect_consistent(mbuf);
            }
            EXPECT_EQ(mbufs.back()->pkt_len, 60U);
            if (one.counter == nullptr) {
                EXPECT_EQ(mbufs[0]->pkt_len, one.given[0].size - 6);
            } else {
                EXPECT_EQ(port_.xstat(one.counter), before + 1);
            }
            EXPECT_EQ(faults(), all_before + (one.counter == nullptr ? 0 : 1));
            rte_pktmbuf_free_bulk(const_cast<rte_mbuf**>(mbufs.data()),
                                  static_cast<unsigned>(mbufs.size()));
        }
    }
    EXPECT_EQ(device().odd_news, 0U);
}

TEST_F(DeviceScatter, ChainIsWaitedForUntilAllOfItIsThere) {
    up_scattered();
    for (const std::uint16_t burst : {std::uint16_t{1}, std::uint16_t{32}}) {
        const std::uint32_t start = device().rx_index;
        ASSERT_TRUE(device().deliver(kFirst, 2 * kBuffer + 1));
        EXPECT_EQ(receive_and_free(burst), 0U);  // counted: the first
        ASSERT_TRUE(device().deliver(0, 0));
        EXPECT_EQ(receive_and_free(burst), 0U);
        device().skip();  // counted, not in memory
        EXPECT_EQ(receive_and_free(burst), 0U);
        EXPECT_GT(port_.xstat("rx_descriptor_late"), 0U);
        // A chip that writes no size into later descriptors.
        device().rx_descriptor((start + 2) % 256).status = kLast;
        EXPECT_EQ(receive_and_free(burst), 1U);
        EXPECT_EQ(faults(), 0U);
    }
}

TEST_F(DeviceScatter, ChainAcrossBurstsAndTheRingsEnd) {
    up_scattered();
    std::uint64_t received = 0;
    for (int round = 0; round < 400; ++round) {
        for (int i = 0; i < 5; ++i) {
            ASSERT_TRUE(device().deliver(kFirst, 2 * kBuffer + 1));
            ASSERT_TRUE(device().deliver(0, 0));
            ASSERT_TRUE(device().deliver(kLast, 0));
        }
        for (std::size_t n = 1; n != 0; received += n) {
            n = receive_and_free(2);
        }
    }
    EXPECT_EQ(received, 2000U);
    EXPECT_EQ(faults(), 0U);
}

TEST_F(DeviceScatter, LastBufferWithNothingButFcsGoesHome) {
    up_scattered();
    for (std::uint32_t fcs = 1; fcs <= 4; ++fcs) {
        ASSERT_TRUE(device().deliver(kFirst, kBuffer + fcs));
        ASSERT_TRUE(device().deliver(kLast, 0));
        const auto mbufs = receive();
        ASSERT_EQ(mbufs.size(), 1U);
        EXPECT_EQ(mbufs[0]->nb_segs, 1);
        EXPECT_EQ(mbufs[0]->pkt_len, kBuffer + fcs - 6);
        rte_pktmbuf_free(mbufs[0]);
    }
    ASSERT_TRUE(device().deliver(kFirst, kBuffer + 5));
    ASSERT_TRUE(device().deliver(kLast, 0));
    const auto mbufs = receive();
    ASSERT_EQ(mbufs.size(), 1U);
    EXPECT_EQ(mbufs[0]->nb_segs, 2);
    EXPECT_EQ(mbufs[0]->next->data_len, 1);
    expect_consistent(mbufs[0]);
    rte_pktmbuf_free(mbufs[0]);
}

struct Attached {
    const char* name;
    const char* argument;
};

class DeviceScatterPrograms : public DeviceScatter, public testing::WithParamInterface<Attached> {};

INSTANTIATE_TEST_SUITE_P(,
                         DeviceScatterPrograms,
                         testing::Values(Attached{"none", ""},
                                         Attached{"in_pieces", ",xdp=" CREMA_TEST_OBJECTS
                                                               "/native_cases.o:in_pieces"}),
                         [](const auto& one) { return std::string(one.param.name); });

TEST_P(DeviceScatterPrograms, RandomDescriptorsLoseNoPage) {
    up_scattered(GetParam().argument);
    std::mt19937 dice(20261129);
    const std::array<std::uint32_t, 8> sizes = {0,           20,          66,     kBuffer,
                                                kBuffer + 3, kBuffer * 2, 0xffff, 0xdead};
    for (int round = 0; round < 20'000; ++round) {
        for (unsigned i = dice() % 8; i != 0 && device().free_rx != 0; --i) {
            if (dice() % 2 == 0) {
                device().deliver(kGood, 66);
                continue;
            }
            auto status = static_cast<std::uint32_t>(dice());
            status &= dice() % 4 != 0 ? ~neta::kRxError : ~0U;
            const std::uint32_t size = sizes[dice() % sizes.size()];
            device().deliver(status,
                             dice() % 4 == 0 ? static_cast<std::uint32_t>(dice() & 0xffffU) : size);
        }
        device().claim_occupied = dice() % 100 == 0 ? static_cast<std::uint32_t>(dice() & 0x3fffU)
                                                    : ScriptedDevice::kHonest;
        const auto mbufs = receive(static_cast<std::uint16_t>(1 + dice() % 40));
        for (rte_mbuf* mbuf : mbufs) {
            expect_consistent(mbuf);
            rte_pktmbuf_free(mbuf);
        }
        // A descriptor that claims the poison, or a chain without an end, waits for good.
        if (device().free_rx < 64) {
            device().claim_occupied = ScriptedDevice::kHonest;
            ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
            EXPECT_EQ(port_.xstat("rx_pp_in_flight"), 0U);
            ASSERT_EQ(port_.start(), 0);
        }
    }
    device().claim_occupied = ScriptedDevice::kHonest;
    ASSERT_EQ(rte_eth_dev_stop(port_.id), 0);
    EXPECT_EQ(port_.xstat("rx_pp_in_flight"), 0U);
    EXPECT_GT(port_.stats().ipackets, 1000U);
    EXPECT_GT(faults(), 1000U);
}

}  // namespace
}  // namespace crema::test
