// SPDX-License-Identifier: BSD-3-Clause
//
// Which functions of a program are compiled, and in what order: a function is compiled behind all
// that it calls, because its machine code holds their addresses.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf::lowering {

/// Program::functions, or found anew where that is empty (programs that did not come by bpf(2)).
[[nodiscard]] std::vector<Function> functions_of(const Program& program);

/// Indices of the proved functions, callees first, the first function last. EINVAL: the calls go
/// round in a circle, or the facts do not belong to the program.
[[nodiscard]] Result<std::vector<std::uint32_t>> compile_order(const Program& program,
                                                               const verifier::Proof& proof);

}  // namespace crema::ebpf::lowering
