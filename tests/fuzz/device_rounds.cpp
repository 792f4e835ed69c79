// SPDX-License-Identifier: BSD-3-Clause
//
// See device_rounds.h.
#include "tests/fuzz/device_rounds.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <unordered_set>
#include <vector>

#include <rte_bus_vdev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "drivers/net/neta/offloads.h"
#include "lib/vfio/dma_space.h"
#include "tests/fuzz/hostile_device.h"

namespace crema::test::fuzz {
namespace {

constexpr char kName[] = "net_neta0";
constexpr std::size_t kHeldMost = 300;
constexpr unsigned kIdleMost = 100;

/// Of the application.
rte_mempool* mbufs() {
    static rte_mempool* const pool =
        rte_pktmbuf_pool_create("app", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
    return pool;
}

class Round {
  public:
    Round(std::uint64_t seed, DriverTally& tally) : dice_(seed), tally_(tally) {}

    std::string run(std::uint64_t values) {
        const std::uint64_t end = HostileDevice::tally.all() + values;
        if (!plug()) {
            return "the port cannot be plugged";
        }
        while (HostileDevice::tally.all() < end && wrong_.empty()) {
            idle_ = HostileDevice::last->act(32) == 0 ? idle_ + 1 : 0;
            step();
            // What was scribbled looks as if it had not been written yet, and is waited for.
            if (idle_ > kIdleMost) {
                restart();
            }
        }
        take_leave();
        return wrong_;
    }

  private:
    bool plug() {
        if (rte_vdev_init(kName, "device=model,mac=02:00:00:00:00:10") != 0 ||
            rte_eth_dev_get_port_by_name(kName, &port_) != 0) {
            return false;
        }
        rx_queues_ = static_cast<std::uint16_t>(dice_.between(1, 4));
        tx_queues_ = static_cast<std::uint16_t>(dice_.between(1, 4));
        rte_eth_conf conf{};
        if (dice_.one_in(2)) {
            conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
            conf.rxmode.mtu = static_cast<std::uint32_t>(dice_.between(1500, 16360));
        }
        conf.rxmode.offloads |= dice_.one_in(2) ? neta_pmd::kRxSumOffloads : 0;
        conf.txmode.offloads =
            RTE_ETH_TX_OFFLOAD_MULTI_SEGS | (dice_.one_in(2) ? neta_pmd::kTxSumOffloads : 0);
        return configure(conf) && rte_eth_dev_start(port_) == 0;
    }

    bool configure(const rte_eth_conf& conf) {
        if (rte_eth_dev_configure(port_, rx_queues_, tx_queues_, &conf) != 0) {
            return false;
        }
        const auto ring = [&] { return static_cast<std::uint16_t>(2 * dice_.between(32, 256)); };
        for (std::uint16_t q = 0; q < rx_queues_; ++q) {
            if (rte_eth_rx_queue_setup(port_, q, ring(), 0, nullptr, mbufs()) != 0) {
                return false;
            }
        }
        for (std::uint16_t q = 0; q < tx_queues_; ++q) {
            if (rte_eth_tx_queue_setup(port_, q, ring(), 0, nullptr) != 0) {
                return false;
            }
        }
        return true;
    }

    [[nodiscard]] std::uint16_t queue(std::uint16_t queues) {
        return static_cast<std::uint16_t>(dice_.below(queues));
    }

    void step() {
        switch (dice_.below(64)) {
            case 0:
                (void)rte_eth_rx_queue_count(port_, queue(rx_queues_));
                break;
            case 1:
                (void)rte_eth_rx_descriptor_status(port_, queue(rx_queues_),
                                                   static_cast<std::uint16_t>(dice_.below(600)));
                break;
            case 2:
                (void)rte_eth_tx_descriptor_status(port_, queue(tx_queues_),
                                                   static_cast<std::uint16_t>(dice_.below(600)));
                break;
            case 3:
                (void)rte_eth_tx_done_cleanup(port_, queue(tx_queues_), 0);
                break;
            case 4:
                look();
                break;
            case 5:
                if (dice_.one_in(100)) {
                    stop_something();
                }
                break;
            default:
                dice_.one_in(3) ? send() : receive();
        }
    }

    void look() {
        std::array<rte_eth_xstat, 256> stats{};
        rte_eth_link link{};
        (void)rte_eth_xstats_get(port_, stats.data(), stats.size());
        (void)rte_eth_link_get_nowait(port_, &link);
        if (dice_.one_in(50)) {
            (void)rte_eth_dev_set_mtu(port_, static_cast<std::uint16_t>(dice_.between(68, 3000)));
        }
    }

    void stop_something() {
        ++tally_.stops;
        const std::uint16_t q = queue(rx_queues_);
        const std::uint16_t t = queue(tx_queues_);
        switch (dice_.below(3)) {
            case 0:
                if (rte_eth_dev_rx_queue_stop(port_, q) == 0) {
                    (void)rte_eth_dev_rx_queue_start(port_, q);
                }
                break;
            case 1:
                if (rte_eth_dev_tx_queue_stop(port_, t) == 0) {
                    (void)rte_eth_dev_tx_queue_start(port_, t);
                }
                break;
            default:
                restart();
        }
    }

    void restart() {
        ++tally_.stops;
        idle_ = 0;
        (void)rte_eth_dev_stop(port_);
        free_held(held_.size());
        check_home("after a stop");
        if (rte_eth_dev_start(port_) != 0) {
            wrong_ = "the port does not start again";
        }
    }

    void receive() {
        std::array<rte_mbuf*, 64> burst{};
        const auto wanted = static_cast<std::uint16_t>(dice_.between(1, 64));
        const std::uint16_t n = rte_eth_rx_burst(port_, queue(rx_queues_), burst.data(), wanted);
        tally_.received += n;
        for (std::uint16_t i = 0; i < n; ++i) {
            check(burst.at(i));
            held_.push_back(burst.at(i));
        }
        if (held_.size() > kHeldMost || dice_.one_in(3)) {
            free_held(static_cast<std::size_t>(dice_.below(static_cast<int>(held_.size()) + 1)));
        }
    }

    /// All of it lies in its buffer, and nobody else has it.
    void check(const rte_mbuf* mbuf) {
        std::uint32_t bytes = 0;
        std::uint16_t segments = 0;
        for (const rte_mbuf* segment = mbuf; segment != nullptr; segment = segment->next) {
            bytes += segment->data_len;
            ++segments;
            if (segment->data_off + segment->data_len > segment->buf_len ||
                rte_mbuf_refcnt_read(segment) != 1 || !out_.insert(segment).second) {
                wrong_ = fmt::format("a bad mbuf: offset {}, {} of {} bytes, or given out twice",
                                     segment->data_off, segment->data_len, segment->buf_len);
                return;
            }
            // Readable to its end.
            const auto* data = rte_pktmbuf_mtod(segment, const volatile std::uint8_t*);
            sum_ += segment->data_len == 0 ? 0U : data[0] + data[segment->data_len - 1];
        }
        if (bytes != mbuf->pkt_len || segments != mbuf->nb_segs || bytes < RTE_ETHER_HDR_LEN) {
            wrong_ = fmt::format("a bad mbuf: {} bytes in {} segments, it says {} in {}", bytes,
                                 segments, mbuf->pkt_len, mbuf->nb_segs);
        }
    }

    void forget(const rte_mbuf* mbuf) {
        for (; mbuf != nullptr; mbuf = mbuf->next) {
            out_.erase(mbuf);
        }
    }

    void free_held(std::size_t n) {
        for (; n != 0; --n) {
            forget(held_.back());
            rte_pktmbuf_free(held_.back());
            held_.pop_back();
        }
    }

    /// What was received, or something of the application's own, also nonsense.
    void send() {
        std::array<rte_mbuf*, 32> burst{};
        std::uint16_t n = 0;
        for (int wanted = dice_.between(1, 32); wanted != 0; --wanted) {
            rte_mbuf* mbuf = nullptr;
            if (!held_.empty() && dice_.one_in(2)) {
                mbuf = held_.back();
                held_.pop_back();
                forget(mbuf);
            } else {
                mbuf = own_mbuf();
            }
            if (mbuf == nullptr) {
                break;
            }
            if (dice_.one_in(8)) {
                mbuf->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM |
                                  (dice_.one_in(2) ? RTE_MBUF_F_TX_TCP_CKSUM : 0);
                mbuf->l2_len = static_cast<std::uint64_t>(dice_.below(128)) & 0x7fU;
                mbuf->l3_len = static_cast<std::uint64_t>(dice_.below(512)) & 0x1ffU;
            }
            burst.at(n++) = mbuf;
        }
        const std::uint16_t taken = rte_eth_tx_burst(port_, queue(tx_queues_), burst.data(), n);
        tally_.sent += taken;
        rte_pktmbuf_free_bulk(burst.data() + taken, n - taken);
    }

    rte_mbuf* own_mbuf() {
        rte_mbuf* first = rte_pktmbuf_alloc(mbufs());
        if (first == nullptr) {
            return nullptr;
        }
        (void)rte_pktmbuf_append(first, static_cast<std::uint16_t>(dice_.between(0, 1500)));
        for (int more = dice_.one_in(4) ? dice_.below(6) : 0; more != 0; --more) {
            rte_mbuf* segment = rte_pktmbuf_alloc(mbufs());
            if (segment == nullptr) {
                break;
            }
            (void)rte_pktmbuf_append(segment, static_cast<std::uint16_t>(dice_.between(0, 1500)));
            if (rte_pktmbuf_chain(first, segment) != 0) {
                rte_pktmbuf_free(segment);
                break;
            }
        }
        return first;
    }

    [[nodiscard]] std::uint64_t xstat(const char* name) const {
        std::uint64_t id = 0;
        std::uint64_t value = 0;
        return rte_eth_xstats_get_id_by_name(port_, name, &id) == 0 &&
                       rte_eth_xstats_get_by_id(port_, &id, &value, 1) == 1
                   ? value
                   : UINT64_MAX;
    }

    void check_home(const char* when) {
        const std::uint64_t missing = xstat("rx_pp_in_flight");
        const unsigned own = rte_mempool_in_use_count(mbufs());
        if (wrong_.empty() && (missing != 0 || own != 0)) {
            wrong_ = fmt::format("{}: {} pages and {} mbufs are missing", when, missing, own);
        }
    }

    void take_leave() {
        HostileDevice::last->calm();
        tally_.lies += xstat("device_count_errors");
        for (const char* name : {"rx_error_crc", "rx_error_overrun", "rx_error_too_long",
                                 "rx_error_resource", "rx_error_fragment", "rx_error_size"}) {
            tally_.refused += xstat(name);
        }
        (void)rte_eth_dev_stop(port_);
        free_held(held_.size());
        check_home("at the end");
        if (rte_vdev_uninit(kName) != 0 && wrong_.empty()) {
            wrong_ = "the port cannot be closed";
        }
        if (wrong_.empty() && vfio::process_dma_space().ranges() != 0) {
            wrong_ = "memory stays mapped";
        }
    }

    Dice dice_;
    DriverTally& tally_;
    std::string wrong_;
    std::uint16_t port_ = RTE_MAX_ETHPORTS;
    std::uint16_t rx_queues_ = 1;
    std::uint16_t tx_queues_ = 1;
    std::vector<rte_mbuf*> held_;
    std::unordered_set<const rte_mbuf*> out_;  // segments that we hold
    std::uint64_t sum_ = 0;
    unsigned idle_ = 0;  // steps in which the device could do nothing
};

}  // namespace

std::string device_round(std::uint64_t seed, std::uint64_t values, DriverTally& tally) {
    HostileDevice::seed = seed;
    return Round(seed, tally).run(values);
}

}  // namespace crema::test::fuzz
