// SPDX-License-Identifier: BSD-3-Clause
//
// A port of net_neta on a scripted device, for tests of what the driver writes and of what it makes
// of a device that lies.
#pragma once

#include <string>
#include <vector>

#include "tests/driver/port_fixture.h"
#include "tests/driver/scripted_device.h"

namespace crema::test {

/// Status of a good frame in one buffer.
inline constexpr std::uint32_t kGood = neta::kRxFirst | neta::kRxLast | neta::kRxEthernet2;

class ScriptedPort : public NoLeftovers {
  protected:
    void SetUp() override {
        vfio::register_model("neta", ScriptedDevice::make);
        ScriptedDevice::absent = false;
        ScriptedDevice::power_on.clear();
        ScriptedDevice::interrupts = false;
    }

    void up(const std::string& more = "") {
        ASSERT_EQ(port_.plug("net_neta0", "device=model,mac=02:00:00:00:00:10" + more), 0);
        ASSERT_EQ(port_.configure(), 0);
        ASSERT_EQ(port_.start(), 0);
    }

    void TearDown() override {
        port_.close();
        NoLeftovers::TearDown();
    }

    ScriptedDevice& device() { return *ScriptedDevice::last; }

    std::vector<rte_mbuf*> receive(std::uint16_t n = 32) {
        std::vector<rte_mbuf*> mbufs(n);
        mbufs.resize(rte_eth_rx_burst(port_.id, 0, mbufs.data(), n));
        return mbufs;
    }

    std::size_t receive_and_free(std::uint16_t n = 32) {
        const auto mbufs = receive(n);
        for (rte_mbuf* mbuf : mbufs) {
            rte_pktmbuf_free(mbuf);
        }
        return mbufs.size();
    }

    EthPort port_;
};

}  // namespace crema::test
