// SPDX-License-Identifier: BSD-3-Clause
//
// Which instructions lowering has a rule for. The JIT ignores fields it does not know and computes
// something else, so every field of every instruction is looked at here.
#pragma once

#include <cstdint>

#include "lib/base/result.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf::lowering {

/// ENOTSUP with instruction and reason for anything outside the rules; EINVAL when program and
/// proof do not belong together.
[[nodiscard]] Status check_program(const Program& program, const verifier::Proof& proof);

}  // namespace crema::ebpf::lowering
