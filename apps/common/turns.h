// SPDX-License-Identifier: BSD-3-Clause
//
// Measures several ways of doing the same thing to packets in turns, within one process: what the
// machine does meanwhile (its clock, its other tenants) meets all of them, and a ratio is taken of
// neighbours in time. Answers are compared before anything is timed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/result.h"

namespace crema::app {

using Bytes = std::vector<std::uint8_t>;

/// One way.
struct Engine {
    std::string name;
    /// Verdict, and metadata and bytes after one run on a fresh copy of the packet.
    std::function<Result<std::pair<std::uint32_t, Bytes>>(const Bytes& packet)> run;
    /// `repeat` runs on one buffer.
    std::function<Status(const Bytes& packet, std::uint32_t repeat)> time;

    // What measure() found.
    std::uint32_t repeat = 0;
    std::vector<double> ns{};  // per packet, by round; CPU time of this thread
};

/// EPROTO: the two do not agree about some packet; else an error of one of them.
[[nodiscard]] Status compare(const Engine& one,
                             const Engine& other,
                             const std::vector<Bytes>& packets);

/// Gives every engine the same share of about `seconds`, in `rounds` turns.
[[nodiscard]] Status measure(std::vector<Engine>& engines,
                             const std::vector<Bytes>& packets,
                             double seconds,
                             int rounds);

struct Spread {
    double min = 0, median = 0, max = 0;
};

[[nodiscard]] Spread spread_of(std::vector<double> values);

/// a[i] - b[i] and a[i] / b[i]; a ratio with a divisor that is not positive is left out.
[[nodiscard]] std::vector<double> differences(const std::vector<double>& a,
                                              const std::vector<double>& b);
[[nodiscard]] std::vector<double> ratios(const std::vector<double>& a,
                                         const std::vector<double>& b);

}  // namespace crema::app
