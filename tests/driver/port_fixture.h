// SPDX-License-Identifier: BSD-3-Clause
//
// Ports of net_neta in a test process: plugged with rte_vdev_init(), driven through ethdev only,
// and checked for leftovers when they go.
#pragma once

#include <atomic>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include <rte_bus_vdev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "lib/vfio/dma_space.h"

namespace crema::test {

/// Mempools of the driver that are alive.
inline std::vector<std::string> driver_pools() {
    std::vector<std::string> names;
    rte_mempool_walk(
        [](rte_mempool* pool, void* list) {
            const std::string name = static_cast<const char*>(pool->name);
            if (name.rfind("neta", 0) == 0) {
                static_cast<std::vector<std::string>*>(list)->push_back(name);
            }
        },
        &names);
    return names;
}

class EthPort {
  public:
    EthPort() = default;
    EthPort(const EthPort&) = delete;
    EthPort& operator=(const EthPort&) = delete;
    EthPort(EthPort&&) = delete;
    EthPort& operator=(EthPort&&) = delete;

    ~EthPort() { close(); }

    /// rc of the probe.
    int plug(const std::string& name, const std::string& args) {
        name_ = name;
        const int rc = rte_vdev_init(name.c_str(), args.c_str());
        if (rc == 0) {
            EXPECT_EQ(rte_eth_dev_get_port_by_name(name.c_str(), &id), 0);
            plugged_ = true;
        }
        return rc;
    }

    int configure(std::uint16_t rx_queues = 1,
                  std::uint16_t tx_queues = 1,
                  std::uint16_t rx_ring = 256,
                  std::uint16_t tx_ring = 256) {
        if (int rc = rte_eth_dev_configure(id, rx_queues, tx_queues, &conf); rc != 0) {
            return rc;
        }
        rte_eth_dev_info info{};
        EXPECT_EQ(rte_eth_dev_info_get(id, &info), 0);
        info.default_rxconf.offloads = conf.rxmode.offloads;
        info.default_txconf.offloads = conf.txmode.offloads;
        for (std::uint16_t q = 0; q < rx_queues; ++q) {
            info.default_rxconf.rx_deferred_start = (deferred_rx >> q) & 1U;
            if (int rc =
                    rte_eth_rx_queue_setup(id, q, rx_ring, 0, &info.default_rxconf, app_pool());
                rc != 0) {
                return rc;
            }
        }
        for (std::uint16_t q = 0; q < tx_queues; ++q) {
            info.default_txconf.tx_deferred_start = (deferred_tx >> q) & 1U;
            if (int rc = rte_eth_tx_queue_setup(id, q, tx_ring, 0, &info.default_txconf); rc != 0) {
                return rc;
            }
        }
        return 0;
    }

    int start() { return rte_eth_dev_start(id); }

    void close() {
        if (plugged_) {
            plugged_ = false;
            EXPECT_EQ(rte_vdev_uninit(name_.c_str()), 0);
        }
    }

    /// Counts events of this kind from now on. The counter outlives the port.
    void count_events(rte_eth_event_type kind, std::atomic<int>& counter) const {
        EXPECT_EQ(rte_eth_dev_callback_register(
                      id, kind,
                      [](std::uint16_t, rte_eth_event_type, void* counted, void*) {
                          ++*static_cast<std::atomic<int>*>(counted);
                          return 0;
                      },
                      &counter),
                  0);
    }

    [[nodiscard]] std::uint64_t xstat(const std::string& wanted) const {
        std::uint64_t value = 0;
        std::uint64_t stat = 0;
        if (rte_eth_xstats_get_id_by_name(id, wanted.c_str(), &stat) != 0 ||
            rte_eth_xstats_get_by_id(id, &stat, &value, 1) != 1) {
            ADD_FAILURE() << "no xstat " << wanted;
        }
        return value;
    }

    [[nodiscard]] rte_eth_stats stats() const {
        rte_eth_stats now{};
        EXPECT_EQ(rte_eth_stats_get(id, &now), 0);
        return now;
    }

    /// Mbufs of an application.
    static rte_mempool* app_pool() {
        static rte_mempool* const pool =
            rte_pktmbuf_pool_create("app", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
        return pool;
    }

    static rte_mbuf* app_mbuf(std::uint16_t len, std::uint8_t fill = 0x5a) {
        rte_mbuf* mbuf = rte_pktmbuf_alloc(app_pool());
        std::memset(rte_pktmbuf_append(mbuf, len), fill, len);
        return mbuf;
    }

    std::uint16_t id = RTE_MAX_ETHPORTS;
    rte_eth_conf conf{};           // for the next configure()
    std::uint8_t deferred_rx = 0;  // bit per queue
    std::uint8_t deferred_tx = 0;

  private:
    std::string name_;
    bool plugged_ = false;
};

/// Nothing of a port may be left when a test ends.
class NoLeftovers : public testing::Test {
  protected:
    void TearDown() override {
        EXPECT_EQ(driver_pools(), std::vector<std::string>{});
        EXPECT_EQ(vfio::process_dma_space().ranges(), 0U);
        EXPECT_EQ(rte_mempool_in_use_count(EthPort::app_pool()), 0U);
        EXPECT_EQ(rte_eth_dev_count_avail(), 0);
    }
};

}  // namespace crema::test
