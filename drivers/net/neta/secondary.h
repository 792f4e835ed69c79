// SPDX-License-Identifier: BSD-3-Clause
//
// Secondary processes (dpdk-proc-info, dpdk-dumpcap, own monitors): they see a port that the
// primary process drives, by its name, link, limits and counters. What only the primary can read,
// they ask it for through the EAL's messages between processes. They move no frames themselves and
// change nothing but counters that start again.
//
// Nothing of a Port is read here: it holds pointers of the primary.
#pragma once

#include <bus_vdev_driver.h>
#include <cstdint>
#include <mutex>

#include "drivers/net/neta/port.h"
#include "lib/base/result.h"

namespace crema::neta_pmd {

/// Name of the messages, and how long a secondary waits for the primary.
inline constexpr const char* kAnswersName = "crema_net_neta";
inline constexpr long kAnswerSeconds = 5;

enum class Question : std::uint32_t {
    speeds,
    stats,
    stats_reset,
    xstats,
    xstat_names,
    xstats_reset
};

/// The message's parameters, both ways. The answer's body comes as a file: as large as it must be,
/// and of one moment.
struct Ask {
    Question what = Question::stats;
    std::uint16_t port_id = 0;
};

struct Answer {
    std::int32_t result = 0;  // as the ethdev operation returns it
};

// secondary.cpp: in a secondary process.
/// Errors: ENODEV the primary has no such port.
[[nodiscard]] Status secondary_attach(rte_vdev_device* vdev);

// answers.cpp: in the primary.
/// Questions about this port are answered from now on, until answers_withdraw().
void answers_offer(Port& port);
void answers_withdraw(Port& port);

/// Nothing is answered while this is held: for whoever takes away what an answer reads.
[[nodiscard]] std::unique_lock<std::recursive_mutex> answers_hold();

}  // namespace crema::neta_pmd
