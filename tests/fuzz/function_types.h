// SPDX-License-Identifier: BSD-3-Clause
//
// BTF for programs that need it: verifiers want to know that a callback is a static function, that
// one which tail-calls returns int, and what a global function takes. Others are left without.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/ebpf/program/program.h"
#include "tests/fuzz/body.h"

namespace crema::test::fuzz {

/// What global functions may take. Kind::map_value stands for any memory of that size.
[[nodiscard]] const std::vector<Signature>& global_shapes();

/// The BTF type of a global function that takes one of these.
[[nodiscard]] std::uint32_t global_type(const Signature& shape);

/// Fills functions, and btf where `program` needs it. Global functions are known by the btf_type
/// that functions of that number have already; where the program has more or fewer functions now,
/// all are static.
void add_function_types(ebpf::Program& program);

}  // namespace crema::test::fuzz
