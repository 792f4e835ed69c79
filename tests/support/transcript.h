// SPDX-License-Identifier: BSD-3-Clause
//
// What a machine did with a sequence of packets, step by step: verdict, changed bytes, changed map
// entries. Transcripts of two machines are compared step by step; the kernel's can be written to a
// text file and compared with later, where there is no bpf(2) to ask.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "tests/support/machine.h"

namespace crema::test {

struct Step {
    std::string packet;  // its name
    std::uint32_t ifindex = 0;
    std::uint64_t input = 0;  // digest of the bytes that went in
    int error = 0;            // errno of the run; what follows is empty then
    std::uint32_t retval = 0;
    /// "=" unchanged, "@12:0800 @20:ff" the changed ranges, or "64: 0102..." with another length
    std::string bytes;
    MapState changed;  // entries with their new value, empty text when the entry became zero
};

struct Transcript {
    std::string machine;  // for people: "Linux 6.18.0 x86_64"
    MapState initial;     // after the set-up
    std::vector<Step> steps;
};

/// Runs one packet and moves `state` on to the maps' new state.
[[nodiscard]] Step run_step(Machine& machine,
                            const Packet& packet,
                            std::uint32_t ifindex,
                            MapState& state);

/// One line per difference, each with the packet's name; empty when the steps agree.
[[nodiscard]] std::vector<std::string> differences(const Step& expected, const Step& got);
[[nodiscard]] std::vector<std::string> differences(const MapState& expected, const MapState& got);

[[nodiscard]] std::string to_text(const Transcript& transcript);
/// EINVAL: not a transcript; says which line.
[[nodiscard]] Result<Transcript> parse_transcript(const std::string& text);

/// What became of `before`, in the form of Step::bytes.
[[nodiscard]] std::string describe_change(const Bytes& before, const Bytes& after);

}  // namespace crema::test
