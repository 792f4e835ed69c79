// SPDX-License-Identifier: BSD-3-Clause
//
// What lowered code calls where the JIT has no instruction: atomic read-modify-write and signed
// division. C calls with BPF's registers as arguments; semantics are the kernel's. Lowering keeps
// the registers that such a call would destroy (atomic.cpp), so a program sees an instruction.
#pragma once

#include <cstdint>

#include "lib/ebpf/helpers/prototypes.h"

namespace crema::ebpf::lowering {

/// r1 address, r2 operand, r3 value to compare with (kAtomicCmpxchg). Result: what memory held, zero
/// extended. operation: imm of the instruction, with or without kFetch; null for others.
[[nodiscard]] helpers::Native atomic_native(std::int32_t operation, bool wide);

/// r1 dividend, r2 divisor. Division by zero gives 0, its remainder is the dividend; the smallest
/// number divided by -1 is itself, remainder 0. 32-bit forms zero-extend.
[[nodiscard]] helpers::Native signed_division_native(bool remainder, bool wide);

}  // namespace crema::ebpf::lowering
