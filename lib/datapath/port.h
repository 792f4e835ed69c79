// SPDX-License-Identifier: BSD-3-Clause
//
// An ethdev port as a data path uses it: queues, memory, start and stop, and XDP in whatever mode
// the port offers: native when its driver registered itself with lib/xdp, else generic. Control
// threads own it; receive() and send() are for workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include "lib/base/result.h"
#include "lib/datapath/generic_port.h"
#include "lib/datapath/tx_queues.h"

namespace crema::datapath {

struct PortConfig {
    std::uint16_t port_id = 0;
    std::uint16_t rx_queues = 1;
    std::span<const unsigned> senders;  // lcores of the workers
    std::uint16_t rx_descriptors = 512;
    std::uint16_t tx_descriptors = 512;
    std::uint32_t mbufs = 0;  // buffers for the port; 0: what its rings and bursts need
    std::uint16_t mtu = 0;    // 0: the driver's
    bool promiscuous = true;
    bool rx_interrupts = false;  // pollers may sleep: watch_interrupt()
};

class Port {
  public:
    /// Configures the port; it is not started. Errors: whatever the driver refuses, by step.
    [[nodiscard]] static Result<std::unique_ptr<Port>> open(const PortConfig& config);

    /// Frees the port's buffers. When several ports exchanged frames, close() all of them before.
    ~Port();
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    [[nodiscard]] Status start();
    void stop();
    /// Stops the device and lets it go; its rings are empty afterwards. Its workers have stopped.
    void close();
    /// Stops the port for as long as the driver needs that. EINVAL: longer than a frame may be
    /// while a program is attached.
    [[nodiscard]] Status set_mtu(std::uint16_t mtu);

    /// Names the lcore that polls the queue. Before it polls.
    void set_poller(std::uint16_t queue, unsigned lcore_id);

    /// Takes up to n <= kBurstMax frames from the queue and runs the attached program. *received:
    /// how many came from the device (native: how many were passed). Thread: the queue's poller.
    [[nodiscard]] std::uint32_t receive(std::uint16_t queue,
                                        rte_mbuf** mbufs,
                                        std::uint16_t n,
                                        std::uint32_t* received) {
        const std::uint16_t got = rte_eth_rx_burst(port_id_, queue, mbufs, n);
        *received = got;
        if (got == 0 || generic_ == nullptr) {
            return got;
        }
        return generic_->filter(queue, mbufs, got);
    }

    /// Sends mbufs[0..n); returns how many were taken. slot: lcore id of the caller.
    [[nodiscard]] std::uint16_t send(std::uint32_t slot, rte_mbuf** mbufs, std::uint16_t n) {
        return tx_.send(slot, mbufs, n);
    }

    /// The interrupt of the queue shall wake rte_epoll_wait() of the calling thread, once each time
    /// that it was armed, at once when frames are there already. Opened with rx_interrupts,
    /// started.
    [[nodiscard]] Status watch_interrupt(std::uint16_t queue) const;
    void unwatch_interrupt(std::uint16_t queue) const;

    void arm_interrupt(std::uint16_t queue) const {
        static_cast<void>(rte_eth_dev_rx_intr_enable(port_id_, queue));
    }

    void disarm_interrupt(std::uint16_t queue) const {
        static_cast<void>(rte_eth_dev_rx_intr_disable(port_id_, queue));
    }

    [[nodiscard]] std::uint16_t port_id() const { return port_id_; }

    [[nodiscard]] std::uint16_t rx_queues() const { return rx_queues_; }

    [[nodiscard]] const std::string& name() const { return name_; }

    [[nodiscard]] const rte_ether_addr& address() const { return address_; }

    /// "native", "generic".
    [[nodiscard]] const char* xdp_mode() const {
        return generic_ == nullptr ? "native" : "generic";
    }

    /// Null when the port is native.
    [[nodiscard]] const GenericPort* generic() const { return generic_.get(); }

    [[nodiscard]] bool is_started() const { return started_; }

    /// The driver asks for it: a stop and a start cure the device, or find it again. Stays true
    /// until restart() succeeds.
    [[nodiscard]] bool wants_restart() const {
        return wants_restart_.load(std::memory_order_relaxed);
    }

    /// Nobody polls the port. Errors: start()'s; the port is stopped then, to be tried again.
    [[nodiscard]] Status restart();

  private:
    Port(const PortConfig& config, std::uint16_t tx_queues);

    [[nodiscard]] Status configure(const PortConfig& config, std::uint16_t tx_queues);
    [[nodiscard]] Status set_up_queues(const PortConfig& config, std::uint16_t tx_queues);

    TxQueues tx_;
    std::string name_;
    std::unique_ptr<GenericPort> generic_;
    rte_mempool* rx_pool_ = nullptr;
    std::uint16_t port_id_;
    std::uint16_t rx_queues_;
    rte_ether_addr address_{};
    bool configured_ = false;
    bool sends_chains_ = false;
    bool started_ = false;
    std::atomic<bool> wants_restart_{false};  // told on the EAL's interrupt thread
};

/// Buffers of any port that went out and did not come back; for when all ports are closed and no
/// worker runs. One line per pool that misses some, into *what when not null.
[[nodiscard]] std::uint64_t buffers_missing(std::string* what);

}  // namespace crema::datapath
