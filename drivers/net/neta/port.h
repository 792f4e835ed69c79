// SPDX-License-Identifier: BSD-3-Clause
//
// One NETA port as the driver sees it: the device, its queues, and what the application asked for.
// Lives in rte_eth_dev_data::dev_private of the one process that drives the port; secondary
// processes never look at it (secondary.h), so ordinary C++ objects may be in here.
//
// Threads: everything but the queues belongs to control threads. A RX queue has one polling
// thread; TX queues 0-3 have one thread each (the ethdev rule); TX queues 4-7 carry frames of XDP
// programs from any thread, under a lock taken once per call.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <ethdev_driver.h>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <rte_ether.h>
#include <rte_spinlock.h>

#include "drivers/net/neta/devargs.h"
#include "drivers/net/neta/flow_rule.h"
#include "drivers/net/neta/interrupts.h"
#include "drivers/net/neta/phy.h"
#include "drivers/net/neta/queue.h"
#include "lib/neta/registers.h"
#include "lib/page_pool/page_pool.h"
#include "lib/vfio/device.h"
#include "lib/xdp/hook.h"

/// What rte_flow's handle points to.
struct rte_flow {
    crema::neta_pmd::FlowRule rule;
};

namespace crema::neta_pmd {

inline constexpr unsigned kRxQueuesMax = neta::kQueues;
inline constexpr unsigned kAppTxQueues = 4;  // hardware queues 0-3
inline constexpr unsigned kXdpTxQueues = 4;  // hardware queues 4-7
inline constexpr std::uint16_t kRingMin = 64;
inline constexpr std::uint16_t kRingMax = 4096;
inline constexpr std::uint16_t kRingDefault = 512;
inline constexpr std::uint32_t kPoolDefault = 2048;
/// Pages a pool needs beside those in the ring: the owner's cache and one burst on the way.
inline constexpr std::uint32_t kPoolSlack = page_pool::kCacheMax + xdp::kBurstMax;

// Ethernet header and one VLAN tag around the MTU.
inline constexpr std::uint32_t kFrameOverhead = RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN;
inline constexpr std::uint32_t kMtuMin = 68;
/// Largest frame, without FCS, that the MAC receives and the driver sends.
inline constexpr std::uint32_t kFrameBytesLimit =
    2 * neta::kGmacCtrl0MaxRxSize.max() - neta::kFcsBytes;
/// MTU of frames that lie in one page, without and with a program, and in several (with a program:
/// one that takes fragments).
inline constexpr std::uint32_t kMtuMax = page_pool::kFrameBytesMax - kFrameOverhead;
inline constexpr std::uint32_t kXdpMtuMax = page_pool::kXdpFrameBytesMax - kFrameOverhead;
inline constexpr std::uint32_t kScatteredMtuMax = kFrameBytesLimit - kFrameOverhead;

inline constexpr std::size_t kUnicastMax = 16;  // one entry per value of the last four bits
inline constexpr std::size_t kMibWords = neta::kMibBytes / 4;

/// MIB and drop counters, which reading clears, added up.
struct HardwareCounters {
    std::array<std::uint64_t, kMibWords> mib{};
    std::uint64_t rx_discard = 0;
    std::uint64_t rx_overrun = 0;
    std::uint64_t eee_wakeup = 0;
    std::uint64_t tx_bad_fcs = 0;
    std::uint64_t tx_drop = 0;  // sent while the link was down
};

/// What health.cpp saw at its last look at the transmitter.
struct Health {
    std::array<std::uint32_t, neta::kQueues> tx_index{};
    std::array<unsigned, neta::kQueues> still{};  // looks without a move
    std::uint64_t pauses = 0;
    bool told = false;
    bool told_back = false;
};

struct Port {  // NOLINT(clang-analyzer-optin.performance.Padding): in order of meaning

    explicit Port(Devargs given) : args(std::move(given)) {}

    [[nodiscard]] const vfio::Registers& registers() const { return device->registers(); }

    // Counters outlive the queues they belong to.
    std::array<RxCounters, kRxQueuesMax> rx_counters;
    std::array<TxCounters, kAppTxQueues + kXdpTxQueues> tx_counters;  // by hardware queue
    Devargs args;
    rte_eth_dev* ethdev = nullptr;
    std::uint16_t id = 0;
    std::unique_ptr<vfio::Device> device;
    bool memory_mapped = false;  // holds a reference on the process's mapping of EAL memory
    xdp::RxHook* hooks = nullptr;

    std::array<std::unique_ptr<RxQueue>, kRxQueuesMax> rx;
    std::array<std::unique_ptr<TxQueue>, kAppTxQueues> tx;
    std::array<std::unique_ptr<TxQueue>, kXdpTxQueues> xdp_tx;
    std::uint32_t pools_made = 0;  // makes pool names unique

    std::uint32_t rx_running = 0;  // queues that are to run, one bit each
    std::uint32_t tx_running = 0;  // of the application
    bool link_forced_down = false;
    bool pause = false;  // flow control, both ways
    std::atomic<std::uint32_t> frame_bytes_max{RTE_ETHER_MTU + kFrameOverhead};
    std::atomic<bool> started{false};
    std::atomic<bool> takes_frames{
        false};                     // of programs: started, and the link not down for a change
    std::uint32_t type_mask = ~0U;  // of packet_type, as the application wants to see it

    Health health;
    Interrupts interrupts;
    std::mutex link_lock;  // over SMI and what follows from it; the EAL's thread looks too
    LinkMode link_mode;    // as the MAC was told

    rte_ether_addr address{};
    std::array<rte_ether_addr, kUnicastMax> more_addresses{};  // zero: unused
    std::vector<rte_ether_addr> multicast;
    std::vector<std::unique_ptr<rte_flow>> flows;

    rte_spinlock_t counters_lock = RTE_SPINLOCK_INITIALIZER;
    HardwareCounters hardware;
    // Values at the last reset.
    std::vector<std::uint64_t> xstats_base;
    rte_eth_stats stats_base{};
};

[[nodiscard]] inline Port& port_of(const rte_eth_dev* ethdev) {
    return *static_cast<Port*>(ethdev->data->dev_private);
}

/// What the chip may fill of a page.
[[nodiscard]] inline std::uint32_t rx_buffer_bytes(const rte_eth_dev* ethdev) {
    return ethdev->data->scattered_rx != 0 ? page_pool::kPieceDmaBytes : page_pool::kDmaBytes;
}

/// Name of the port, for messages.
[[nodiscard]] inline const char* name_of(const Port& port) {
    return static_cast<const char*>(port.ethdev->data->name);
}

// chip.cpp: sequences on the registers.
void chip_init(Port& port);
void chip_program_rx_queue(Port& port, unsigned queue);
void chip_program_tx_queue(Port& port, unsigned queue, const TxQueue* ring);
void chip_start(Port& port);
/// False when a queue or the FIFO did not come to rest; DMA is reset in any case.
bool chip_stop(Port& port);
void chip_enable_queue(const Port& port, std::uint32_t command, unsigned queue);
/// False when the queue did not come to rest.
bool chip_disable_queue(const Port& port, std::uint32_t command, unsigned queue);
void chip_set_frame_size(Port& port, std::uint32_t frame_bytes);
/// Moves to another frame size while queues keep their buffers.
void chip_change_frame_size(Port& port, std::uint32_t frame_bytes);

// link.cpp
/// Before the port starts: what a PHY offers.
void link_set_up_phy(Port& port);
void link_force(Port& port, bool up);
/// Tells the application if the link has changed.
void link_look(Port& port);
/// RTE_ETH_LINK_SPEED_*
[[nodiscard]] std::uint32_t link_speeds(const Port& port);
[[nodiscard]] Status link_check_speeds(const Port& port, std::uint32_t speeds);
[[nodiscard]] Status link_find_phy(const Port& port);
int link_update(rte_eth_dev* ethdev, int wait);
void link_add_ops(eth_dev_ops& ops);
void link_watch_start(Port& port);
void link_watch_stop(Port& port);

// filters.cpp
[[nodiscard]] Status filters_check_address(const Port& port, const rte_ether_addr& address);
void filters_program(Port& port);
void filters_add_ops(eth_dev_ops& ops);

// flow.cpp
/// Address filters, too.
void flow_program(Port& port);
/// May the port have that few RX queues?
[[nodiscard]] Status flow_check_queues(const Port& port, unsigned queues);
void flow_add_ops(eth_dev_ops& ops);

// queues.cpp
void queues_add_ops(eth_dev_ops& ops);
[[nodiscard]] Status queues_make_xdp(Port& port);
[[nodiscard]] Status queues_fill(Port& port);
void queues_drain(Port& port);
void queues_release_all(Port& port);

// queue_control.cpp
void queue_control_add_ops(eth_dev_ops& ops);
/// The operations on a queue that ethdev keeps beside its table.
void queue_control_attach(rte_eth_dev& ethdev);

// interrupts.cpp
[[nodiscard]] Status interrupts_start(Port& port);
/// Lets them through, once the port runs.
void interrupts_show(Port& port);
void interrupts_stop(Port& port);
void interrupts_add_ops(eth_dev_ops& ops);

// health.cpp
void health_start(Port& port);
/// Every 100 ms, where link changes are looked for.
void health_look(Port& port);
/// The same, of a device that vanished.
void health_look_for_return(Port& port);

// register_dump.cpp
void register_dump_add_ops(eth_dev_ops& ops);

// counters.cpp
void counters_add_ops(eth_dev_ops& ops);
void counters_collect_hardware(Port& port);

// path.cpp: which of the path's functions serve the port.
void path_add_ops(eth_dev_ops& ops);
/// By the offloads the application configured. Not under traffic.
void path_choose(Port& port);
/// Names for people of the functions in use.
[[nodiscard]] const char* path_rx_name(const Port& port);
[[nodiscard]] const char* path_tx_name(const Port& port);

// control.cpp
[[nodiscard]] const eth_dev_ops& device_ops();
/// What every port can; not its speeds.
void limits_of_any_port(rte_eth_dev_info& info);
[[nodiscard]] Status port_open(Port& port);
void port_close(Port& port);
[[nodiscard]] Status port_check_mtu(Port& port, std::uint32_t mtu);

// rx.cpp, tx.cpp: the path.
std::uint16_t receive(void* queue, rte_mbuf** mbufs, std::uint16_t n);
/// As receive(), with packet types and checksum flags.
std::uint16_t receive_with_facts(void* queue, rte_mbuf** mbufs, std::uint16_t n);
/// Also frames that lie in several pages.
std::uint16_t receive_scattered(void* queue, rte_mbuf** mbufs, std::uint16_t n);
std::uint16_t transmit(void* queue, rte_mbuf** mbufs, std::uint16_t n);
/// As transmit(), for mbufs that may ask for checksums.
std::uint16_t transmit_with_sums(void* queue, rte_mbuf** mbufs, std::uint16_t n);
/// ethdev's tx_pkt_prepare.
std::uint16_t prepare(void* queue, rte_mbuf** mbufs, std::uint16_t n);
std::uint32_t transmit_frames(void* port,
                              std::uint32_t slot,
                              const xdp::Frame* frames,
                              std::uint32_t n);

}  // namespace crema::neta_pmd
