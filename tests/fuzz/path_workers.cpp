// SPDX-License-Identifier: BSD-3-Clause
#include "tests/fuzz/path_workers.h"

#include <cerrno>
#include <chrono>
#include <thread>

#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

namespace crema::test::fuzz {
namespace {

constexpr std::uint16_t kBurst = 32;
constexpr std::uint32_t kIdleSleepUs = 20;  // there are fewer CPUs than workers
constexpr auto kIdle = std::chrono::microseconds(kIdleSleepUs);

}  // namespace

Result<std::unique_ptr<PathWorkers>> PathWorkers::start(PathWires& wires) {
    auto all = std::unique_ptr<PathWorkers>(new PathWorkers(wires));
    all->table_.mode = datapath::ForwardMode::rxonly;
    for (std::size_t i = 0; i < kWorkerLcores.size(); ++i) {
        datapath::WorkerConfig config{.lcore = kWorkerLcores.at(i),
                                      .cpu = static_cast<std::uint32_t>(i),
                                      .idle_sleep_us = kIdleSleepUs,
                                      .sources = {}};
        if (i == 1) {
            config.sources.push_back({.port = &wires.port(1), .queue = 0});
        }
        auto worker = datapath::Worker::create(config, all->table_, all->stop_.at(i));
        if (!worker) {
            return forward_error(worker);
        }
        all->workers_.at(i) = std::move(*worker);
        all->launch(i);
    }
    wires.port(0).set_poller(0, kEchoLcore);
    const int rc = rte_eal_remote_launch(
        [](void* self) {
            static_cast<PathWorkers*>(self)->echo();
            return 0;
        },
        all.get(), kEchoLcore);
    if (rc != 0) {
        return fail(-rc, "lcore {} does not start", kEchoLcore);
    }
    return all;
}

PathWorkers::~PathWorkers() {
    finish();
}

void PathWorkers::launch(std::size_t worker) {
    stop_.at(worker).store(false);
    (void)rte_eal_remote_launch(
        [](void* self) {
            static_cast<datapath::Worker*>(self)->run();
            return 0;
        },
        workers_.at(worker).get(), kWorkerLcores.at(worker));
}

void PathWorkers::join(std::size_t worker) {
    stop_.at(worker).store(true);
    (void)rte_eal_wait_lcore(kWorkerLcores.at(worker));
}

void PathWorkers::echo() {
    std::array<rte_mbuf*, kBurst> mbufs{};
    while (!echo_stop_.load()) {
        echo_paused_.store(echo_pause_.load());
        echo_polls_.fetch_add(1);
        if (echo_paused_.load()) {
            std::this_thread::sleep_for(kIdle);
            continue;
        }
        std::uint32_t received = 0;
        const std::uint32_t n = wires_.port(0).receive(0, mbufs.data(), kBurst, &received);
        if (n == 0) {
            std::this_thread::sleep_for(kIdle);
            continue;
        }
        const std::uint16_t sent =
            wires_.port(0).send(kEchoLcore, mbufs.data(), static_cast<std::uint16_t>(n));
        rte_pktmbuf_free_bulk(mbufs.data() + sent, n - sent);
        echo_received_.fetch_add(n);
        echo_sent_.fetch_add(sent);
    }
}

void PathWorkers::pause(std::uint16_t port) {
    if (port == 1) {
        join(1);
        return;
    }
    echo_pause_.store(true);
    while (!echo_paused_.load()) {
        std::this_thread::sleep_for(kIdle);
    }
}

void PathWorkers::go_on(std::uint16_t port) {
    if (port == 1) {
        launch(1);
        return;
    }
    echo_pause_.store(false);
    while (echo_paused_.load()) {
        std::this_thread::sleep_for(kIdle);
    }
}

void PathWorkers::finish() {
    if (echo_stop_.exchange(true)) {
        return;
    }
    (void)rte_eal_wait_lcore(kEchoLcore);
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        if (workers_.at(i) != nullptr) {
            join(i);
        }
    }
    // What one queue's program sends on may come into another's.
    for (std::uint64_t moved = 1; moved != 0;) {
        moved = 0;
        for (auto& worker : workers_) {
            moved += worker != nullptr ? worker->drain() : 0;
        }
    }
}

std::uint64_t PathWorkers::delivered(std::uint16_t port) const {
    return port == 0 ? echo_received_.load() : workers_.at(1)->counters().received;
}

std::uint64_t PathWorkers::from_cpus() const {
    return workers_.at(0)->counters().from_cpus + workers_.at(1)->counters().from_cpus;
}

}  // namespace crema::test::fuzz
