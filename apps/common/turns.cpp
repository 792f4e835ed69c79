// SPDX-License-Identifier: BSD-3-Clause
#include "apps/common/turns.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace crema::app {
namespace {

constexpr double kRepeatMin = 1000, kRepeatMax = 10'000'000;

/// Time this thread has spent on a core, also in the kernel: what others take is not in it.
double cpu_seconds() {
    timespec now{};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Nanoseconds per packet of one turn.
Result<double> time_round(const Engine& engine, const std::vector<Bytes>& packets) {
    const double start = cpu_seconds();
    for (const Bytes& packet : packets) {
        if (Status done = engine.time(packet, engine.repeat); !done) {
            return forward_error(done);
        }
    }
    const double spent = cpu_seconds() - start;
    return spent * 1e9 / (static_cast<double>(packets.size()) * engine.repeat);
}

}  // namespace

Status compare(const Engine& one, const Engine& other, const std::vector<Bytes>& packets) {
    for (std::size_t i = 0; i < packets.size(); ++i) {
        const auto here = one.run(packets[i]);
        if (!here) {
            return fail(here.error().code, "packet {}: {}: {}", i + 1, one.name,
                        here.error().message);
        }
        const auto there = other.run(packets[i]);
        if (!there) {
            return fail(there.error().code, "packet {}: {}: {}", i + 1, other.name,
                        there.error().message);
        }
        if (*here != *there) {
            return fail(EPROTO,
                        "packet {}: {} returns {} and {} bytes, {} returns {} and {} bytes that "
                        "differ: not measured",
                        i + 1, one.name, here->first, here->second.size(), other.name, there->first,
                        there->second.size());
        }
    }
    return {};
}

Status measure(std::vector<Engine>& engines,
               const std::vector<Bytes>& packets,
               double seconds,
               int rounds) {
    const double share = seconds / (rounds * static_cast<double>(engines.size()));
    for (Engine& engine : engines) {
        engine.repeat = static_cast<std::uint32_t>(kRepeatMin);
        const auto first = time_round(engine, packets);  // also warms up
        if (!first) {
            return forward_error(first);
        }
        const double wanted =
            share * 1e9 / (std::max(*first, 0.1) * static_cast<double>(packets.size()));
        engine.repeat = static_cast<std::uint32_t>(std::clamp(wanted, kRepeatMin, kRepeatMax));
    }
    for (int round = 0; round < rounds; ++round) {
        for (Engine& engine : engines) {
            const auto ns = time_round(engine, packets);
            if (!ns) {
                return forward_error(ns);
            }
            engine.ns.push_back(*ns);
        }
    }
    return {};
}

Spread spread_of(std::vector<double> values) {
    if (values.empty()) {
        return {};
    }
    std::sort(values.begin(), values.end());
    return {values.front(), values[values.size() / 2], values.back()};
}

std::vector<double> differences(const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<double> out;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        out.push_back(a[i] - b[i]);
    }
    return out;
}

std::vector<double> ratios(const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<double> out;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        if (b[i] > 0) {
            out.push_back(a[i] / b[i]);
        }
    }
    return out;
}

}  // namespace crema::app
