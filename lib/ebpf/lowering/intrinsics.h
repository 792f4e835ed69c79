// SPDX-License-Identifier: BSD-3-Clause
//
// What lowered code calls where the JIT has no instruction: atomic read-modify-write, signed
// division, the way to the context of the run and into the target of a tail call. Semantics are the
// kernel's. Lowering keeps the registers that such
// a call would destroy (atomic.cpp), so a program sees an instruction.
#pragma once

#include <cstdint>

#include "lib/ebpf/abi/native.h"

namespace crema::ebpf::lowering {

/// r1 address, r2 operand, r3 value to compare with (kAtomicCmpxchg). Result: what memory held,
/// zero extended. operation: imm of the instruction, with or without kFetch; null for others.
[[nodiscard]] Native atomic_native(std::int32_t operation, bool wide);

/// The context of the run on this thread, for functions that get none: the first function of
/// a program that has such functions leaves r1 here, whoever runs a callback outside of a run does,
/// too. r1 context; result 0.
NativeFunction enter_context;
/// Result: the context.
NativeFunction current_context;

/// For extensions that are called without it. Result: the context of whoever runs programs on this
/// thread (RunScope), left for functions that get none.
NativeFunction running_context;

/// r1 program array, r2 index of 32 bits. Result: maps::TailTarget, or 0.
NativeFunction find_tail_target;

/// r1 context, r2 maps::TailTarget. Result: what the target returns.
NativeFunction run_tail_target;

/// r1 dividend, r2 divisor. Division by zero gives 0, its remainder is the dividend; the smallest
/// number divided by -1 is itself, remainder 0. 32-bit forms zero-extend.
[[nodiscard]] Native signed_division_native(bool remainder, bool wide);

}  // namespace crema::ebpf::lowering
