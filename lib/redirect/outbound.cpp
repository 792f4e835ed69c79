// SPDX-License-Identifier: BSD-3-Clause
//
// The bulk queues of one sender (an RX queue or a cpumap poller). A burst has at most 64 frames, so
// they wait in one array, chained per target; a target is looked up and asked whether it is up once
// per burst. Flush hands each target its chain in order, with one call: the array itself where all
// frames go one way, as they mostly do, else a copy of the chain's. Nothing outlives a burst:
// what no target took is recycled and counted before flush returns.
#include <array>
#include <cerrno>
#include <new>

#include <rte_common.h>
#include <rte_memcpy.h>

#include "lib/ebpf/maps/devmap.h"
#include "lib/page_pool/page_pool.h"
#include "lib/redirect/device.h"
#include "lib/redirect/errors.h"
#include "lib/redirect/target.h"
#include "lib/xdp/redirector.h"

namespace crema::xdp {

struct Outbound {
    struct Chain {
        const redirect::Target* target;
        redirect::Gate gate;            // device targets
        std::uint32_t frame_bytes_max;  // 0: the target takes none
        bool takes_fragments;
        std::uint32_t n;  // frames in it
        std::uint32_t head;
        std::uint32_t tail;
        redirect::Via via;  // of its first frame
        bool broadcast;     // its frames are one of several copies: refusals are the target's
    };

    std::uint32_t waiting_n = 0;
    std::uint32_t chains_n = 0;
    bool ports_shared = false;      // several chains lead to one port
    std::uint32_t refused = 0;      // since the last flush
    Chain* last = nullptr;          // found last, since then
    rte_mempool* copies = nullptr;  // for broadcast; null: the frame's own pool
    std::array<Chain, kBurstMax> chains;
    // What waits, in the order in which it came.
    std::array<Frame, kBurstMax> frames;
    std::array<std::uint32_t, kBurstMax> ingress_ifindexes;
    std::array<std::uint32_t, kBurstMax> next;  // of the same target, if there is one
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

bool is_chain_of(const Outbound::Chain& chain, const Target& target, bool broadcast) {
    return chain.target == &target && chain.broadcast == broadcast;
}

bool leads_to_same_port(const Outbound::Chain& one, const Outbound::Chain& other) {
    return one.target->kind == Target::Kind::device && other.target->kind == Target::Kind::device &&
           one.gate.port != nullptr && one.gate.port == other.gate.port;
}

/// Most bursts have one to four targets: searched backwards.
[[gnu::noinline]] Outbound::Chain& find_or_open_chain(Outbound& outbound,
                                                      const Target& target,
                                                      Via via,
                                                      bool broadcast) {
    for (std::uint32_t i = outbound.chains_n; i > 0; --i) {
        Outbound::Chain& chain = outbound.chains[i - 1];
        if (is_chain_of(chain, target, broadcast)) {
            outbound.last = &chain;
            return chain;
        }
    }
    Outbound::Chain& chain = outbound.chains[outbound.chains_n++];
    chain = {.target = &target,
             .gate = {},
             .frame_bytes_max = UINT32_MAX,
             .takes_fragments = true,
             .n = 0,
             .head = 0,
             .tail = 0,
             .via = via,
             .broadcast = broadcast};
    if (target.kind == Target::Kind::device) {
        chain.gate = gate_of(static_cast<const DeviceTarget&>(target).ifindex);
        chain.frame_bytes_max = chain.gate.port != nullptr ? chain.gate.frame_bytes_max : 0;
        chain.takes_fragments = chain.gate.port != nullptr && chain.gate.takes_fragments;
        for (std::uint32_t i = 0; i + 1 < outbound.chains_n; ++i) {
            outbound.ports_shared |= leads_to_same_port(outbound.chains[i], chain);
        }
    }
    outbound.last = &chain;
    return chain;
}

/// The chain of `target`; opened when this is its first frame since the last flush. Neighbours
/// mostly go the same way.
Outbound::Chain& chain_of(Outbound& outbound, const Target& target, Via via, bool broadcast) {
    if (outbound.last != nullptr && is_chain_of(*outbound.last, target, broadcast)) [[likely]] {
        return *outbound.last;
    }
    return find_or_open_chain(outbound, target, via, broadcast);
}

/// Returns how many the target refused; they are recycled.
std::uint32_t send(const Outbound::Chain& chain, const Parcels& parcels) {
    if (chain.target->kind == Target::Kind::device) {
        return send_to_device(static_cast<const DeviceTarget&>(*chain.target), chain.gate, parcels);
    }
    const std::uint32_t taken = send_to_cpu(static_cast<const CpuTarget&>(*chain.target), parcels);
    if (taken != parcels.n) {
        xdp::recycle(parcels.frames + taken, parcels.n - taken);
    }
    return parcels.n - taken;
}

/// send() for frames that do not stand together.
std::uint32_t send_scattered(const Outbound& outbound, const Outbound::Chain& chain) {
    std::array<Frame, kBurstMax> frames;
    std::array<std::uint32_t, kBurstMax> ingress_ifindexes;
    std::uint32_t n = 0;
    for (std::uint32_t i = chain.head; n < chain.n; i = outbound.next[i]) {
        frames[n] = outbound.frames[i];
        ingress_ifindexes[n++] = outbound.ingress_ifindexes[i];
    }
    return send(chain, {frames.data(), ingress_ifindexes.data(), n});
}

void note_refused(Outbound& outbound, const Outbound::Chain& chain, std::uint32_t refused) {
    if (chain.broadcast) {
        count_broadcast_refused_later(refused);
        return;
    }
    outbound.refused += refused;
    count_refused_later(chain.via, refused);
}

/// All frames for the port of chain `first`, whichever way they came, in the order in which they
/// came: entries of maps, each with its own program, and plain redirects may name the same port.
/// chain_at: of each place.
void send_to_shared_port(Outbound& outbound,
                         std::uint32_t first,
                         const std::array<std::uint8_t, kBurstMax>& chain_at) {
    std::array<Frame, kBurstMax> frames;
    std::array<std::uint32_t, kBurstMax> ingress_ifindexes;
    std::uint32_t n = 0;
    std::uint32_t c = first;
    const auto send_run = [&] {
        if (n != 0) {
            const Outbound::Chain& chain = outbound.chains[c];
            note_refused(outbound, chain,
                         send(chain, {frames.data(), ingress_ifindexes.data(), n}));
        }
        n = 0;
    };
    for (std::uint32_t place = 0; place < outbound.waiting_n; ++place) {
        const std::uint32_t other = chain_at[place];
        if (other != first && !leads_to_same_port(outbound.chains[first], outbound.chains[other])) {
            continue;
        }
        if (other != c) {
            send_run();
            c = other;
        }
        frames[n] = outbound.frames[place];
        ingress_ifindexes[n++] = outbound.ingress_ifindexes[place];
    }
    send_run();
}

/// send_all() where several chains lead to one port.
[[gnu::noinline]] void send_shared(Outbound& outbound) {
    std::array<std::uint8_t, kBurstMax> chain_at;
    for (std::uint32_t c = 0; c < outbound.chains_n; ++c) {
        std::uint32_t place = outbound.chains[c].head;
        for (std::uint32_t i = 0; i < outbound.chains[c].n; ++i, place = outbound.next[place]) {
            chain_at[place] = static_cast<std::uint8_t>(c);
        }
    }
    for (std::uint32_t c = 0; c < outbound.chains_n; ++c) {
        bool is_done = false;
        for (std::uint32_t earlier = 0; earlier < c && !is_done; ++earlier) {
            is_done = leads_to_same_port(outbound.chains[earlier], outbound.chains[c]);
        }
        if (!is_done) {
            send_to_shared_port(outbound, c, chain_at);
        }
    }
}

void send_apart(Outbound& outbound) {
    for (std::uint32_t c = 0; c < outbound.chains_n; ++c) {
        const Outbound::Chain& chain = outbound.chains[c];
        if (chain.n == 0) {
            continue;  // opened for a frame that then did not fit
        }
        const std::uint32_t refused =
            chain.n == outbound.waiting_n
                ? send(chain, {outbound.frames.data(), outbound.ingress_ifindexes.data(), chain.n})
                : send_scattered(outbound, chain);
        note_refused(outbound, chain, refused);
    }
}

void send_all(Outbound& outbound) {
    if (outbound.ports_shared) [[unlikely]] {
        send_shared(outbound);
    } else {
        send_apart(outbound);
    }
    outbound.ports_shared = false;
    outbound.chains_n = 0;
    outbound.waiting_n = 0;
    outbound.last = nullptr;
}

/// Makes room for one more frame and one more target.
void make_room(Outbound& outbound) {
    if (outbound.waiting_n == kBurstMax || outbound.chains_n == kBurstMax) [[unlikely]] {
        send_all(outbound);
    }
}

[[gnu::cold]] bool may_send_pieces(const Outbound::Chain& chain, const Frame& frame) {
    return chain.takes_fragments && xdp::bytes_of(frame) <= chain.frame_bytes_max;
}

bool may_send(const Outbound::Chain& chain, const Frame& frame) {
    if (frame.fragments != 0) [[unlikely]] {
        return may_send_pieces(chain, frame);
    }
    return frame.len <= chain.frame_bytes_max;
}

void append(Outbound& outbound,
            Outbound::Chain& chain,
            const Frame& frame,
            std::uint32_t ingress_ifindex) {
    const std::uint32_t place = outbound.waiting_n++;
    outbound.frames[place] = frame;
    outbound.ingress_ifindexes[place] = ingress_ifindex;
    (chain.n == 0 ? chain.head : outbound.next[chain.tail]) = place;
    chain.tail = place;
    ++chain.n;
}

/// Counts a frame that may not even wait for its port. Returns why, as the kernel says it.
[[gnu::cold]] int refuse(const Outbound::Chain& chain, const Frame& frame) {
    const std::uint32_t ifindex = static_cast<const DeviceTarget&>(*chain.target).ifindex;
    count_refused(ifindex, 1);
    chain.target->counters.add(0, 1);
    const xdp::Port* const port = xdp::port_by_ifindex(ifindex);
    if (port == nullptr) {
        return -EINVAL;
    }
    if (frame.fragments != 0 && !port->ops->sends_fragments) {
        return -EOPNOTSUPP;
    }
    return chain.gate.port != nullptr ? -EMSGSIZE : -ENETDOWN;
}

/// 0, or why not.
int queue_for(Outbound& outbound,
              const Target& target,
              Via via,
              const Frame& frame,
              std::uint32_t ingress_ifindex) {
    make_room(outbound);
    Outbound::Chain& chain = chain_of(outbound, target, via, false);
    if (!may_send(chain, frame)) [[unlikely]] {
        return refuse(chain, frame);
    }
    append(outbound, chain, frame, ingress_ifindex);
    return 0;
}

/// A page of `pool` with the same bytes at the same place, or a null page. As in the kernel there
/// is no copy of a frame with fragments.
Frame copy_of(const Frame& frame, rte_mempool* pool) {
    rte_mbuf* page = nullptr;
    if (frame.fragments != 0 || page_pool::alloc_bulk(pool, &page, 1) == 0) {
        return {};
    }
    const std::uint8_t* const from = frame.data - frame.meta_len;
    const std::uint32_t offset =
        static_cast<std::uint32_t>(from - page_pool::hard_start_of(frame.page));
    std::uint8_t* const to = page_pool::hard_start_of(page) + offset;
    rte_memcpy(to, from, frame.meta_len + frame.len);
    return {.page = page,
            .data = to + frame.meta_len,
            .len = frame.len,
            .meta_len = frame.meta_len,
            .fragments = 0};
}

/// Sends to every slot whose port can take the frame. The last one gets the frame itself, the
/// others copies, as in the kernel; no such port is no error. -ENOMEM: no page for a copy;
/// -EOPNOTSUPP: a frame with fragments, of which there is none.
[[gnu::noinline]] int broadcast(Outbound& outbound, const ebpf::XdpBuff& buff, const Frame& frame) {
    const std::uint32_t ingress = buff.ingress_ifindex;
    const bool skip_ingress = (buff.redirect.flags & kExcludeIngress) != 0;
    const Via via = via_of(buff.redirect);
    const Target* last = nullptr;
    bool complete = true;
    static_cast<const ebpf::maps::Devmap*>(buff.redirect.map)
        ->for_each([&](const ebpf::maps::DevmapEntry& entry) {
            const auto* const target = static_cast<const Target*>(entry.target);
            if (target == nullptr || (skip_ingress && entry.ifindex == ingress) || !complete) {
                return;
            }
            make_room(outbound);
            const Outbound::Chain& chain = chain_of(outbound, *target, via, true);
            if (!may_send(chain, frame)) {
                (void)refuse(chain, frame);
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
                count_broadcast_copy();
                append(outbound, chain_of(outbound, *last, via, true), copy, ingress);
            }
            last = target;
        });
    if (!complete) {
        return frame.fragments != 0 ? -EOPNOTSUPP : -ENOMEM;
    }
    count_broadcast(last == nullptr);
    if (last == nullptr) {
        xdp::recycle(&frame, 1);
        return 0;
    }
    make_room(outbound);
    append(outbound, chain_of(outbound, *last, via, true), frame, ingress);
    return 0;
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

using Kind = ebpf::RedirectTarget::Kind;

/// The frame header needs its place in the headroom (the kernel: EOVERFLOW).
bool has_headroom(const ebpf::XdpBuff& buff, const Frame& frame) {
    return frame.data - frame.meta_len >= buff.data_hard_start + ebpf::kFrameReserve;
}

int enqueue_uncounted(Outbound* outbound, const ebpf::XdpBuff& buff, Via via, const Frame& frame) {
    if (buff.redirect.kind == Kind::none) [[unlikely]] {
        return -EBADRQC;
    }
    if (outbound == nullptr) [[unlikely]] {
        return -ENOMEM;
    }
    if (!has_headroom(buff, frame)) [[unlikely]] {
        return -EOVERFLOW;
    }
    if (buff.redirect.kind == Kind::map && (buff.redirect.flags & kBroadcast) != 0) [[unlikely]] {
        return broadcast(*outbound, buff, frame);
    }
    const Target* const target = buff.redirect.kind == Kind::map
                                     ? static_cast<const Target*>(buff.redirect.slot)
                                     : direct_target(buff.redirect.index);
    if (target == nullptr) [[unlikely]] {
        return -EINVAL;
    }
    return queue_for(*outbound, *target, via, frame, buff.ingress_ifindex);
}

[[gnu::noinline]] int enqueue_any(Outbound* outbound,
                                  const ebpf::XdpBuff& buff,
                                  const Frame& frame) {
    const Via via = via_of(buff.redirect);
    const int error = enqueue_uncounted(outbound, buff, via, frame);
    if (error != 0) [[unlikely]] {
        count_error(via, error);
    }
    return error;
}

/// Most frames go where the one before went, and have room: a few instructions, and no call.
int enqueue(Outbound* outbound, const ebpf::XdpBuff& buff, const Frame& frame) {
    if (outbound != nullptr && buff.redirect.kind == Kind::map &&
        (buff.redirect.flags & kBroadcast) == 0) [[likely]] {
        Outbound::Chain* const last = outbound->last;
        if (last != nullptr && last->target == buff.redirect.slot && !last->broadcast &&
            outbound->waiting_n != kBurstMax && has_headroom(buff, frame) && frame.fragments == 0 &&
            frame.len <= last->frame_bytes_max) [[likely]] {
            append(*outbound, *last, frame, buff.ingress_ifindex);
            return 0;
        }
    }
    return enqueue_any(outbound, buff, frame);
}

std::uint32_t flush(Outbound* outbound) {
    if (outbound == nullptr) [[unlikely]] {
        return 0;  // there was no memory for it: enqueue took nothing
    }
    if (outbound->waiting_n != 0) {
        send_all(*outbound);
    }
    outbound->ports_shared = false;
    outbound->chains_n = 0;
    outbound->last = nullptr;
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
