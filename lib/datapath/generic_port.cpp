// SPDX-License-Identifier: BSD-3-Clause
#include "lib/datapath/generic_port.h"

#include <algorithm>
#include <cerrno>

#include <rte_ethdev.h>
#include <rte_memcpy.h>

#include "lib/ebpf/abi/fragments.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/page_pool/page_pool.h"
#include "lib/page_pool/retire.h"
#include "lib/xdp/counter.h"

namespace crema::datapath {
namespace {

constexpr std::uint32_t kEthernetBytes = 14;
constexpr std::uint32_t kVlanBytes = 4;

/// Is a pool ours? Asked by name, so the answer is kept: a burst has one pool, rarely two.
class PoolKind {
  public:
    [[nodiscard]] bool is_page_pool(const rte_mempool* pool) {
        if (pool != last_) {
            last_ = pool;
            last_is_page_pool_ = page_pool::is_page_pool(pool);
        }
        return last_is_page_pool_;
    }

  private:
    const rte_mempool* last_ = nullptr;
    bool last_is_page_pool_ = false;
};

/// True when a program may work on the frame where it is: a page of ours that nobody shares, with
/// the headroom that programs are promised.
bool is_in_place(const rte_mbuf* mbuf, PoolKind& kind) {
    return kind.is_page_pool(mbuf->pool) && RTE_MBUF_DIRECT(mbuf) && mbuf->nb_segs == 1 &&
           rte_mbuf_refcnt_read(mbuf) == 1 &&
           mbuf->data_off >= page_pool::kHardStartOffset + ebpf::kXdpHeadroom &&
           mbuf->data_off + std::uint32_t{mbuf->data_len} + ebpf::kTailReserve <=
               page_pool::kBufferBytes;
}

/// Reads the bytes of a mbuf, across its segments.
class Source {
  public:
    explicit Source(const rte_mbuf* mbuf) : segment_(mbuf) {}

    /// bytes: at most what is left.
    void read(std::uint8_t* to, std::uint32_t bytes) {
        while (bytes != 0 && segment_ != nullptr) {
            const std::uint32_t part = std::min(bytes, segment_->data_len - at_);
            rte_memcpy(to, rte_pktmbuf_mtod_offset(segment_, const std::uint8_t*, at_), part);
            to += part;
            bytes -= part;
            at_ += part;
            if (at_ == segment_->data_len) {
                segment_ = segment_->next;
                at_ = 0;
            }
        }
    }

  private:
    const rte_mbuf* segment_;
    std::uint32_t at_ = 0;  // bytes read of it
};

/// Longest frame that is shown in pieces.
constexpr std::uint32_t kFrameBytesInPiecesMax =
    page_pool::kFirstPieceBytesMax + ebpf::kFragmentsMax * page_pool::kPieceDmaBytes;

std::uint32_t frame_bytes_most(bool in_pieces) {
    return in_pieces ? kFrameBytesInPiecesMax : page_pool::kXdpFrameBytesMax;
}

/// Copies `mbuf` into `frame`, whose first page is there, and pages of `pool` for what does not fit
/// it. False, and the frame is as before: not enough of them.
[[gnu::cold]] bool copy_in_pieces(const rte_mbuf* mbuf, xdp::Frame& frame, rte_mempool* pool) {
    std::array<rte_mbuf*, ebpf::kFragmentsMax> pages;
    std::uint32_t left = mbuf->pkt_len - page_pool::kFirstPieceBytesMax;
    const std::uint32_t n = (left + page_pool::kPieceDmaBytes - 1) / page_pool::kPieceDmaBytes;
    const std::uint32_t got = page_pool::alloc_bulk(pool, pages.data(), n);
    if (got != n) {
        page_pool::recycle_bulk(pool, pages.data(), got);
        return false;
    }
    Source source(mbuf);
    frame.len = page_pool::kFirstPieceBytesMax;
    frame.fragments = static_cast<std::uint16_t>(n);
    source.read(frame.data, frame.len);
    rte_mbuf* last = frame.page;
    for (std::uint32_t i = 0; i < n; ++i) {
        const std::uint32_t bytes = std::min(left, page_pool::kPieceDmaBytes);
        std::uint8_t* const data = page_pool::buffer_of(pages[i]) + page_pool::kDmaOffset;
        source.read(data, bytes);
        page_pool::to_mbuf(pages[i], data, bytes, mbuf->port);
        last->next = pages[i];
        last = pages[i];
        left -= bytes;
    }
    return true;
}

}  // namespace

Result<std::unique_ptr<GenericPort>> GenericPort::create(std::uint16_t port_id,
                                                         std::uint16_t rx_queues,
                                                         std::uint32_t pages,
                                                         bool sends_chains,
                                                         TxQueues& tx) {
    if (rx_queues == 0 || rx_queues > xdp::kRxQueuesMax) {
        return fail(EINVAL, "port {}: {} RX queues, XDP serves 1 to {}", port_id, rx_queues,
                    xdp::kRxQueuesMax);
    }
    auto port = std::unique_ptr<GenericPort>(new GenericPort(port_id, tx));
    for (std::uint16_t queue = 0; queue < rx_queues; ++queue) {
        const auto pool = page_pool::create({.name = fmt::format("xdp_p{}q{}", port_id, queue),
                                             .pages = pages,
                                             .numa_node = rte_eth_dev_socket_id(port_id)});
        if (!pool) {
            return forward_error(pool);
        }
        port->pools_.push_back(*pool);
    }
    const xdp::PortOps ops = {.mode = "generic",
                              .xmit = xmit,
                              .attach_check = attach_check,
                              .frame_bytes_max = frame_bytes_max,
                              .is_up = is_up,
                              .sends_fragments = sends_chains};
    const auto hooks = xdp::register_port(port_id, ops, port.get());
    if (!hooks) {
        return forward_error(hooks);
    }
    port->hooks_ = *hooks;
    port->read_mtu();
    return port;
}

GenericPort::~GenericPort() {
    if (hooks_ != nullptr) {
        xdp::unregister_port(port_id_);
    }
    for (rte_mempool* pool : pools_) {
        page_pool::retire(pool);
    }
}

void GenericPort::set_owner(std::uint16_t queue, unsigned lcore_id) {
    page_pool::set_owner(pools_[queue], lcore_id);
}

void GenericPort::read_mtu() {
    std::uint16_t mtu = 0;
    if (rte_eth_dev_get_mtu(port_id_, &mtu) != 0) {
        mtu = RTE_ETHER_MTU;  // a driver that does not tell
    }
    frame_bytes_max_.store(mtu + kEthernetBytes + kVlanBytes, std::memory_order_relaxed);
}

std::uint32_t GenericPort::collect(std::uint16_t queue,
                                   rte_mbuf** mbufs,
                                   std::uint32_t n,
                                   xdp::Frame* frames) {
    std::array<rte_mbuf*, xdp::kBurstMax> done;  // copied from, or dropped
    std::array<std::uint32_t, xdp::kBurstMax> to_copy;
    PoolKind pool_kind;
    const std::uint32_t bytes_most =
        frame_bytes_most(hooks_[queue].takes_fragments.load(std::memory_order_relaxed));
    std::uint32_t done_n = 0;
    std::uint32_t copies = 0;
    std::uint32_t too_long = 0;
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        rte_mbuf* const mbuf = mbufs[i];
        if (is_in_place(mbuf, pool_kind)) {
            frames[kept++] = {.page = mbuf,
                              .data = rte_pktmbuf_mtod(mbuf, std::uint8_t*),
                              .len = mbuf->data_len,
                              .meta_len = 0,
                              .fragments = 0};
        } else if (mbuf->pkt_len > bytes_most) [[unlikely]] {
            ++too_long;
            done[done_n++] = mbuf;
        } else {
            // Its place in the burst is kept: order of frames does not depend on where they lie.
            frames[kept] = {.page = nullptr,
                            .data = nullptr,
                            .len = mbuf->pkt_len,
                            .meta_len = 0,
                            .fragments = 0};
            to_copy[copies++] = kept++;
            done[done_n++] = mbuf;
            mbufs[copies - 1] = mbuf;
        }
    }
    std::array<rte_mbuf*, xdp::kBurstMax> pages;
    const std::uint32_t got = page_pool::alloc_bulk(pools_[queue], pages.data(), copies);
    std::uint32_t copied = 0;
    for (std::uint32_t i = 0; i < got; ++i) {
        xdp::Frame& frame = frames[to_copy[i]];
        frame.page = pages[i];
        frame.data = page_pool::buffer_of(pages[i]) + page_pool::kDataOffset;
        if (frame.len <= page_pool::kFirstPieceBytesMax) [[likely]] {
            Source(mbufs[i]).read(frame.data, frame.len);
            ++copied;
        } else if (copy_in_pieces(mbufs[i], frame, pools_[queue])) {
            ++copied;
        } else {
            page_pool::recycle_bulk(pools_[queue], &pages[i], 1);
            frame.page = nullptr;
        }
    }
    rte_pktmbuf_free_bulk(done.data(), done_n);
    if (copied != copies) [[unlikely]] {
        std::uint32_t left = 0;
        for (std::uint32_t i = 0; i < kept; ++i) {
            if (frames[i].page != nullptr) {
                frames[left++] = frames[i];
            }
        }
        kept = left;
    }
    QueueCounters& own = queue_counters_[queue];
    xdp::bump(own.copied, copied);
    xdp::bump(own.no_page, copies - copied);
    xdp::bump(own.too_long, too_long);
    return kept;
}

std::uint32_t GenericPort::run(std::uint16_t queue, rte_mbuf** mbufs, std::uint32_t n) {
    std::array<xdp::Frame, xdp::kBurstMax> frames;
    const std::uint32_t ready = collect(queue, mbufs, n, frames.data());
    if (ready == 0) {
        return 0;
    }
    xdp::RxHook& hook = hooks_[queue];
    const std::uint32_t passed = hook.run(&hook, frames.data(), ready);
    for (std::uint32_t i = 0; i < passed; ++i) {
        mbufs[i] = xdp::to_mbuf(frames[i], port_id_);
    }
    return passed;
}

std::uint32_t GenericPort::xmit(void* port,
                                std::uint32_t slot,
                                const xdp::Frame* frames,
                                std::uint32_t n) {
    auto& self = *static_cast<GenericPort*>(port);
    if (!self.up_.load(std::memory_order_acquire)) [[unlikely]] {
        return 0;
    }
    std::array<rte_mbuf*, xdp::kBurstMax> mbufs;
    for (std::uint32_t i = 0; i < n; ++i) {
        mbufs[i] = xdp::to_mbuf(frames[i], self.port_id_);
    }
    const std::uint16_t sent = self.tx_.send(slot, mbufs.data(), static_cast<std::uint16_t>(n));
    self.tx_xdp_xmit_.fetch_add(sent, std::memory_order_relaxed);
    if (sent != n) [[unlikely]] {
        self.tx_xdp_errors_.fetch_add(n - sent, std::memory_order_relaxed);
    }
    return sent;
}

Status GenericPort::check_frame_bytes(std::uint32_t frame_bytes, bool has_frags) const {
    const std::uint32_t most = frame_bytes_most(has_frags);
    if (frame_bytes > most) {
        return fail(EOPNOTSUPP,
                    "the MTU makes frames of {} bytes, with a program {} frags support at most {} "
                    "fit: set the MTU of port {} to {} or less",
                    frame_bytes, has_frags ? "with" : "without", most, port_id_,
                    most - kEthernetBytes - kVlanBytes);
    }
    return {};
}

Status GenericPort::check_mtu(std::uint16_t mtu) const {
    const xdp::RxHook& hook = hooks_[0];
    if (!hook.active.load(std::memory_order_acquire)) {
        return {};
    }
    return check_frame_bytes(std::uint32_t{mtu} + kEthernetBytes + kVlanBytes,
                             hook.takes_fragments.load(std::memory_order_acquire));
}

Status GenericPort::attach_check(void* port, bool has_frags) {
    return static_cast<const GenericPort*>(port)->check_frame_bytes(frame_bytes_max(port),
                                                                    has_frags);
}

std::uint32_t GenericPort::frame_bytes_max(void* port) {
    return static_cast<const GenericPort*>(port)->frame_bytes_max_.load(std::memory_order_relaxed);
}

bool GenericPort::is_up(void* port) {
    return static_cast<const GenericPort*>(port)->up_.load(std::memory_order_acquire);
}

GenericCounters GenericPort::counters() const {
    GenericCounters sum;
    for (const QueueCounters& own : queue_counters_) {
        sum.copied += xdp::peek(own.copied);
        sum.too_long += xdp::peek(own.too_long);
        sum.no_page += xdp::peek(own.no_page);
    }
    sum.tx_xdp_xmit = tx_xdp_xmit_.load(std::memory_order_relaxed);
    sum.tx_xdp_errors = tx_xdp_errors_.load(std::memory_order_relaxed);
    return sum;
}

}  // namespace crema::datapath
