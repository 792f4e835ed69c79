// SPDX-License-Identifier: BSD-3-Clause
//
// One run of crema-testpmd between EAL start and end: ports, workers, programs. All calls on the
// main lcore.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apps/common/programs.h"
#include "apps/common/snapshot.h"
#include "apps/testpmd/options.h"
#include "apps/testpmd/pass_tap.h"
#include "lib/base/result.h"
#include "lib/datapath/port.h"
#include "lib/datapath/worker.h"
#include "lib/topology/cpus.h"

namespace crema::testpmd {

class Session {
  public:
    /// Opens all ports, loads and attaches the programs; nothing is polled yet.
    [[nodiscard]] static Result<std::unique_ptr<Session>> open(const Options& options);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Starts the ports and lets the workers forward. No effect when they do.
    [[nodiscard]] Status start();
    /// Stops forwarding; ports stay up. No effect when nothing runs.
    void stop();

    [[nodiscard]] bool is_forwarding() const { return forwarding_; }

    [[nodiscard]] app::Programs& programs() { return programs_; }

    /// Ports that programs can be on: not the TAP devices of --pass.
    [[nodiscard]] std::vector<std::uint16_t> port_ids() const;
    [[nodiscard]] Status attach(const app::ProgramSpec& spec, app::Programs::How how);
    /// Stops forwarding for the moment when the driver needs the port stopped.
    [[nodiscard]] Status set_mtu(std::uint16_t port_id, std::uint16_t mtu);

    /// Stops and starts the ports whose driver asks for it; forwarding rests meanwhile, until all
    /// of them are back. One that is not: said once, tried at the next call.
    void restart_ports();

    /// Held for all calls here as soon as other threads take snapshots.
    [[nodiscard]] std::mutex& turn() { return turn_; }

    [[nodiscard]] app::Snapshot snapshot() const;
    /// One line for the progress display: rates since the previous call.
    [[nodiscard]] std::string progress_line();
    /// Stops and closes everything. The last snapshot, with what did not come home.
    [[nodiscard]] app::Snapshot close(std::string* missing);

    [[nodiscard]] double seconds() const;

  private:
    using Clock = std::chrono::steady_clock;

    struct Totals {
        std::uint64_t received = 0;
        std::uint64_t sent = 0;
    };

    explicit Session(const Options& options) : options_(options) {}

    [[nodiscard]] Status choose_workers();
    [[nodiscard]] Status open_ports();
    [[nodiscard]] Status make_taps();
    [[nodiscard]] Status open_port(std::uint16_t port_id, std::uint16_t rx_queues);
    [[nodiscard]] bool is_tap(std::uint16_t port_id) const;
    [[nodiscard]] Status load_programs();
    /// --rps: the program on every port, and CPUs of workers in its maps.
    [[nodiscard]] Status spread_flows();
    [[nodiscard]] Status make_workers();

    /// Every queue that is polled, and the place (index in places_) of its worker.
    struct Polled {
        datapath::RxSource source;
        std::size_t place = 0;
    };

    [[nodiscard]] std::vector<Polled> assign() const;
    void fill_table();
    [[nodiscard]] datapath::Port* port(std::uint16_t port_id) const;
    [[nodiscard]] Totals totals() const;

    Options options_;
    std::vector<topology::Worker> places_;
    std::vector<std::unique_ptr<PassTap>> taps_;  // after ports_ they go
    std::vector<std::unique_ptr<datapath::Port>> ports_;
    app::Programs programs_;
    datapath::ForwardTable table_;
    std::atomic<bool> stop_{false};
    std::vector<std::unique_ptr<datapath::Worker>> workers_;
    bool forwarding_ = false;
    bool resume_ = false;  // forwards again when the last port is back
    bool away_ = false;    // a port did not start anew, and that was said
    Clock::time_point began_ = Clock::now();
    Clock::time_point progress_at_ = Clock::now();
    Totals progress_totals_;
    std::mutex turn_;
};

}  // namespace crema::testpmd
