// SPDX-License-Identifier: BSD-3-Clause
//
// The bulk queues of one sender (an RX queue or a cpumap poller). A burst has at most 64 frames, so
// they wait in one array, chained per target; a target is looked up and asked whether it is up once
// per burst. Flush hands each target its chain in order, with one call. Nothing outlives a burst:
// what no target took is recycled and counted before flush returns.
#include <array>
#include <new>

#include <rte_common.h>
#include <rte_memcpy.h>

#include "lib/ebpf/maps/devmap.h"
#include "lib/page_pool/page_pool.h"
#include "lib/redirect/device.h"
#include "lib/redirect/target.h"
#include "lib/xdp/redirector.h"

namespace crema::xdp {

struct Outbound {
    static constexpr std::uint32_t kEnd = ~0U;

    struct Waiting {
        redirect::Parcel parcel;
        std::uint32_t next;  // of the same target, or kEnd
    };

    struct Chain {
        const redirect::Target* target;
        bool broadcast;       // its frames are one of several copies: refusals are the target's
        redirect::Gate gate;  // device targets
        std::uint32_t head;
        std::uint32_t tail;
    };

    std::uint32_t waiting_n = 0;
    std::uint32_t chains_n = 0;
    std::uint32_t refused = 0;      // since the last flush
    rte_mempool* copies = nullptr;  // for broadcast; null: the frame's own pool
    std::array<Chain, kBurstMax> chains;
    std::array<Waiting, kBurstMax> waiting;
};

}  // namespace crema::xdp

namespace crema::redirect {
namespace {

using xdp::Frame;
using xdp::kBurstMax;
using xdp::Outbound;

// flags of bpf_redirect_map
constexpr std::uint64_t kBroadcast = 8;
constexpr std::uint64_t kExcludeIngress = 16;

/// The chain of `target`; opened when this is its first frame since the last flush.
Outbound::Chain& chain_of(Outbound& outbound, const Target& target, bool broadcast) {
    // Most bursts have one to four targets, and neighbours go the same way: search backwards.
    for (std::uint32_t i = outbound.chains_n; i > 0; --i) {
        Outbound::Chain& chain = outbound.chains[i - 1];
        if (chain.target == &target && chain.broadcast == broadcast) {
            return chain;
        }
    }
    Outbound::Chain& chain = outbound.chains[outbound.chains_n++];
    chain.target = &target;
    chain.broadcast = broadcast;
    chain.head = Outbound::kEnd;
    if (target.kind == Target::Kind::device) {
        chain.gate = gate_of(static_cast<const DeviceTarget&>(target).ifindex);
    }
    return chain;
}

void recycle(const Parcel* parcels, std::uint32_t n) {
    std::array<rte_mbuf*, kBurstMax> pages;
    for (std::uint32_t i = 0; i < n; ++i) {
        pages[i] = parcels[i].frame.page;
    }
    page_pool::recycle_mixed(pages.data(), n);
}

void send_all(Outbound& outbound) {
    std::array<Parcel, kBurstMax> parcels;
    std::uint32_t refused = 0;
    for (std::uint32_t c = 0; c < outbound.chains_n; ++c) {
        const Outbound::Chain& chain = outbound.chains[c];
        std::uint32_t n = 0;
        for (std::uint32_t i = chain.head; i != Outbound::kEnd; i = outbound.waiting[i].next) {
            parcels[n++] = outbound.waiting[i].parcel;
        }
        if (n == 0) {
            continue;  // opened for a frame that then did not fit
        }
        if (chain.target->kind == Target::Kind::device) {
            refused = send_to_device(static_cast<const DeviceTarget&>(*chain.target), chain.gate,
                                     parcels.data(), n);
        } else {
            const std::uint32_t taken =
                send_to_cpu(static_cast<const CpuTarget&>(*chain.target), parcels.data(), n);
            refused = n - taken;
            if (refused != 0) {
                recycle(parcels.data() + taken, refused);
            }
        }
        if (!chain.broadcast) {
            outbound.refused += refused;
        }
    }
    outbound.chains_n = 0;
    outbound.waiting_n = 0;
}

/// Makes room for one more frame and one more target.
void make_room(Outbound& outbound) {
    if (outbound.waiting_n == kBurstMax || outbound.chains_n == kBurstMax) [[unlikely]] {
        send_all(outbound);
    }
}

bool may_send(const Outbound::Chain& chain, const Frame& frame) {
    return chain.target->kind != Target::Kind::device ||
           (chain.gate.port != nullptr && frame.len <= chain.gate.frame_bytes_max);
}

void append(Outbound& outbound,
            Outbound::Chain& chain,
            const Frame& frame,
            std::uint32_t ingress_ifindex) {
    const std::uint32_t place = outbound.waiting_n++;
    outbound.waiting[place] = {.parcel = {.frame = frame, .ingress_ifindex = ingress_ifindex},
                               .next = Outbound::kEnd};
    if (chain.head == Outbound::kEnd) {
        chain.head = place;
    } else {
        outbound.waiting[chain.tail].next = place;
    }
    chain.tail = place;
}

bool queue_for(Outbound& outbound,
               const Target& target,
               const Frame& frame,
               std::uint32_t ingress_ifindex) {
    make_room(outbound);
    Outbound::Chain& chain = chain_of(outbound, target, false);
    if (!may_send(chain, frame)) [[unlikely]] {
        count_refused(static_cast<const DeviceTarget&>(target).ifindex, 1);
        return false;
    }
    append(outbound, chain, frame, ingress_ifindex);
    return true;
}

/// A page of `pool` with the same bytes at the same place, or a null page.
Frame copy_of(const Frame& frame, rte_mempool* pool) {
    rte_mbuf* page = nullptr;
    if (page_pool::alloc_bulk(pool, &page, 1) == 0) {
        return {};
    }
    const std::uint8_t* const from = frame.data - frame.meta_len;
    const std::uint32_t offset =
        static_cast<std::uint32_t>(from - page_pool::hard_start_of(frame.page));
    std::uint8_t* const to = page_pool::hard_start_of(page) + offset;
    rte_memcpy(to, from, frame.meta_len + frame.len);
    return {
        .page = page, .data = to + frame.meta_len, .len = frame.len, .meta_len = frame.meta_len};
}

/// Sends to every slot whose port can take the frame. The last one gets the frame itself, the
/// others copies, as in the kernel; no such port is no error. False: no page for a copy.
bool broadcast(Outbound& outbound, const ebpf::XdpBuff& buff, const Frame& frame) {
    const std::uint32_t ingress = buff.ingress_ifindex;
    const bool skip_ingress = (buff.redirect.flags & kExcludeIngress) != 0;
    const Target* last = nullptr;
    bool complete = true;
    static_cast<const ebpf::maps::Devmap*>(buff.redirect.map)
        ->for_each([&](const ebpf::maps::DevmapEntry& entry) {
            const auto* const target = static_cast<const Target*>(entry.target);
            if (target == nullptr || (skip_ingress && entry.ifindex == ingress) || !complete) {
                return;
            }
            make_room(outbound);
            if (!may_send(chain_of(outbound, *target, true), frame)) {
                count_refused(entry.ifindex, 1);
                return;
            }
            if (last != nullptr) {
                const Frame copy =
                    copy_of(frame, outbound.copies != nullptr ? outbound.copies : frame.page->pool);
                if (copy.page == nullptr) [[unlikely]] {
                    complete = false;
                    return;
                }
                count_copies(static_cast<const DeviceTarget*>(last)->ifindex, 1);
                append(outbound, chain_of(outbound, *last, true), copy, ingress);
            }
            last = target;
        });
    if (!complete) {
        return false;
    }
    if (last == nullptr) {
        page_pool::recycle_mixed(&frame.page, 1);
        return true;
    }
    make_room(outbound);
    append(outbound, chain_of(outbound, *last, true), frame, ingress);
    return true;
}

Outbound* create() {
    make_direct_targets();
    return new (std::nothrow) Outbound;
}

void destroy(Outbound* outbound) {
    delete outbound;
}

void set_copy_pool(Outbound* outbound, rte_mempool* pool) {
    if (outbound != nullptr) {
        outbound->copies = pool;
    }
}

bool enqueue(Outbound* outbound, const ebpf::XdpBuff& buff, const Frame& frame) {
    using Kind = ebpf::RedirectTarget::Kind;
    if (outbound == nullptr || buff.redirect.kind == Kind::none) [[unlikely]] {
        return false;
    }
    // The frame header needs its place in the headroom (the kernel: EOVERFLOW).
    if (frame.data - frame.meta_len < buff.data_hard_start + ebpf::kFrameReserve) [[unlikely]] {
        return false;
    }
    if (buff.redirect.kind == Kind::map && (buff.redirect.flags & kBroadcast) != 0) [[unlikely]] {
        return broadcast(*outbound, buff, frame);
    }
    const Target* const target = buff.redirect.kind == Kind::map
                                     ? static_cast<const Target*>(buff.redirect.slot)
                                     : direct_target(buff.redirect.index);
    if (target == nullptr) [[unlikely]] {
        return false;
    }
    return queue_for(*outbound, *target, frame, buff.ingress_ifindex);
}

std::uint32_t flush(Outbound* outbound) {
    if (outbound == nullptr) [[unlikely]] {
        return 0;  // there was no memory for it: enqueue took nothing
    }
    if (outbound->waiting_n != 0) {
        send_all(*outbound);
    }
    outbound->chains_n = 0;
    const std::uint32_t refused = outbound->refused;
    outbound->refused = 0;
    return refused;
}

}  // namespace

// The library brings its redirector along: ports, maps and programs find it in place.
RTE_INIT(crema_install_redirect) {
    xdp::set_redirector({.create = create,
                         .destroy = destroy,
                         .set_copy_pool = set_copy_pool,
                         .enqueue = enqueue,
                         .flush = flush});
    ebpf::maps::set_target_hooks({.device_acquire = acquire_device,
                                  .cpu_acquire = acquire_cpu,
                                  .device_release = release_device,
                                  .cpu_release = release_cpu});
}

}  // namespace crema::redirect
