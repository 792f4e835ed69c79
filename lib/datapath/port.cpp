// SPDX-License-Identifier: BSD-3-Clause
#include "lib/datapath/port.h"

#include <algorithm>
#include <cerrno>

#include <rte_epoll.h>
#include <rte_errno.h>
#include <rte_interrupts.h>

#include "lib/base/log.h"
#include "lib/page_pool/page_pool.h"
#include "lib/xdp/attach.h"

namespace crema::datapath {
namespace {

constexpr std::uint32_t kLcoreCache = 128;  // mbufs
constexpr char kRxPoolPrefix[] = "crema_rx_p";

std::string name_of(std::uint16_t port_id) {
    std::array<char, RTE_ETH_NAME_MAX_LEN> name{};
    return rte_eth_dev_get_name_by_port(port_id, name.data()) == 0 ? name.data() : "?";
}

std::uint16_t tx_queues_for(std::uint16_t port_id, std::size_t senders) {
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(port_id, &info) != 0) {
        return 1;
    }
    const std::size_t most = std::min<std::size_t>(info.max_tx_queues, kTxQueuesMax);
    return static_cast<std::uint16_t>(
        std::clamp<std::size_t>(senders, 1, std::max<std::size_t>(most, 1)));
}

/// Full rings, a burst in the hands of each sender, and what their caches hold.
std::uint32_t buffers_for(const PortConfig& config) {
    const auto senders = static_cast<std::uint32_t>(config.senders.size());
    return std::uint32_t{config.rx_descriptors} * config.rx_queues + config.tx_descriptors +
           (senders + 1) * (xdp::kBurstMax + kLcoreCache * 3 / 2);
}

int note_reset(std::uint16_t /*port_id*/,
               rte_eth_event_type /*event*/,
               void* wanted,
               void* /*result*/) {
    static_cast<std::atomic<bool>*>(wanted)->store(true, std::memory_order_relaxed);
    return 0;
}

bool is_native(std::uint16_t port_id) {
    return xdp::port_by_ifindex(xdp::ifindex_of(port_id)) != nullptr;
}

/// What the port needs for frames over several buffers, as far as it offers it. To receive them is
/// asked of it only where the MTU makes such frames: it may cost the others time.
void ask_for_chains(std::uint16_t port_id, std::uint16_t mtu, rte_eth_conf& conf) {
    constexpr std::uint32_t kOverhead = RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN;
    const std::uint32_t in_one =
        is_native(port_id) ? page_pool::kXdpFrameBytesMax : RTE_MBUF_DEFAULT_DATAROOM;
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(port_id, &info) != 0) {
        return;
    }
    conf.txmode.offloads |= info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    if (mtu + kOverhead > in_one) {
        conf.rxmode.offloads |= info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
    }
}

}  // namespace

Port::Port(const PortConfig& config, std::uint16_t tx_queues)
    : tx_(config.port_id, tx_queues, config.senders),
      name_(name_of(config.port_id)),
      port_id_(config.port_id),
      rx_queues_(config.rx_queues) {}

Result<std::unique_ptr<Port>> Port::open(const PortConfig& config) {
    if (rte_eth_dev_is_valid_port(config.port_id) == 0) {
        return fail(ENODEV, "port {} does not exist", config.port_id);
    }
    const std::uint16_t tx_queues = tx_queues_for(config.port_id, config.senders.size());
    auto port = std::unique_ptr<Port>(new Port(config, tx_queues));
    if (const Status done = port->configure(config, tx_queues); !done) {
        return forward_error(done);
    }
    if (!is_native(config.port_id)) {
        auto generic = GenericPort::create(config.port_id, config.rx_queues,
                                           config.mbufs != 0 ? config.mbufs : buffers_for(config),
                                           port->sends_chains_, port->tx_);
        if (!generic) {
            return forward_error(generic);
        }
        port->generic_ = std::move(*generic);
    }
    return port;
}

Status Port::configure(const PortConfig& config, std::uint16_t tx_queues) {
    rte_eth_conf conf{};
    conf.intr_conf.rxq = config.rx_interrupts ? 1 : 0;
    ask_for_chains(port_id_, config.mtu, conf);
    sends_chains_ = (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
    if (const int rc = rte_eth_dev_configure(port_id_, config.rx_queues, tx_queues, &conf);
        rc != 0) {
        return fail(-rc, "port {} ({}): {} RX and {} TX queues: {}", port_id_, name_,
                    config.rx_queues, tx_queues, rte_strerror(-rc));
    }
    configured_ = true;
    if (const int rc = rte_eth_dev_callback_register(port_id_, RTE_ETH_EVENT_INTR_RESET, note_reset,
                                                     &wants_restart_);
        rc != 0) {
        return fail(-rc, "port {} ({}): its events cannot be heard: {}", port_id_, name_,
                    rte_strerror(-rc));
    }
    if (Status done = set_up_queues(config, tx_queues); !done) {
        return done;
    }
    if (config.mtu != 0) {
        if (const int rc = rte_eth_dev_set_mtu(port_id_, config.mtu); rc != 0) {
            return fail(-rc, "port {} ({}): MTU {}: {}", port_id_, name_, config.mtu,
                        rte_strerror(-rc));
        }
    }
    if (config.promiscuous) {
        // Not every virtual device knows the word; those deliver everything anyway.
        if (const int rc = rte_eth_promiscuous_enable(port_id_); rc != 0 && rc != -ENOTSUP) {
            log::warning("port {} ({}): no promiscuous mode: {}", port_id_, name_,
                         rte_strerror(-rc));
        }
    }
    if (rte_eth_macaddr_get(port_id_, &address_) != 0) {
        address_ = {};
    }
    return {};
}

Status Port::set_up_queues(const PortConfig& config, std::uint16_t tx_queues) {
    const int node = rte_eth_dev_socket_id(port_id_);
    // A native driver brings its own page pools; ethdev still asks for a pool to name.
    constexpr std::uint32_t kMbufsForForm = 64;
    const std::uint32_t mbufs = is_native(port_id_) ? kMbufsForForm
                                : config.mbufs != 0 ? config.mbufs
                                                    : buffers_for(config);
    rx_pool_ = rte_pktmbuf_pool_create(fmt::format("{}{}", kRxPoolPrefix, port_id_).c_str(), mbufs,
                                       std::min(kLcoreCache, mbufs * 2 / 3), 0,
                                       RTE_MBUF_DEFAULT_BUF_SIZE, node);
    if (rx_pool_ == nullptr) {
        return fail(rte_errno,
                    "port {} ({}): no memory for {} mbufs ({}): give the EAL more with "
                    "-m, or ask for fewer with --total-num-mbufs",
                    port_id_, name_, mbufs, rte_strerror(rte_errno));
    }
    std::uint16_t rx_descriptors = config.rx_descriptors;
    std::uint16_t tx_descriptors = config.tx_descriptors;
    if (const int rc = rte_eth_dev_adjust_nb_rx_tx_desc(port_id_, &rx_descriptors, &tx_descriptors);
        rc != 0) {
        return fail(-rc, "port {} ({}): {} RX and {} TX descriptors: {}", port_id_, name_,
                    config.rx_descriptors, config.tx_descriptors, rte_strerror(-rc));
    }
    const auto socket = static_cast<unsigned>(node);
    for (std::uint16_t queue = 0; queue < config.rx_queues; ++queue) {
        if (const int rc =
                rte_eth_rx_queue_setup(port_id_, queue, rx_descriptors, socket, nullptr, rx_pool_);
            rc != 0) {
            return fail(-rc, "port {} ({}): RX queue {} of {} descriptors: {}", port_id_, name_,
                        queue, rx_descriptors, rte_strerror(-rc));
        }
    }
    for (std::uint16_t queue = 0; queue < tx_queues; ++queue) {
        if (const int rc = rte_eth_tx_queue_setup(port_id_, queue, tx_descriptors, socket, nullptr);
            rc != 0) {
            return fail(-rc, "port {} ({}): TX queue {} of {} descriptors: {}", port_id_, name_,
                        queue, tx_descriptors, rte_strerror(-rc));
        }
    }
    return {};
}

Status Port::start() {
    if (started_) {
        return {};
    }
    if (const int rc = rte_eth_dev_start(port_id_); rc != 0) {
        return fail(-rc, "port {} ({}): cannot start: {}", port_id_, name_, rte_strerror(-rc));
    }
    started_ = true;
    if (generic_ != nullptr) {
        generic_->read_mtu();
        generic_->set_up(true);
    }
    return {};
}

Status Port::watch_interrupt(std::uint16_t queue) const {
    if (const int rc = rte_eth_dev_rx_intr_ctl_q(port_id_, queue, RTE_EPOLL_PER_THREAD,
                                                 RTE_INTR_EVENT_ADD, nullptr);
        rc != 0) {
        return fail(-rc, "port {} ({}): RX queue {}: no interrupt to wait for: {}", port_id_, name_,
                    queue, rte_strerror(-rc));
    }
    return {};
}

void Port::unwatch_interrupt(std::uint16_t queue) const {
    disarm_interrupt(queue);
    static_cast<void>(rte_eth_dev_rx_intr_ctl_q(port_id_, queue, RTE_EPOLL_PER_THREAD,
                                                RTE_INTR_EVENT_DEL, nullptr));
}

Status Port::restart() {
    stop();
    // Before: a device that vanishes while it starts is told anew.
    wants_restart_.store(false, std::memory_order_relaxed);
    Status started = start();
    if (!started) {
        wants_restart_.store(true, std::memory_order_relaxed);
    }
    return started;
}

void Port::stop() {
    if (!started_) {
        return;
    }
    started_ = false;
    if (generic_ != nullptr) {
        generic_->set_up(false);
    }
    if (const int rc = rte_eth_dev_stop(port_id_); rc != 0) {
        log::warning("port {} ({}): cannot stop: {}", port_id_, name_, rte_strerror(-rc));
    }
}

Status Port::set_mtu(std::uint16_t mtu) {
    if (const Status fits = generic_ == nullptr ? Status{} : generic_->check_mtu(mtu); !fits) {
        return fail(EINVAL, "port {} ({}): MTU {}: {}, or detach the program first", port_id_,
                    name_, mtu, fits.error().message);
    }
    int rc = rte_eth_dev_set_mtu(port_id_, mtu);
    if (rc == -EBUSY && started_) {
        stop();
        rc = rte_eth_dev_set_mtu(port_id_, mtu);
        if (Status again = start(); !again) {
            return again;
        }
    }
    if (rc != 0) {
        return fail(-rc, "port {} ({}): MTU {}: {}", port_id_, name_, mtu, rte_strerror(-rc));
    }
    if (generic_ != nullptr) {
        generic_->read_mtu();
    }
    return {};
}

void Port::set_poller(std::uint16_t queue, unsigned lcore_id) {
    if (generic_ != nullptr) {
        generic_->set_owner(queue, lcore_id);
    }
}

void Port::close() {
    stop();
    if (!configured_) {
        return;
    }
    configured_ = false;
    static_cast<void>(rte_eth_dev_callback_unregister(port_id_, RTE_ETH_EVENT_INTR_RESET,
                                                      note_reset, &wants_restart_));
    if (const int rc = rte_eth_dev_close(port_id_); rc != 0) {
        log::warning("port {} ({}): cannot close: {}", port_id_, name_, rte_strerror(-rc));
    }
}

Port::~Port() {
    close();
    generic_.reset();
    rte_mempool_free(rx_pool_);
}

std::uint64_t buffers_missing(std::string* what) {
    struct Sum {
        std::uint64_t missing;
        std::string* what;
    } sum{0, what};

    rte_mempool_walk(
        [](rte_mempool* pool, void* arg) {
            auto& total = *static_cast<Sum*>(arg);
            const std::string_view name = pool->name;
            if (!page_pool::is_page_pool(pool) && !name.starts_with(kRxPoolPrefix)) {
                return;
            }
            const unsigned missing = rte_mempool_in_use_count(pool);
            total.missing += missing;
            if (missing != 0 && total.what != nullptr) {
                fmt::format_to(std::back_inserter(*total.what), "pool {}: {} of {} missing\n", name,
                               missing, pool->size);
            }
        },
        &sum);
    return sum.missing;
}

}  // namespace crema::datapath
