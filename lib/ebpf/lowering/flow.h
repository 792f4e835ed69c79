// SPDX-License-Identifier: BSD-3-Clause
//
// What lowering needs to know about the flow of a proved program: where paths join, which
// registers are still needed, and which instructions compute nothing that is.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf::lowering {

using RegSet = std::uint32_t;  // bit n: register n

[[nodiscard]] constexpr RegSet reg_bit(std::uint8_t reg) {
    return RegSet{1} << reg;
}

struct Flow {
    std::vector<bool> emitted;     // by slot: reachable and the first half of its instruction
    std::vector<bool> is_target;   // by slot: some taken jump leads here
    std::vector<RegSet> live_in;   // by slot: registers read here or later
    std::vector<RegSet> live_out;  // by slot: registers read later before they are written
    std::vector<bool> is_dead;     // by slot: result never read, no other effect
};

/// Slots that can follow `at` (at most two); -1: none.
struct Successors {
    std::int64_t next = -1;
    std::int64_t taken = -1;
};

[[nodiscard]] Successors successors(const Program& program,
                                    const verifier::Proof& proof,
                                    std::size_t at);

/// Fills emitted and is_target. EINVAL: the flow leaves what the proof covers.
[[nodiscard]] Result<Flow> find_flow(const Program& program, const verifier::Proof& proof);

/// Fills live_in, live_out and is_dead. call_reads: by slot, the registers that a call reads.
void find_liveness(const Program& program,
                   const verifier::Proof& proof,
                   const std::vector<RegSet>& call_reads,
                   Flow* flow);

}  // namespace crema::ebpf::lowering
