// SPDX-License-Identifier: BSD-3-Clause
//
// Small programs with the verdict that a verifier has to give, one per rule. The unit test asks
// ours, the conformance test asks the running kernel for the same, so a case cannot claim what the
// kernel does not do.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/ebpf/program/program.h"

namespace crema::test {

struct VerifierCase {
    std::string name;
    ebpf::Program program;
    std::string refusal;        // part of the reason; empty: accepted
    bool kernel_agrees = true;  // false: legal for the kernel, not served by us yet
};

/// The maps of every case, by index.
inline constexpr int kArrayMap = 0;   // array, 4 entries of 16 bytes
inline constexpr int kGlobalMap = 1;  // array, 1 entry of 16 bytes
// array, 1 entry of 16 bytes: 1, 0, 7, 0 as u32; frozen, read-only
inline constexpr int kConstantMap = 2;
inline constexpr int kPercpuMap = 3;     // per-CPU array, 2 entries of 8 bytes
inline constexpr int kReadOnlyMap = 4;   // array, 1 entry of 16 bytes, programs may not write
inline constexpr int kWriteOnlyMap = 5;  // array, 1 entry of 16 bytes, programs may not read
inline constexpr int kDevMap = 6;        // devmap, 4 entries
inline constexpr int kCpuMap = 7;        // cpumap, 4 entries
inline constexpr int kProgMap = 8;       // prog_array, 4 entries
inline constexpr int kUserRing = 9;      // user_ringbuf, a page

[[nodiscard]] std::vector<std::shared_ptr<ebpf::maps::Map>> case_maps();
[[nodiscard]] const std::vector<VerifierCase>& verifier_cases();
/// The part of them in verifier_isa_cases.cpp.
[[nodiscard]] std::vector<VerifierCase> isa_cases();

}  // namespace crema::test
