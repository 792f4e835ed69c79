// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's set of possible CPUs. libbpf reads the same file to size the buffers of per-CPU
// maps, so the count must be the same whatever the number of workers is.
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/maps/map.h"

namespace crema::ebpf::maps {

namespace {

// "0-3,6" and the like; empty on anything else.
std::vector<std::uint32_t> parse_cpu_list(const std::string& text) {
    std::vector<std::uint32_t> cpus;
    const char* at = text.data();
    const char* const end = text.data() + text.size();
    while (at < end) {
        std::uint32_t first = 0;
        auto parsed = std::from_chars(at, end, first);
        if (parsed.ec != std::errc()) {
            return {};
        }
        std::uint32_t last = first;
        if (parsed.ptr < end && *parsed.ptr == '-') {
            parsed = std::from_chars(parsed.ptr + 1, end, last);
            if (parsed.ec != std::errc() || last < first || last - first > 65536) {
                return {};
            }
        }
        for (std::uint32_t cpu = first; cpu <= last; cpu++) {
            cpus.push_back(cpu);
        }
        at = parsed.ptr < end ? parsed.ptr + 1 : end;
    }
    return cpus;
}

std::vector<std::uint32_t> read_possible_cpus() {
    std::ifstream file("/sys/devices/system/cpu/possible");
    std::string text;
    std::getline(file, text);
    std::vector<std::uint32_t> cpus = parse_cpu_list(text);
    if (cpus.empty()) {
        // No sysfs (a bare container): the configured CPUs are the best there is.
        const long configured = sysconf(_SC_NPROCESSORS_CONF);
        for (std::uint32_t cpu = 0; cpu < (configured > 0 ? configured : 1); cpu++) {
            cpus.push_back(cpu);
        }
    }
    return cpus;
}

const std::vector<std::uint32_t>& cpus_of_host() {
    static const std::vector<std::uint32_t> cpus = read_possible_cpus();
    return cpus;
}

}  // namespace

std::uint32_t possible_cpus() {
    return static_cast<std::uint32_t>(cpus_of_host().size());
}

std::span<const std::uint32_t> possible_cpu_ids() {
    return cpus_of_host();
}

bool cpu_is_possible(std::uint32_t cpu) {
    for (const std::uint32_t possible : cpus_of_host()) {
        if (possible == cpu) {
            return true;
        }
    }
    return false;
}

}  // namespace crema::ebpf::maps
