// SPDX-License-Identifier: BSD-3-Clause
//
// The self-test of a NETA port, step by step: are these a port's registers, do frames come back
// whole through memory in loopback, must caches be maintained, does the interrupt come. Each step
// says what was seen; a step whose ground is missing is left out with the reason.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lib/neta/sequences.h"
#include "lib/vfio/device.h"

namespace crema::command {

struct Step {
    enum class How : std::uint8_t { passed, failed, skipped };
    std::string name;
    How how = How::passed;
    std::string what;  // one line
};

struct SelfTest {
    unsigned frames = 1024;  // through loopback
    unsigned rounds = 256;   // of each question about caches
    neta::Windows windows = neta::Windows::open;
};

/// Runs all steps on a device that nobody drives; `told` hears of each as it ends. Afterwards the
/// port's queues are off and its link is down.
[[nodiscard]] std::vector<Step> run_self_test(vfio::Device& device,
                                              const SelfTest& options,
                                              const std::function<void(const Step&)>& told);

}  // namespace crema::command
