// SPDX-License-Identifier: BSD-3-Clause
//
// BTF for programs that take the address of a function: verifiers want to know that a callback is a
// static function. Other programs are left without.
#pragma once

#include "lib/ebpf/program/program.h"

namespace crema::test::fuzz {

/// Fills functions and btf where `program` takes the address of a function.
void add_function_types(ebpf::Program& program);

}  // namespace crema::test::fuzz
