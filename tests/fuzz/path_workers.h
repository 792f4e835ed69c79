// SPDX-License-Identifier: BSD-3-Clause
//
// The workers of path_fuzz: two of lib/datapath with the queues of a CPU each, the second also with
// port 1's, and a loop of our own at port 0 that sends back what is passed. Ports stop only while
// nobody polls them; the other workers go on, and redirect frames to them meanwhile.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "lib/base/result.h"
#include "lib/datapath/worker.h"
#include "tests/fuzz/path_wires.h"

namespace crema::test::fuzz {

/// lcores by what they do.
inline constexpr unsigned kControlLcore = 0;
inline constexpr unsigned kFarLcore = 1;
inline constexpr unsigned kEchoLcore = 2;
inline constexpr std::array<unsigned, 2> kWorkerLcores = {3, 4};

class PathWorkers {
  public:
    [[nodiscard]] static Result<std::unique_ptr<PathWorkers>> start(PathWires& wires);
    ~PathWorkers();
    PathWorkers(const PathWorkers&) = delete;
    PathWorkers& operator=(const PathWorkers&) = delete;

    /// Returns when nobody polls the port any more.
    void pause(std::uint16_t port);
    void go_on(std::uint16_t port);

    /// Ends all and takes what waits in the queues of the CPUs.
    void finish();

    /// mbufs that came from the port itself, and from cpumaps.
    [[nodiscard]] std::uint64_t delivered(std::uint16_t port) const;
    [[nodiscard]] std::uint64_t from_cpus() const;

    /// By the loop at port 0, as an application.
    [[nodiscard]] std::uint64_t sent() const { return echo_sent_.load(); }

    [[nodiscard]] std::uint64_t polls() const { return echo_polls_.load(); }

  private:
    explicit PathWorkers(PathWires& wires) : wires_(wires) {}

    void echo();
    void launch(std::size_t worker);
    void join(std::size_t worker);

    PathWires& wires_;
    datapath::ForwardTable table_;
    std::array<std::unique_ptr<datapath::Worker>, 2> workers_;
    std::array<std::atomic<bool>, 2> stop_{};
    std::atomic<bool> echo_stop_{false};
    std::atomic<bool> echo_pause_{false};
    std::atomic<bool> echo_paused_{false};
    std::atomic<std::uint64_t> echo_received_{0};
    std::atomic<std::uint64_t> echo_sent_{0};
    std::atomic<std::uint64_t> echo_polls_{0};
};

}  // namespace crema::test::fuzz
