// SPDX-License-Identifier: BSD-3-Clause
//
// Random programs of several functions that every verifier must accept: calls a few frames deep
// with up to five numbers and a pointer into the caller's frame, counters in per-CPU arrays from
// inside them (which need the context of the run), the preserved registers checked by the caller.
// All results go to the packet.
#pragma once

#include <random>

#include "lib/ebpf/program/program.h"
#include "tests/support/random_program.h"

namespace crema::test {

[[nodiscard]] ebpf::Program make_random_functions(std::mt19937_64& random, const RandomMaps& maps);

}  // namespace crema::test
