// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/live_frames.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <sched.h>
#include <thread>

#include "lib/base/caller.h"
#include "lib/base/check.h"
#include "lib/xdp/dispatch.h"
#include "lib/xdp/live_pages.h"
#include "lib/xdp/patience.h"
#include "lib/xdp/quiescence.h"
#include "lib/xdp/run.h"

namespace crema::xdp {
namespace {

using Clock = std::chrono::steady_clock;
using ebpf::RedirectTarget;
using ebpf::Verdict;

/// Where frames go in a process with ports.
class PortExit {
  public:
    PortExit(const LivePages& pages, std::uint32_t ingress_ifindex, std::uint32_t program_id)
        : outbound_(redirector().create()),
          ingress_ifindex_(ingress_ifindex),
          program_id_(program_id) {
        redirector().set_copy_pool(outbound_, pages.copies());
    }

    ~PortExit() { redirector().destroy(outbound_); }

    PortExit(const PortExit&) = delete;
    PortExit& operator=(const PortExit&) = delete;

    void open(Frame* frames) {
        dispatch_.emplace(frames,
                          Exits{.tx = nullptr, .outbound = outbound_, .program_id = program_id_});
    }

    void take(ebpf::XdpBuff& buff, rte_mbuf* page, std::uint32_t act) {
        if (act == static_cast<std::uint32_t>(Verdict::tx)) {
            buff.redirect = {.map = nullptr,
                             .slot = nullptr,
                             .index = ingress_ifindex_,
                             .kind = RedirectTarget::Kind::ifindex,
                             .flags = 0};
            act = static_cast<std::uint32_t>(Verdict::redirect);
        }
        dispatch_->take(buff, page, act);
    }

    /// A live frame lies in one page.
    static void take_pieces(const ebpf::XdpBuff&, rte_mbuf*, std::uint32_t) { CREMA_CHECK(false); }

    /// How many were passed, in the frames given to open().
    std::uint32_t close(VerdictCounters& verdicts) { return dispatch_->finish(verdicts); }

    /// Always: what does not arrive is counted.
    static Status check() { return {}; }

  private:
    Outbound* outbound_;
    std::uint32_t ingress_ifindex_;
    std::uint32_t program_id_;
    std::optional<Dispatch> dispatch_;  // of one burst
};

/// The end of frames in a process where nothing can be sent.
class DeadEnd {
  public:
    explicit DeadEnd(LivePages& pages) : pages_(pages) {}

    void open(Frame* frames) {
        frames_ = frames;
        passed_ = dropped_n_ = 0;
    }

    void take(const ebpf::XdpBuff& buff, rte_mbuf* page, std::uint32_t act) {
        switch (static_cast<Verdict>(act)) {
            case Verdict::pass:
                frames_[passed_++] = frame_of(buff, page);
                return;
            case Verdict::drop:
                ++drops_;
                break;
            case Verdict::tx:
            case Verdict::redirect:
                to_send_ = true;
                break;
            case Verdict::aborted:
            default:
                ++aborted_;
        }
        dropped_[dropped_n_++] = page;
    }

    static void take_pieces(const ebpf::XdpBuff&, rte_mbuf*, std::uint32_t) { CREMA_CHECK(false); }

    std::uint32_t close(VerdictCounters& verdicts) {
        pages_.give_back(dropped_.data(), dropped_n_);
        verdicts.pass += passed_;
        verdicts.drop = drops_;
        verdicts.aborted = aborted_;
        return passed_;
    }

    [[nodiscard]] Status check() const {
        if (to_send_) {
            return fail(ENOTSUP,
                        "a live frame is to be sent, and this process has no ports: run the "
                        "command on a data path, by `crema bpf --to SOCKET -- COMMAND`");
        }
        return {};
    }

  private:
    LivePages& pages_;
    Frame* frames_ = nullptr;
    std::uint32_t passed_ = 0;
    std::uint32_t dropped_n_ = 0;
    std::uint64_t drops_ = 0;
    std::uint64_t aborted_ = 0;
    bool to_send_ = false;
    std::array<rte_mbuf*, kBurstMax> dropped_;
};

/// Pages of passed frames, until their batch ends.
class Passed {
  public:
    explicit Passed(LivePages& pages) : pages_(pages) {}

    ~Passed() { give_back(); }

    Passed(const Passed&) = delete;
    Passed& operator=(const Passed&) = delete;

    void add(const Frame* frames, std::uint32_t n) {
        for (std::uint32_t i = 0; i < n; ++i) {
            held_[n_++] = frames[i].page;
        }
    }

    void give_back() {
        pages_.give_back(held_.data(), n_);
        n_ = 0;
    }

  private:
    LivePages& pages_;
    std::uint32_t n_ = 0;
    std::array<rte_mbuf*, kLiveBatchMax> held_;
};

struct Order {
    const ebpf::LoadedProgram& program;
    std::uint32_t ingress_ifindex;
    std::uint32_t rx_queue_index;
    std::uint32_t frames;
    std::uint32_t batch_size;
};

/// Takes pages, waiting for some to come home when none is.
Result<std::uint32_t> take_pages(LivePages& pages,
                                 Patience& patience,
                                 Frame* frames,
                                 std::uint32_t max) {
    constexpr std::chrono::seconds kWaitMax(1);
    constexpr std::chrono::microseconds kPause(100);
    const auto start = Clock::now();
    for (;;) {
        if (patience.has_ended()) {
            return fail(EINTR, "nobody waits for the live frames any more");
        }
        if (const std::uint32_t n = pages.take(frames, max); n != 0) {
            return n;
        }
        if (Clock::now() - start > kWaitMax) {
            return fail(ENOMEM,
                        "all {} pages of live frames wait in queues, and for a second none has "
                        "come home",
                        kLivePages);
        }
        pages.reclaim();
        std::this_thread::sleep_for(kPause);
    }
}

template <typename Exit>
Result<LiveRun> run_all(const Order& order, LivePages& pages, Exit& exit) {
    std::array<Frame, kBurstMax> frames;
    Patience patience;
    Passed passed(pages);
    Reader reader;
    ebpf::XdpBuff buff{};
    LiveRun result{};
    const auto start = Clock::now();
    std::uint32_t left_of_batch = std::min(order.batch_size, order.frames);
    while (result.frames < order.frames) {
        const auto n = take_pages(pages, patience, frames.data(), left_of_batch);
        if (!n) {
            return forward_error(n);
        }
        reader.enter();
        set_constants(buff, order.ingress_ifindex, order.rx_queue_index);
        buff.cpu = static_cast<std::uint32_t>(std::max(sched_getcpu(), 0));  // not pinned
        exit.open(frames.data());
        run_burst(order.program, buff, frames.data(), *n, exit);
        passed.add(frames.data(), exit.close(result.verdicts));
        reader.leave();
        if (const Status served = exit.check(); !served) {
            return forward_error(served);
        }
        result.frames += *n;
        left_of_batch -= *n;
        if (left_of_batch == 0) {
            passed.give_back();
            const std::uint64_t left = order.frames - result.frames;
            left_of_batch =
                static_cast<std::uint32_t>(std::min<std::uint64_t>(order.batch_size, left));
        }
    }
    const auto spent = Clock::now() - start;
    result.spent_ns = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(spent).count());
    return result;
}

Status check(const ebpf::Program& program,
             std::span<const std::uint8_t> bytes,
             const TestRunContext& context) {
    if (context.data_end < bytes.size()) {
        return fail(EINVAL, "live frames: data_end {} before the end of {} bytes", context.data_end,
                    bytes.size());
    }
    if (Status valid = check_test_run(context, bytes.size()); !valid) {
        return valid;
    }
    if (Status allowed = check_test_run(program, bytes.size(), context.data); !allowed) {
        return allowed;
    }
    if (bytes.size() - context.data > kLiveFrameBytesMax) {
        return fail(ENOTSUP, "live frames: packet of {} bytes, one page here holds {}",
                    bytes.size() - context.data, kLiveFrameBytesMax);
    }
    return {};
}

Result<std::uint64_t> run_for_syscall(const ebpf::LoadedProgram& program,
                                      std::span<const std::uint8_t> bytes,
                                      const TestRunContext& context,
                                      std::uint32_t repeat,
                                      std::uint32_t batch_size) {
    const auto run = run_live_frames(program, bytes, context, repeat, batch_size);
    if (!run) {
        return forward_error(run);
    }
    return run->spent_ns / run->frames;
}

[[gnu::constructor]] void install_runner() {
    ebpf::set_live_runner(run_for_syscall);
}

}  // namespace

Result<LiveRun> run_live_frames(const ebpf::LoadedProgram& program,
                                std::span<const std::uint8_t> bytes,
                                const TestRunContext& context,
                                std::uint32_t repeat,
                                std::uint32_t batch_size) {
    CREMA_CHECK(batch_size != 0 && batch_size <= kLiveBatchMax);
    if (Status valid = check(program.program, bytes, context); !valid) {
        return forward_error(valid);
    }
    const auto pages = LivePages::acquire(bytes, context.data);
    if (!pages) {
        return forward_error(pages);
    }
    const Order order = {
        .program = program,
        .ingress_ifindex = context.ingress_ifindex != 0 ? context.ingress_ifindex : 1,
        .rx_queue_index = context.rx_queue_index,
        .frames = std::max(repeat, 1U),
        .batch_size = batch_size,
    };
    if ((*pages)->can_be_sent()) {
        PortExit exit(**pages, order.ingress_ifindex, program.id);
        return run_all(order, **pages, exit);
    }
    DeadEnd exit(**pages);
    return run_all(order, **pages, exit);
}

}  // namespace crema::xdp
