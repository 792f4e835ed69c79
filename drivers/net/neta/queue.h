// SPDX-License-Identifier: BSD-3-Clause
//
// The two kinds of queue: a descriptor ring, what software knows about each of its slots, and
// counters. The chip has no ownership bits: counts say who owns a descriptor (hardware page, 4).
//
// RX, free-running around the ring:   refill_next .. next .. next + ready .. refill_next + size
//                                     empty slots   received    with the chip
// Nothing a device writes is trusted beyond status and size of a frame; buffers are found by slot.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_spinlock.h>

#include "lib/base/counter.h"
#include "lib/neta/descriptors.h"
#include "lib/vfio/dma_space.h"
#include "lib/vfio/registers.h"
#include "lib/xdp/hook.h"

namespace crema::neta_pmd {

/// Word 1 of a descriptor that the chip has not written yet: no frame is that long.
inline constexpr std::uint16_t kPoisonSize = 0xdead;
inline constexpr std::uint16_t kPoisonInfo = 0xbeaf;

/// Why a received frame did not get further than the driver.
enum class RxFault : std::uint8_t { crc, overrun, too_long, resource, fragment, bad_size, count };

inline constexpr std::size_t kRxFaults = static_cast<std::size_t>(RxFault::count);

/// IOVA of [data, data+len), looked up through a window that is kept between calls.
class Translator {
  public:
    void attach(const vfio::DmaSpace& space) {
        space_ = &space;
        window_ = {};
    }

    /// Once per burst: forgets a window that may have been unmapped.
    void begin_burst() {
        const std::uint32_t generation = space_->generation();
        if (generation != generation_) [[unlikely]] {
            generation_ = generation;
            window_ = {};
        }
    }

    /// kNoIova when not all of it is in one mapped range.
    [[nodiscard]] std::uint32_t iova_of(const void* data, std::size_t len) {
        if (!covers(data, len)) [[unlikely]] {
            window_ = space_->window_of(data);
            if (!covers(data, len)) {
                return vfio::DmaSpace::kNoIova;
            }
        }
        return window_.iova_of(data);
    }

  private:
    [[nodiscard]] bool covers(const void* data, std::size_t len) const {
        const auto offset =
            static_cast<std::size_t>(static_cast<const std::uint8_t*>(data) - window_.va);
        return offset < window_.bytes && len <= window_.bytes - offset;
    }

    const vfio::DmaSpace* space_ = nullptr;
    vfio::DmaSpace::Window window_;
    std::uint32_t generation_ = 0;
};

struct alignas(RTE_CACHE_LINE_SIZE) RxCounters {
    OwnerCounter packets;
    OwnerCounter bytes;
    OwnerCounter refill_short;  // pages the pool could not give
    OwnerCounter late;          // descriptors counted by the chip before they were in memory
    OwnerCounter lies;          // counts beyond what the chip was given
    std::array<OwnerCounter, kRxFaults> faults;
};

struct alignas(RTE_CACHE_LINE_SIZE) TxCounters {
    OwnerCounter packets;
    OwnerCounter bytes;
    OwnerCounter errors;  // refused: no window, no data, too long; XDP: also no room
    OwnerCounter full;    // no room in the ring
    OwnerCounter lies;
    OwnerCounter software_sums;  // frames whose checksums the chip could not insert
};

struct RxQueue {  // NOLINT(*.Padding): what each burst writes starts a cache line
    // Read on each burst.
    vfio::Registers registers;
    neta::RxDescriptor* ring = nullptr;
    rte_mbuf** pages = nullptr;  // page at each slot; null when the slot is empty
    rte_mempool* pool = nullptr;
    xdp::RxHook* hook = nullptr;
    const std::atomic<std::uint32_t>* frame_bytes_max = nullptr;
    RxCounters* counters = nullptr;  // of the port: they outlive the queue
    std::uint32_t size = 0;          // even
    std::uint16_t index = 0;
    std::uint16_t port_id = 0;
    bool coherent = true;
    unsigned owner = LCORE_ID_ANY;
    std::uint32_t flags_mask = 0;             // of ol_flags, as RX offloads asked
    std::atomic<std::uint32_t> type_mask{0};  // of packet_type; changes under traffic
    // Changed on each burst.
    alignas(RTE_CACHE_LINE_SIZE) std::uint32_t next = 0;  // slot to look at next
    std::uint32_t refill_next = 0;                        // slot to fill next; even
    std::uint32_t ready = 0;                              // reported by the chip, not looked at yet
    std::uint32_t empty = 0;                              // slots without a page
    std::uint32_t unreported = 0;                         // looked at, PROCESSED not written yet
    std::uint32_t batch = 0;  // slots to collect before the chip is told
    bool refusing = false;    // scattered: what was refused last has not ended yet
    Translator translator;
    rte_eth_rxconf conf{};  // as the application gave it

    [[nodiscard]] std::uint32_t with_chip() const { return size - empty; }

    [[nodiscard]] std::uint32_t after(std::uint32_t slot) const {
        return slot + 1 == size ? 0 : slot + 1;
    }
};

/// What to give back when a slot was sent. Bit 0 of the pointer: the first mbuf of a chain.
using TxOwner = std::uintptr_t;

inline constexpr TxOwner kTxChain = 1;

struct TxQueue {  // NOLINT(*.Padding): as above
    vfio::Registers registers;
    neta::TxDescriptor* ring = nullptr;
    TxOwner* owners = nullptr;  // per slot; 0: nothing ends here
    std::uint32_t size = 0;
    std::uint16_t hardware_queue = 0;
    std::uint32_t sum_limit = 0;  // largest frame whose checksums the chip inserts; 0: none asked
    bool coherent = true;
    bool frames = false;                                  // XDP queue: owners are pages, not mbufs
    TxCounters* counters = nullptr;                       // of the port
    alignas(RTE_CACHE_LINE_SIZE) std::uint32_t next = 0;  // slot to fill next
    std::uint32_t oldest = 0;                             // first slot not given back
    std::uint32_t in_use = 0;
    std::uint32_t unacknowledged = 0;  // given back, DEC_SENT not written yet
    Translator translator;
    rte_spinlock_t lock = RTE_SPINLOCK_INITIALIZER;  // XDP queues
    rte_eth_txconf conf{};                           // as the application gave it

    [[nodiscard]] std::uint32_t room() const { return size - in_use; }

    [[nodiscard]] std::uint32_t after(std::uint32_t slot) const {
        return slot + 1 == size ? 0 : slot + 1;
    }
};

/// Gives the chip empty descriptors and tells it what was processed.
void rx_refill(RxQueue& queue);
/// Descriptors that the chip has filled and nobody looked at; asks the chip.
[[nodiscard]] std::uint32_t rx_waiting(const RxQueue& queue);
/// Sends home what was received and not taken. Only with the queue stopped.
void rx_discard_received(RxQueue& queue);
/// Takes all pages out of the ring. Only with DMA stopped.
void rx_drain(RxQueue& queue);
/// Descriptors that were sent and not given back; asks the chip.
[[nodiscard]] std::uint32_t tx_sent(const TxQueue& queue);
/// Frees what was sent; returns how many descriptors.
std::uint32_t tx_reclaim(TxQueue& queue);
/// Frees everything in the ring, sent or not. Only with DMA stopped.
void tx_drain(TxQueue& queue);

}  // namespace crema::neta_pmd
