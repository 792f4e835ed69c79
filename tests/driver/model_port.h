// SPDX-License-Identifier: BSD-3-Clause
//
// A port of net_neta on the NIC model, for tests of what an application sees.
#pragma once

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "lib/vfio/cache_model.h"
#include "tests/driver/port_fixture.h"

namespace crema::test {

inline constexpr rte_ether_addr kOwn{{2, 0, 0, 0, 0, 0x10}};
inline constexpr rte_ether_addr kOther{{2, 0, 0, 0, 0, 0x20}};
inline constexpr rte_ether_addr kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

inline rte_mbuf* numbered_frame(const rte_ether_addr& to,
                                std::uint32_t number,
                                std::uint16_t len = 64) {
    rte_mbuf* mbuf = EthPort::app_mbuf(len, 0);
    auto* data = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
    std::memcpy(data, &to, 6);
    data[6] = 2;
    data[12] = 0x88;
    data[13] = 0xb5;  // local experimental
    std::memcpy(data + 14, &number, 4);
    data[len - 1] = static_cast<std::uint8_t>(number);
    return mbuf;
}

inline std::uint32_t number_of(const rte_mbuf* mbuf) {
    std::uint32_t number = 0;
    std::memcpy(&number, rte_pktmbuf_mtod_offset(mbuf, const std::uint8_t*, 14), 4);
    return number;
}

/// Tests may run on another transport by saying where a new model is.
class PortOnModel : public NoLeftovers {
  protected:
    /// Device arguments of a new model on this wire.
    virtual std::string on_wire(const std::string& wire, const std::string& engine = "inline") {
        return "device=model,engine=" + engine + ",wire=" + wire;
    }

    void up(const std::string& wire, const std::string& more = "") {
        ASSERT_EQ(port_.plug("net_neta0", on_wire(wire) + ",mac=02:00:00:00:00:10" + more), 0);
        ASSERT_EQ(port_.configure(), 0);
        ASSERT_EQ(port_.start(), 0);
    }

    void TearDown() override {
        if (port_.id != RTE_MAX_ETHPORTS && rte_eth_dev_is_valid_port(port_.id) != 0) {
            rte_eth_dev_stop(port_.id);
            EXPECT_EQ(port_.xstat("rx_pp_in_flight"), 0U);
            EXPECT_EQ(port_.xstat("device_count_errors"), 0U);
        }
        port_.close();
        EXPECT_EQ(vfio::CacheModel::lost_lines(), 0U) << "given to the device dirty";
        NoLeftovers::TearDown();
    }

    std::vector<rte_mbuf*> receive(const EthPort& port) {
        std::vector<rte_mbuf*> mbufs(32);
        mbufs.resize(rte_eth_rx_burst(port.id, 0, mbufs.data(), 32));
        return mbufs;
    }

    std::uint32_t receive_and_free(const EthPort& port) {
        std::uint32_t n = 0;
        for (;;) {
            const auto mbufs = receive(port);
            if (mbufs.empty()) {
                return n;
            }
            n += static_cast<std::uint32_t>(mbufs.size());
            rte_pktmbuf_free_bulk(const_cast<rte_mbuf**>(mbufs.data()),
                                  static_cast<unsigned>(mbufs.size()));
        }
    }

    bool send(const EthPort& port, rte_mbuf* mbuf) {
        return rte_eth_tx_burst(port.id, 0, &mbuf, 1) == 1;
    }

    EthPort port_;
};

}  // namespace crema::test
