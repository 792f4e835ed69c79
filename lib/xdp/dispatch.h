// SPDX-License-Identifier: BSD-3-Clause
//
// The one switch on the verdict, for every place where a program decides about frames of a burst:
// an RX queue's hook (native and generic mode) and a cpumap poller. Frames are collected by case
// and leave in bulk at the end of the burst: one return to the pools, one xmit, one flush.
//
// Owner of a page after take(): DROP and ABORTED this object until finish(), then its pool; TX this
// object, then the port (a refused frame: its pool); REDIRECT the Outbound; PASS the caller again,
// in frames[0..finish()).
#pragma once

#include <array>
#include <cerrno>
#include <cstdint>

#include <rte_mbuf.h>

#include "lib/ebpf/abi/verdict.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/maps/map.h"
#include "lib/page_pool/page_pool.h"
#include "lib/xdp/counter.h"
#include "lib/xdp/events.h"
#include "lib/xdp/fragments.h"
#include "lib/xdp/hook.h"
#include "lib/xdp/redirector.h"
#include "lib/xdp/trace_points.h"

namespace crema::xdp {

/// Where the frames of a burst may go. `tx` null: verdict TX has no meaning here and is ABORTED.
struct Exits {
    const Port* tx;
    Outbound* outbound;
    std::uint32_t program_id;  // for events
    /// Of all frames of the burst; null: they come from anywhere.
    const page_pool::MemoryModel* memory = nullptr;
};

/// The first piece of the frame in `page` as a program left it.
[[nodiscard]] inline Frame frame_of(const ebpf::XdpBuff& buff, rte_mbuf* page) {
    return {
        .page = page,
        .data = buff.data,
        .len = static_cast<std::uint32_t>(buff.data_end - buff.data),
        .meta_len = static_cast<std::uint16_t>(buff.data - buff.data_meta),
        .fragments = 0,
    };
}

/// All of a frame that had fragments: those that the program took off it go home.
[[nodiscard]] inline Frame settled_frame_of(const ebpf::XdpBuff& buff, rte_mbuf* page) {
    Frame frame = frame_of(buff, page);
    frame.fragments = settle_fragments(*buff.fragments, page);
    return frame;
}

/// A frame whose program returned ABORTED or what is no verdict there.
[[gnu::cold]] inline void record_exception(std::uint32_t program_id,
                                           std::uint32_t act,
                                           const ebpf::XdpBuff& buff) {
    crema_trace_xdp_exception(program_id, act, buff.ingress_ifindex, buff.rx_queue_index);
    record({.kind = EventKind::exception,
            .program_id = program_id,
            .act = act,
            .ifindex = buff.ingress_ifindex,
            .queue = buff.rx_queue_index,
            .to = buff.egress_ifindex,
            .cpu = buff.cpu});
}

class Dispatch {
  public:
    /// frames: where PASS frames are compacted to; take() is called in ascending order of the same
    /// array, at most kBurstMax times.
    Dispatch(Frame* frames, const Exits& exits) : frames_(frames), exits_(exits) {}

    /// Where to leave the number of the program whose verdict the next take() gets, for the trace.
    [[nodiscard]] std::uint32_t& decider() { return exits_.program_id; }

    /// Decides about one frame after its run. `act`: low half of r0.
    [[gnu::always_inline]] void take(const ebpf::XdpBuff& buff, rte_mbuf* page, std::uint32_t act) {
        switch (static_cast<ebpf::Verdict>(act)) {
            case ebpf::Verdict::pass:
                frames_[passed_++] = frame_of(buff, page);
                return;
            case ebpf::Verdict::drop:
                dropped_[drops_++] = page;
                return;
            case ebpf::Verdict::tx:
                if (exits_.tx != nullptr) [[likely]] {
                    to_send_[sends_++] = frame_of(buff, page);
                    return;
                }
                break;
            case ebpf::Verdict::redirect:
                redirect(buff, frame_of(buff, page));
                return;
            case ebpf::Verdict::aborted:
                break;
        }
        abort(buff, page, act);
    }

    /// take() of a frame that had fragments when the program began.
    [[gnu::cold, gnu::noinline]] void take_pieces(const ebpf::XdpBuff& buff,
                                                  rte_mbuf* page,
                                                  std::uint32_t act) {
        const Frame frame = settled_frame_of(buff, page);
        switch (static_cast<ebpf::Verdict>(act)) {
            case ebpf::Verdict::pass:
                frames_[passed_++] = frame;
                return;
            case ebpf::Verdict::tx:
                if (exits_.tx != nullptr) {
                    send_later(frame);
                    return;
                }
                break;
            case ebpf::Verdict::redirect:
                redirect(buff, frame);
                return;
            case ebpf::Verdict::drop:
                drop(frame);
                return;
            case ebpf::Verdict::aborted:
                break;
        }
        recycle_fragments(page);
        abort(buff, page, act);
    }

    /// Brings every frame but the passed ones to its end and adds to the counters. Returns how many
    /// were passed.
    std::uint32_t finish(VerdictCounters& counters) {
        // of the dropped pages these were no verdict DROP
        const std::uint32_t verdict_drops = drops_ - aborted_ - redirect_errors_ - unsendable_;
        if (drops_ != 0) {
            if (exits_.memory != nullptr) [[likely]] {
                page_pool::return_frames(*exits_.memory, dropped_.data(), drops_);
            } else {
                page_pool::recycle_mixed(dropped_.data(), drops_);
            }
        }
        if (sends_ != 0) {
            send(counters);
        }
        // Also when none was taken: what the senders looked up must not outlive the burst.
        if ((redirects_ | redirect_errors_) != 0) {
            const std::uint32_t refused = redirector().flush(exits_.outbound);
            bump(counters.redirect, redirects_ - refused);
            redirect_errors_ += refused;
        }
        add(counters.drop, verdict_drops);
        add(counters.pass, passed_);
        add(counters.aborted, aborted_);
        add(counters.redirect_errors, redirect_errors_);
        add(counters.tx_errors, unsendable_);
        return passed_;
    }

  private:
    void send_later(const Frame& frame) {
        if (frame.fragments != 0 && !exits_.tx->ops->sends_fragments) {
            ++unsendable_;
            drop(frame);
            record({.kind = EventKind::bulk_tx,
                    .program_id = exits_.program_id,
                    .act = static_cast<std::uint32_t>(ebpf::Verdict::tx),
                    .err = -EOPNOTSUPP,
                    .ifindex = ifindex_of(exits_.tx->port_id),
                    .sent = 0,
                    .drops = 1});
            return;
        }
        to_send_[sends_++] = frame;
    }

    void drop(const Frame& frame) {
        if (frame.fragments != 0) [[unlikely]] {
            recycle_fragments(frame.page);
        }
        dropped_[drops_++] = frame.page;
    }

    void redirect(const ebpf::XdpBuff& buff, const Frame& frame) {
        const int err = redirector().enqueue(exits_.outbound, buff, frame);
        if (err == 0) [[likely]] {
            ++redirects_;
        } else {
            refuse(buff, frame, err);
        }
    }

    [[gnu::cold, gnu::noinline]] void refuse(const ebpf::XdpBuff& buff,
                                             const Frame& frame,
                                             int err) {
        ++redirect_errors_;
        drop(frame);
        const ebpf::RedirectTarget& target = buff.redirect;
        const bool by_map = target.kind == ebpf::RedirectTarget::Kind::map;
        const std::uint32_t to =
            target.kind == ebpf::RedirectTarget::Kind::ifindex ? target.index : 0;
        const std::uint32_t map_id = by_map ? target.map->id() : 0;
        const std::uint32_t map_index = by_map ? target.index : 0;
        crema_trace_xdp_redirect_err(exits_.program_id, buff.ingress_ifindex, err, to, map_id,
                                     map_index);
        record({.kind = EventKind::redirect_err,
                .program_id = exits_.program_id,
                .act = static_cast<std::uint32_t>(ebpf::Verdict::redirect),
                .err = err,
                .ifindex = buff.ingress_ifindex,
                .queue = buff.rx_queue_index,
                .to = to,
                .map_id = map_id,
                .map_index = map_index,
                .cpu = buff.cpu});
    }

    [[gnu::cold, gnu::noinline]] void abort(const ebpf::XdpBuff& buff,
                                            rte_mbuf* page,
                                            std::uint32_t act) {
        ++aborted_;
        dropped_[drops_++] = page;
        record_exception(exits_.program_id, act, buff);
    }

    static void add(std::uint64_t& counter, std::uint32_t by) {
        if (by != 0) {
            bump(counter, by);
        }
    }

    void send(VerdictCounters& counters) {
        const Port& port = *exits_.tx;
        const std::uint32_t taken =
            port.ops->xmit(port.port, tx_slot_of_this_thread(), to_send_.data(), sends_);
        bump(counters.tx, taken);
        const std::uint32_t refused = sends_ - taken;
        crema_trace_xdp_bulk_tx(ifindex_of(port.port_id), taken, refused);
        if (refused == 0) [[likely]] {
            return;
        }
        recycle(&to_send_[taken], refused);
        bump(counters.tx_errors, refused);
        record({.kind = EventKind::bulk_tx,
                .program_id = exits_.program_id,
                .act = static_cast<std::uint32_t>(ebpf::Verdict::tx),
                .ifindex = ifindex_of(port.port_id),
                .sent = taken,
                .drops = refused});
    }

    Frame* frames_;
    Exits exits_;
    std::uint32_t passed_ = 0;
    std::uint32_t drops_ = 0;
    std::uint32_t sends_ = 0;
    std::uint32_t redirects_ = 0;
    std::uint32_t redirect_errors_ = 0;
    std::uint32_t aborted_ = 0;
    std::uint32_t unsendable_ = 0;  // verdict TX, and the port sends no fragments
    std::array<rte_mbuf*, kBurstMax> dropped_;
    std::array<Frame, kBurstMax> to_send_;
};

}  // namespace crema::xdp
