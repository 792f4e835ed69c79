// SPDX-License-Identifier: BSD-3-Clause
#include "lib/datapath/worker.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <rte_epoll.h>
#include <rte_pause.h>

#include "lib/base/log.h"
#include "lib/xdp/counter.h"

namespace crema::datapath {
namespace {

constexpr std::uint32_t kEmptyRoundsBeforeSleep = 64;
constexpr std::uint32_t kEmptyRoundsBeforeInterrupt = 4;  // a frame ends that sleep at once
// For what no interrupt tells: frames of other CPUs, and the end.
constexpr int kSleepMostMs = 10;

void sleep_us(std::uint32_t us) {
    const timespec span = {.tv_sec = us / 1'000'000, .tv_nsec = (us % 1'000'000) * 1'000L};
    nanosleep(&span, nullptr);
}

}  // namespace

Worker::Worker(WorkerConfig config, const ForwardTable& table, const std::atomic<bool>& stop)
    : config_(std::move(config)), table_(table), stop_(stop) {
    for (std::uint16_t port = 0; port < xdp::kPortsMax; ++port) {
        if (config_.ports[port] != nullptr) {
            outs_.push_back(port);
        }
    }
}

Result<std::unique_ptr<Worker>> Worker::create(const WorkerConfig& config,
                                               const ForwardTable& table,
                                               const std::atomic<bool>& stop) {
    auto worker = std::unique_ptr<Worker>(new Worker(config, table, stop));
    auto poller = redirect::CpuPoller::create(config.cpu);
    if (!poller) {
        return fail(poller.error().code, "lcore {}: {}", config.lcore, poller.error().message);
    }
    worker->cpumap_ = std::move(*poller);
    for (const RxSource& source : config.sources) {
        source.port->set_poller(source.queue, config.lcore);
    }
    return worker;
}

Worker::~Worker() = default;

void Worker::run() {
    const bool by_interrupt = config_.rx_interrupts && watch_interrupts();
    std::uint32_t empty = 0;
    while (!stop_.load(std::memory_order_relaxed)) {
        const std::uint32_t work = round();
        xdp::bump(counters_.rounds, 1);
        if (work != 0) [[likely]] {
            empty = 0;
            continue;
        }
        xdp::bump(counters_.idle_rounds, 1);
        rte_pause();
        ++empty;
        if (by_interrupt && empty >= kEmptyRoundsBeforeInterrupt) {
            sleep_until_interrupt();
        } else if (config_.idle_sleep_us != 0 && empty >= kEmptyRoundsBeforeSleep) {
            sleep_us(config_.idle_sleep_us);
        }
    }
    if (by_interrupt) {
        unwatch_interrupts();
    }
}

bool Worker::watch_interrupts() const {
    for (std::size_t i = 0; i < config_.sources.size(); ++i) {
        const RxSource& source = config_.sources[i];
        if (auto watched = source.port->watch_interrupt(source.queue); !watched) {
            log::warning("lcore {} does not sleep: {}", config_.lcore, watched.error().message);
            while (i-- > 0) {
                config_.sources[i].port->unwatch_interrupt(config_.sources[i].queue);
            }
            return false;
        }
    }
    return !config_.sources.empty();
}

void Worker::unwatch_interrupts() const {
    for (const RxSource& source : config_.sources) {
        source.port->unwatch_interrupt(source.queue);
    }
}

// Armed after the last look: a frame that came in between raises the interrupt at once.
void Worker::sleep_until_interrupt() {
    for (const RxSource& source : config_.sources) {
        source.port->arm_interrupt(source.queue);
    }
    rte_epoll_event event{};
    if (rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, kSleepMostMs) > 0) {
        xdp::bump(counters_.interrupts, 1);
    }
    for (const RxSource& source : config_.sources) {
        source.port->disarm_interrupt(source.queue);
    }
}

std::uint32_t Worker::round() {
    std::array<rte_mbuf*, xdp::kBurstMax> mbufs;
    std::uint32_t work = 0;
    for (const RxSource& source : config_.sources) {
        std::uint32_t received = 0;
        const std::uint32_t passed =
            source.port->receive(source.queue, mbufs.data(), config_.burst, &received);
        work += received;
        if (passed != 0) {
            xdp::bump(counters_.received, passed);
            forward(source.port->port_id(), mbufs.data(), passed);
        }
    }
    work += poll_cpumap();
    flush_all();
    return work;
}

std::uint32_t Worker::poll_cpumap() {
    std::array<rte_mbuf*, xdp::kBurstMax> mbufs;
    const std::uint32_t n = cpumap_->poll(mbufs.data(), config_.burst);
    if (n != 0) {
        xdp::bump(counters_.from_cpus, n);
        forward_mixed(mbufs.data(), n);
    }
    return n;
}

std::uint64_t Worker::drain() {
    // Not what poll_cpumap() returns: a slot's program may have dropped a whole burst.
    const std::uint64_t before = redirect::cpumap_counters(config_.cpu).received;
    static_cast<void>(poll_cpumap());
    flush_all();
    return redirect::cpumap_counters(config_.cpu).received - before;
}

void Worker::forward_mixed(rte_mbuf** mbufs, std::uint32_t n) {
    for (std::uint32_t first = 0; first < n;) {
        const std::uint16_t in = mbufs[first]->port;
        std::uint32_t end = first + 1;
        while (end < n && mbufs[end]->port == in) {
            ++end;
        }
        forward(in, mbufs + first, end - first);
        first = end;
    }
}

void Worker::forward(std::uint16_t in, rte_mbuf** mbufs, std::uint32_t n) {
    if (table_.mode == ForwardMode::rxonly) {
        rte_pktmbuf_free_bulk(mbufs, n);
        return;
    }
    const std::uint16_t out = in < xdp::kPortsMax ? table_.out[in] : ForwardTable::kNowhere;
    if (out >= xdp::kPortsMax || config_.ports[out] == nullptr) [[unlikely]] {
        rte_pktmbuf_free_bulk(mbufs, n);
        xdp::bump(counters_.tx_dropped, n);
        return;
    }
    prepare(table_, out, mbufs, n);
    TxBuffer& buffer = buffers_[out];
    if (buffer.n + n > buffer.mbufs.size()) {
        flush(out);
    }
    std::copy_n(mbufs, n, &buffer.mbufs[buffer.n]);
    buffer.n += n;
}

void Worker::flush(std::uint16_t out) {
    TxBuffer& buffer = buffers_[out];
    std::uint32_t sent = 0;
    while (sent < buffer.n) {
        const auto part =
            static_cast<std::uint16_t>(std::min<std::uint32_t>(buffer.n - sent, xdp::kBurstMax));
        const std::uint16_t taken =
            config_.ports[out]->send(config_.lcore, &buffer.mbufs[sent], part);
        sent += taken;
        if (taken != part) {
            break;
        }
    }
    if (sent != buffer.n) [[unlikely]] {
        rte_pktmbuf_free_bulk(&buffer.mbufs[sent], buffer.n - sent);
        xdp::bump(counters_.tx_dropped, buffer.n - sent);
    }
    xdp::bump(counters_.forwarded, sent);
    buffer.n = 0;
}

void Worker::flush_all() {
    for (const std::uint16_t out : outs_) {
        if (buffers_[out].n != 0) {
            flush(out);
        }
    }
}

WorkerCounters Worker::counters() const {
    return {
        .received = xdp::peek(counters_.received),
        .from_cpus = xdp::peek(counters_.from_cpus),
        .forwarded = xdp::peek(counters_.forwarded),
        .tx_dropped = xdp::peek(counters_.tx_dropped),
        .rounds = xdp::peek(counters_.rounds),
        .idle_rounds = xdp::peek(counters_.idle_rounds),
        .interrupts = xdp::peek(counters_.interrupts),
    };
}

}  // namespace crema::datapath
