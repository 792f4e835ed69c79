// SPDX-License-Identifier: BSD-3-Clause
//
// The options of crema-testpmd, in the manner of dpdk-testpmd.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/programs.h"
#include "apps/testpmd/pass_tap.h"
#include "apps/testpmd/rps.h"
#include "lib/base/result.h"
#include "lib/datapath/forward.h"

namespace crema::testpmd {

enum class Topology : std::uint8_t { paired, chained, loop };

struct Options {
    datapath::ForwardMode mode = datapath::ForwardMode::io;
    Topology topology = Topology::paired;
    std::uint32_t workers = 0;  // 0: all lcores but the main one
    std::uint16_t rx_queues = 1;
    std::uint16_t burst = 32;
    std::uint16_t rx_descriptors = 512;
    std::uint16_t tx_descriptors = 512;
    std::uint32_t mbufs = 0;  // per port; 0: as many as rings and bursts need
    std::uint16_t mtu = 0;    // 0: the driver's
    std::uint32_t idle_sleep_us = 0;
    bool rx_interrupts = false;
    double stats_period_s = 0;  // 0: none
    double duration_s = 0;      // 0: until told
    bool promiscuous = true;
    bool json = false;
    bool interactive = false;
    bool auto_start = false;
    std::string command_file;
    std::uint32_t first_ifindex = 32;
    std::string metrics;     // where Prometheus reads; empty: nowhere
    std::string bpf_socket;  // for crema bpf --to; empty: none
    std::vector<app::ProgramSpec> programs;
    std::vector<app::MapSetting> settings;
    std::vector<PassSetting> passes;
    std::optional<RpsSetting> rps;
};

/// What to do instead of running.
struct Early {
    int exit_code;
    std::string text;  // to stdout when exit_code is 0, else to stderr
};

/// words: what follows `--`. The error branch is for help, version and wrong usage.
[[nodiscard]] tl::expected<Options, Early> parse_options(const std::vector<std::string>& words);

/// Help for the whole command line.
[[nodiscard]] std::string usage();

}  // namespace crema::testpmd
