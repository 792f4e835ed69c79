// SPDX-License-Identifier: BSD-3-Clause
#include "tests/fuzz/path_wires.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <thread>

#include <rte_bus_vdev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "lib/base/check.h"
#include "tests/conformance/redirect/orders.h"

namespace crema::test::fuzz {
namespace {

constexpr std::uint16_t kBurst = 32;
// Whoever has nothing to do sleeps: there are fewer CPUs than threads, and who yields waits for
// long.
constexpr auto kIdle = std::chrono::microseconds(20);
constexpr auto kPatience = std::chrono::seconds(5);
constexpr std::uint16_t kRing = 512;
constexpr std::uint32_t kEthernet = 14;
constexpr std::uint32_t kShortest = 64;
constexpr std::uint32_t kBehindOrder = kEthernet + sizeof(Order);

std::string name_of(std::uint16_t id) {
    return fmt::format("net_neta_path{}", id);
}

Status start_far_end(std::uint16_t id, rte_mempool* mbufs) {
    const rte_eth_conf conf{};
    if (rte_eth_dev_configure(id, 1, 1, &conf) != 0 ||
        rte_eth_rx_queue_setup(id, 0, kRing, 0, nullptr, mbufs) != 0 ||
        rte_eth_tx_queue_setup(id, 0, kRing, 0, nullptr) != 0 || rte_eth_dev_start(id) != 0 ||
        rte_eth_promiscuous_enable(id) != 0) {
        return fail(EIO, "the far end, port {}, does not start", id);
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<PathWires>> PathWires::plug(std::span<const unsigned> senders) {
    auto wires = std::unique_ptr<PathWires>(new PathWires);
    wires->far_mbufs_ =
        rte_pktmbuf_pool_create("far_ends", 4095, 64, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
    if (wires->far_mbufs_ == nullptr) {
        return fail(ENOMEM, "no memory for the far ends' frames");
    }
    for (std::uint16_t id = 0; id < 2 * kPathPorts; ++id) {
        const std::string args =
            fmt::format("device=model,wire=pair:path{},pool=2048", id % kPathPorts);
        if (rte_vdev_init(name_of(id).c_str(), args.c_str()) != 0) {
            return fail(EIO, "port {} cannot be plugged", id);
        }
    }
    for (std::uint16_t id = 0; id < kPathPorts; ++id) {
        auto port = datapath::Port::open({.port_id = id, .senders = senders});
        if (!port) {
            return forward_error(port);
        }
        wires->ports_.at(id) = std::move(*port);
        if (Status started = wires->ports_.at(id)->start(); !started) {
            return forward_error(started);
        }
        if (Status started = start_far_end(far_of(id), wires->far_mbufs_); !started) {
            return forward_error(started);
        }
    }
    return wires;
}

void PathWires::close() {
    for (auto& port : ports_) {
        if (port != nullptr) {
            port->close();
        }
    }
    for (std::uint16_t id = kPathPorts; id < 2 * kPathPorts; ++id) {
        if (rte_eth_dev_is_valid_port(id) != 0) {
            (void)rte_eth_dev_stop(id);
            (void)rte_eth_dev_close(id);
        }
    }
}

PathWires::~PathWires() {
    close();
    for (auto& port : ports_) {
        port.reset();
    }
    for (std::uint16_t id = 0; id < 2 * kPathPorts; ++id) {
        (void)rte_vdev_uninit(name_of(id).c_str());
    }
    rte_mempool_free(far_mbufs_);
}

std::uint64_t taken_from_wire(std::uint16_t port) {
    rte_eth_stats stats{};
    return rte_eth_stats_get(port, &stats) == 0 ? stats.ipackets + stats.ierrors + stats.imissed
                                                : 0;
}

void FarEnds::fill(rte_mbuf* mbuf, std::uint32_t number) {
    // Mostly short ones; long ones for MTUs that change.
    const std::uint32_t len =
        kShortest + static_cast<std::uint32_t>(dice_.below(dice_.one_in(16) ? 1400 : 64));
    auto* const data =
        reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(len)));
    CREMA_CHECK(data != nullptr);
    std::memset(data, 0xff, 6);
    std::memset(data + 6, 2, 6);
    data[12] = ORDER_ETHERTYPE >> 8;
    data[13] = ORDER_ETHERTYPE & 0xff;
    std::memset(data + kBehindOrder, static_cast<int>(number & 0xff), len - kBehindOrder);
    constexpr std::uint8_t kSlotActs[] = {2, 2, 2, 2, 1, 0, 3, 77, ORDER_RESIZE};
    constexpr std::uint8_t kCpuActs[] = {2,
                                         2,
                                         1,
                                         0,
                                         3,
                                         77,
                                         ORDER_ON_IFINDEX,
                                         ORDER_ON_DEVMAP,
                                         ORDER_ON_CPUMAP,
                                         ORDER_ON_BROADCAST,
                                         ORDER_RESIZE};
    Order order{};
    order.number = number;
    order.what = static_cast<std::uint8_t>(dice_.below(9));
    order.slot = dice_.pick(kSlotActs);
    order.on_cpu = dice_.pick(kCpuActs);
    // Interfaces 1 and 2 are the ports; the far ends have numbers, too, and nothing shall go there.
    order.key = static_cast<std::uint32_t>(dice_.below(order.what == ORDER_IFINDEX ? 3 : 5));
    // 0: verdict for empty slots; 8, 16: broadcast.
    constexpr std::uint32_t kFlags[] = {0, 1, 2, 2, 3, 8, 24, 64};
    order.flags = order.what == ORDER_IFINDEX || dice_.one_in(2) ? 0 : dice_.pick(kFlags);
    order.second = static_cast<std::uint32_t>(dice_.below(3));
    if (order.slot == ORDER_RESIZE || order.on_cpu == ORDER_RESIZE) {
        order.second = dice_.one_in(2) ? 0xfffffffe : 2;
    }
    std::memcpy(data + kEthernet, &order, sizeof order);
}

bool FarEnds::is_ours(const rte_mbuf* mbuf) const {
    const auto* const data = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
    if (mbuf->pkt_len < kBehindOrder || data[12] != ORDER_ETHERTYPE >> 8 ||
        data[13] != (ORDER_ETHERTYPE & 0xff)) {
        return false;
    }
    Order order{};
    std::memcpy(&order, data + kEthernet, sizeof order);
    const bool resized = order.slot == ORDER_RESIZE || order.on_cpu == ORDER_RESIZE;
    for (std::uint32_t i = kBehindOrder; i < mbuf->pkt_len; ++i) {
        if (data[i] != (order.number & 0xff) && !(resized && data[i] == 0)) {
            return false;
        }
    }
    return true;
}

void FarEnds::send_burst(std::uint16_t port) {
    End& end = ends_.at(port);
    const std::uint64_t sent = end.sent.load();
    if (sent - end.taken_at_least >= kPathWindow) {
        end.taken_at_least = taken_from_wire(port);
        if (sent - end.taken_at_least >= kPathWindow) {
            return;
        }
    }
    std::array<rte_mbuf*, kBurst> mbufs{};
    if (rte_pktmbuf_alloc_bulk(wires_.far_mbufs(), mbufs.data(), kBurst) != 0) {
        return;
    }
    for (std::uint32_t i = 0; i < kBurst; ++i) {
        fill(mbufs.at(i), static_cast<std::uint32_t>(sent + i));
    }
    const std::uint16_t taken = rte_eth_tx_burst(PathWires::far_of(port), 0, mbufs.data(), kBurst);
    rte_pktmbuf_free_bulk(mbufs.data() + taken, kBurst - taken);
    end.sent.store(sent + taken);
}

std::uint32_t FarEnds::receive(std::uint16_t port) {
    std::array<rte_mbuf*, kBurst> mbufs{};
    std::uint32_t total = 0;
    while (const std::uint16_t n =
               rte_eth_rx_burst(PathWires::far_of(port), 0, mbufs.data(), kBurst)) {
        for (std::uint16_t i = 0; i < n; ++i) {
            strange_ += is_ours(mbufs.at(i)) ? 0 : 1;
        }
        rte_pktmbuf_free_bulk(mbufs.data(), n);
        total += n;
    }
    ends_.at(port).arrived.fetch_add(total);
    return total;
}

void FarEnds::run(const std::atomic<bool>& stop) {
    while (!stop.load()) {
        std::uint64_t sent = 0;
        std::uint32_t moved = 0;
        for (std::uint16_t port = 0; port < kPathPorts; ++port) {
            moved += receive(port);
            sent += ends_.at(port).sent.load();
        }
        all_sent_.store(sent >= to_send_);
        for (std::uint16_t port = 0; port < kPathPorts; ++port) {
            const bool held = held_.at(port).load();
            is_held_.at(port).store(held);
            if (!held && sent < to_send_) {
                send_burst(port);
            }
        }
        if (moved == 0) {
            std::this_thread::sleep_for(kIdle);
        }
    }
}

Status FarEnds::hold(std::uint16_t port) {
    held_.at(port).store(true);
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!is_held_.at(port).load() || taken_from_wire(port) != sent(port)) {
        if (std::chrono::steady_clock::now() > deadline) {
            rte_eth_stats now{};
            (void)rte_eth_stats_get(port, &now);
            return fail(ETIMEDOUT,
                        "port {}: {} frames were sent to it, {} received, {} wrong, {} missed",
                        port, sent(port), now.ipackets, now.ierrors, now.imissed);
        }
        std::this_thread::sleep_for(kIdle);
    }
    return {};
}

}  // namespace crema::test::fuzz
