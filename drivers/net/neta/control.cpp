// SPDX-License-Identifier: BSD-3-Clause
//
// A port's life: open, configure, start, stop, close; MTU; what the device can do; and the face it
// shows to XDP programs. Pages in = pages out is checked at close: what an application still holds
// is named in one error line and its memory stays.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <rte_malloc.h>

#include "drivers/net/neta/eal_memory.h"
#include "drivers/net/neta/offloads.h"
#include "drivers/net/neta/port.h"
#include "drivers/net/neta/secondary.h"
#include "lib/base/log.h"

namespace crema::neta_pmd {
namespace {

int refuse(const Error& error) {
    log::error("{}", error.message);
    return -error.code;
}

int configure(rte_eth_dev* ethdev) {
    Port& port = port_of(ethdev);
    const std::uint64_t offloads = ethdev->data->dev_conf.rxmode.offloads;
    ethdev->data->scattered_rx = (offloads & RTE_ETH_RX_OFFLOAD_SCATTER) != 0 ? 1 : 0;
    if (auto fits = port_check_mtu(port, ethdev->data->mtu); !fits) {
        return refuse(fits.error());
    }
    if (auto fits = link_check_speeds(port, ethdev->data->dev_conf.link_speeds); !fits) {
        return refuse(fits.error());
    }
    if (auto fits = flow_check_queues(port, ethdev->data->nb_rx_queues); !fits) {
        return refuse(fits.error());
    }
    port.frame_bytes_max.store(ethdev->data->mtu + kFrameOverhead, std::memory_order_relaxed);
    return 0;
}

/// All but those that the application wants to start itself.
void choose_running_queues(Port& port) {
    port.rx_running = port.tx_running = 0;
    for (unsigned i = 0; i < port.ethdev->data->nb_rx_queues; ++i) {
        port.rx_running |= port.rx.at(i)->conf.rx_deferred_start != 0 ? 0 : 1U << i;
    }
    for (unsigned i = 0; i < port.ethdev->data->nb_tx_queues; ++i) {
        port.tx_running |= port.tx.at(i)->conf.tx_deferred_start != 0 ? 0 : 1U << i;
    }
}

/// Applications skip queues that do not say they run.
void show_queue_states(const Port& port) {
    const auto state = [](std::uint32_t running, unsigned i) -> std::uint8_t {
        return (running & (1U << i)) != 0 ? RTE_ETH_QUEUE_STATE_STARTED
                                          : RTE_ETH_QUEUE_STATE_STOPPED;
    };
    rte_eth_dev_data* data = port.ethdev->data;
    for (unsigned i = 0; i < data->nb_rx_queues; ++i) {
        data->rx_queue_state[i] = state(port.rx_running, i);
    }
    for (unsigned i = 0; i < data->nb_tx_queues; ++i) {
        data->tx_queue_state[i] = state(port.tx_running, i);
    }
}

/// A device that vanished may be back; then it is new, and the memory that it knew stays.
Status find_again(Port& port) {
    if (port.device->alive()) {
        return {};
    }
    if (auto found = port.device->reattach(); !found) {
        return fail(found.error().code, "{}: {}", name_of(port), found.error().message);
    }
    chip_init(port);
    return {};
}

int start(rte_eth_dev* ethdev) {
    Port& port = port_of(ethdev);
    if (auto found = find_again(port); !found) {
        return refuse(found.error());
    }
    if (auto armed = interrupts_start(port); !armed) {
        return refuse(armed.error());
    }
    choose_running_queues(port);
    if (auto filled = queues_fill(port); !filled) {
        interrupts_stop(port);
        chip_stop(port);
        queues_drain(port);
        return refuse(filled.error());
    }
    flow_program(port);
    path_choose(port);
    link_set_up_phy(port);
    chip_start(port);
    interrupts_show(port);
    port.started.store(true, std::memory_order_release);
    port.takes_frames.store(true, std::memory_order_release);
    show_queue_states(port);
    link_update(ethdev, 0);
    link_watch_start(port);
    return 0;
}

/// From here on frames of programs are refused, and counted by who sent them.
void close_to_programs(Port& port) {
    port.takes_frames.store(false, std::memory_order_release);
    for (auto& queue : port.xdp_tx) {  // whoever sends now sees it, whoever was sending is done
        rte_spinlock_lock(&queue->lock);
        rte_spinlock_unlock(&queue->lock);
    }
}

int stop(rte_eth_dev* ethdev) {
    Port& port = port_of(ethdev);
    link_watch_stop(port);
    port.started.store(false, std::memory_order_release);
    close_to_programs(port);
    interrupts_stop(port);
    if (!chip_stop(port)) {
        log::warning("{}: a queue did not come to rest; its DMA was reset", name_of(port));
    }
    queues_drain(port);
    port.rx_running = port.tx_running = 0;
    show_queue_states(port);
    link_update(ethdev, 0);
    return 0;
}

int close(rte_eth_dev* ethdev) {
    Port& port = port_of(ethdev);
    port_close(port);
    port.~Port();  // ethdev frees the memory
    return 0;
}

int reset(rte_eth_dev* ethdev) {
    Port& port = port_of(ethdev);
    port.flows.clear();
    chip_init(port);
    flow_program(port);
    return 0;
}

int info(rte_eth_dev* ethdev, rte_eth_dev_info* info) {
    limits_of_any_port(*info);
    info->speed_capa = link_speeds(port_of(ethdev));
    info->device = ethdev->device;
    return 0;
}

int mtu_set(rte_eth_dev* ethdev, std::uint16_t mtu) {
    Port& port = port_of(ethdev);
    if (auto fits = port_check_mtu(port, mtu); !fits) {
        return refuse(fits.error());
    }
    port.frame_bytes_max.store(mtu + kFrameOverhead, std::memory_order_relaxed);
    if (port.started.load(std::memory_order_relaxed)) {
        close_to_programs(
            port);  // the link is down meanwhile: the chip would lose what it is given
        chip_change_frame_size(port, mtu + kFrameOverhead);
        port.takes_frames.store(true, std::memory_order_release);
        link_update(ethdev, 0);
    }
    return 0;
}

constexpr eth_dev_ops make_ops() {
    eth_dev_ops ops{};
    ops.dev_configure = configure;
    ops.dev_start = start;
    ops.dev_stop = stop;
    ops.dev_close = close;
    ops.dev_reset = reset;
    ops.dev_infos_get = info;
    ops.mtu_set = mtu_set;
    return ops;
}

bool program_attached(const Port& port) {
    return port.hooks != nullptr && port.hooks[0].active.load(std::memory_order_acquire);
}

/// Largest MTU with a program, which takes fragments or does not.
std::uint32_t program_mtu_max(const Port& port, bool takes_fragments) {
    return takes_fragments && port.ethdev->data->scattered_rx != 0 ? kScatteredMtuMax : kXdpMtuMax;
}

// The kernel's driver says EOPNOTSUPP here, and EINVAL where the MTU is what changes.
Status xdp_attach_check(void* pointer, bool has_frags) {
    const Port& port = *static_cast<Port*>(pointer);
    const std::uint32_t mtu = port.ethdev->data->mtu;
    if (mtu <= program_mtu_max(port, has_frags)) {
        return {};
    }
    if (has_frags) {
        return fail(EOPNOTSUPP,
                    "{}: MTU {} is too large for a program on a port that was configured without "
                    "RTE_ETH_RX_OFFLOAD_SCATTER, at most {}: configure it with, or lower the MTU "
                    "first",
                    name_of(port), mtu, kXdpMtuMax);
    }
    return fail(EOPNOTSUPP,
                "{}: MTU {} is too large for a program without frags support, at most {}: "
                "lower the MTU first",
                name_of(port), mtu, kXdpMtuMax);
}

std::uint32_t xdp_frame_bytes_max(void* pointer) {
    return static_cast<Port*>(pointer)->frame_bytes_max.load(std::memory_order_relaxed);
}

bool xdp_is_up(void* pointer) {
    return static_cast<Port*>(pointer)->takes_frames.load(std::memory_order_acquire);
}

constexpr xdp::PortOps kXdpOps = {.mode = "native",
                                  .xmit = transmit_frames,
                                  .attach_check = xdp_attach_check,
                                  .frame_bytes_max = xdp_frame_bytes_max,
                                  .is_up = xdp_is_up,
                                  .sends_fragments = true};

rte_ether_addr first_address(const Port& port) {
    if (port.args.mac) {
        return *port.args.mac;
    }
    const std::uint32_t high = port.registers().read(neta::kMacHigh);
    const std::uint32_t low = port.registers().read(neta::kMacLow);
    rte_ether_addr address{};
    for (unsigned i = 0; i < 4; ++i) {
        address.addr_bytes[i] = static_cast<std::uint8_t>(high >> (24 - 8 * i));
    }
    address.addr_bytes[4] = static_cast<std::uint8_t>(low >> 8U);
    address.addr_bytes[5] = static_cast<std::uint8_t>(low);
    if (rte_is_valid_assigned_ether_addr(&address) == 0) {
        rte_eth_random_addr(static_cast<std::uint8_t*>(address.addr_bytes));
    }
    return address;
}

/// Both directions: no new descriptor is taken, and what is under way is cut off.
constexpr std::array<vfio::RegisterWrite, 5> kStopDma = {{
    {.offset = neta::kRxqCmd, .value = neta::kQueueCmdDisable.of(0xff)},
    {.offset = neta::kTxqCmd, .value = neta::kQueueCmdDisable.of(0xff)},
    {.offset = neta::kIntrNewMask, .value = 0},
    {.offset = neta::kRxReset, .value = neta::kResetHold},
    {.offset = neta::kTxReset, .value = neta::kResetHold},
}};

Status open_device(Port& port) {
    if (port.args.pool && *port.args.pool < kRingMin + kPoolSlack) {
        return fail(EINVAL,
                    "{}: pool={} is too small: the shortest ring, {} descriptors, needs at least "
                    "{} pages",
                    name_of(port), *port.args.pool, kRingMin, kRingMin + kPoolSlack);
    }
    auto device = vfio::open(port.args.device, "neta",
                             {.instance = name_of(port),
                              .wire = port.args.wire,
                              .engine = port.args.engine,
                              .variant = port.args.variant,
                              .clock = port.args.clock,
                              .faults = port.args.faults,
                              .cache = port.args.cache},
                             port.args.kernel);
    if (!device) {
        return fail(device.error().code, "{}: {}", name_of(port), device.error().message);
    }
    port.device = std::move(*device);
    if (auto mapped = eal_memory_acquire(); !mapped) {
        return fail(mapped.error().code, "{}: cannot map DPDK memory for the device: {}",
                    name_of(port), mapped.error().message);
    }
    port.memory_mapped = true;
    if (auto guarded = port.device->stop_at_death(kStopDma); !guarded) {
        return fail(guarded.error().code, "{}: {}", name_of(port), guarded.error().message);
    }
    return {};
}

}  // namespace

const eth_dev_ops& device_ops() {
    static const eth_dev_ops ops_table = [] {
        eth_dev_ops ops = make_ops();
        queues_add_ops(ops);
        filters_add_ops(ops);
        link_add_ops(ops);
        counters_add_ops(ops);
        path_add_ops(ops);
        queue_control_add_ops(ops);
        register_dump_add_ops(ops);
        interrupts_add_ops(ops);
        flow_add_ops(ops);
        return ops;
    }();
    return ops_table;
}

void limits_of_any_port(rte_eth_dev_info& info) {
    info.if_index = 0;
    info.min_mtu = kMtuMin;
    info.max_mtu = kScatteredMtuMax;
    info.min_rx_bufsize = RTE_ETHER_MIN_LEN;  // of a mempool that is not used
    info.max_rx_pktlen = kFrameBytesLimit + neta::kFcsBytes;
    info.max_rx_queues = kRxQueuesMax;
    info.max_tx_queues = kAppTxQueues;
    info.max_mac_addrs = kUnicastMax;
    info.rx_offload_capa = kRxSumOffloads | RTE_ETH_RX_OFFLOAD_SCATTER;
    info.tx_offload_capa = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | kTxSumOffloads;
    for (rte_eth_desc_lim* limits : {&info.rx_desc_lim, &info.tx_desc_lim}) {
        limits->nb_max = kRingMax;
        limits->nb_min = kRingMin;
        limits->nb_align = 2;
    }
    info.default_rxportconf = {.burst_size = 32, .ring_size = kRingDefault, .nb_queues = 1};
    info.default_txportconf = {.burst_size = 32, .ring_size = kRingDefault, .nb_queues = 1};
    info.dev_capa = RTE_ETH_DEV_CAPA_FLOW_RULE_KEEP;
}

Status port_check_mtu(Port& port, std::uint32_t mtu) {
    const bool programmed = program_attached(port);
    const bool scattered = port.ethdev->data->scattered_rx != 0;
    std::uint32_t most = scattered ? kScatteredMtuMax : kMtuMax;
    const char* why = scattered ? "" : ", the limit without RTE_ETH_RX_OFFLOAD_SCATTER";
    if (programmed) {
        const bool in_pieces = port.hooks[0].takes_fragments.load(std::memory_order_relaxed);
        most = program_mtu_max(port, in_pieces);
        why = most == kXdpMtuMax ? ", the limit with an XDP program attached" : "";
    }
    if (mtu >= kMtuMin && mtu <= most) {
        return {};
    }
    return fail(EINVAL, "{}: MTU {} is outside {} to {}{}", name_of(port), mtu, kMtuMin, most, why);
}

Status port_open(Port& port) {
    rte_eth_dev_data* data = port.ethdev->data;
    port.id = data->port_id;
    if (auto opened = open_device(port); !opened) {
        return opened;
    }
    auto hooks = xdp::register_port(port.id, kXdpOps, &port);
    if (!hooks) {
        return fail(hooks.error().code, "{}: {}", name_of(port), hooks.error().message);
    }
    port.hooks = *hooks;
    data->mac_addrs = static_cast<rte_ether_addr*>(
        rte_zmalloc("neta_addresses", kUnicastMax * sizeof(rte_ether_addr), 0));
    if (data->mac_addrs == nullptr) {
        return fail(ENOMEM, "{}: no DPDK memory for its addresses", name_of(port));
    }
    port.address = first_address(port);
    data->mac_addrs[0] = port.address;
    if (auto made = queues_make_xdp(port); !made) {
        return made;
    }
    if (port.args.windows == neta::Windows::keep && !neta::any_window_open(port.registers())) {
        return fail(
            ENXIO,
            "{}: windows=keep: none is open, so the port reaches no memory; let the kernel's "
            "driver have it once before",
            name_of(port));
    }
    chip_init(port);
    flow_program(port);
    return link_find_phy(port);
}

void port_close(Port& port) {
    answers_withdraw(port);
    if (port.hooks != nullptr) {
        xdp::unregister_port(port.id);
        port.hooks = nullptr;
    }
    queues_release_all(port);
    port.device.reset();
    if (port.memory_mapped) {
        eal_memory_release();
        port.memory_mapped = false;
    }
}

}  // namespace crema::neta_pmd
