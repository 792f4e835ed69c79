// SPDX-License-Identifier: BSD-3-Clause
//
// Random XDP programs that every verifier must accept: forward jumps, bounded loops, all of the
// arithmetic, stack accesses of all sizes, atomic adds, calls, array lookups. A program reads its
// registers and stack from the packet and writes them back at the end, so the packet tells all.
#pragma once

#include <cstdint>
#include <memory>
#include <random>

#include "lib/ebpf/program/program.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::test {

inline constexpr std::uint32_t kRandomPacketBytes = 160;

struct RandomProgram {
    ebpf::Program program;
    /// What a verifier that knows nothing but types would say.
    ebpf::verifier::Proof proof;
};

/// The two maps a random program uses: array and per-CPU array, 8 entries of 16 bytes.
struct RandomMaps {
    std::shared_ptr<ebpf::maps::Map> array;
    std::shared_ptr<ebpf::maps::Map> percpu_array;
};

[[nodiscard]] RandomMaps make_random_maps();

[[nodiscard]] RandomProgram make_random_program(std::mt19937_64& random, const RandomMaps& maps);

/// A value that likes edges: 0, 1, powers of two, sign bits, all ones, and anything.
[[nodiscard]] std::uint64_t edgy_value(std::mt19937_64& random);

}  // namespace crema::test
