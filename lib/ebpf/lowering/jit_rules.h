// SPDX-License-Identifier: BSD-3-Clause
//
// Which JIT the rules of lowering are for: that of the processor this is built for. Most rules hold
// for both or cost nothing where they are not needed; those that differ ask here. What each stands
// for: docs/lowering.md, and tests/unit/lowering/jit_defects_test.cpp, which runs the JIT alone.
#pragma once

namespace crema::ebpf::lowering {

#if defined(__x86_64__)
inline constexpr bool kHasJit = true;
/// Jumps are short or long, and the JIT finds out which in an unsound way.
inline constexpr bool kJumpsHaveTwoSizes = true;
/// Callee-saved registers are pushed one by one, whatever that does to the stack's alignment.
inline constexpr bool kStackMustBeAligned = true;
/// A frame in a function that calls nothing destroys a register of the caller.
inline constexpr bool kFrameNeedsCall = false;
/// Swapping the bytes of the lower half leaves something in the upper one.
inline constexpr bool kSwap32LeavesUpperHalf = false;
#elif defined(__aarch64__)
inline constexpr bool kHasJit = true;
inline constexpr bool kJumpsHaveTwoSizes = false;
inline constexpr bool kStackMustBeAligned = false;
inline constexpr bool kFrameNeedsCall = true;
inline constexpr bool kSwap32LeavesUpperHalf = true;
#else
inline constexpr bool kHasJit = false;
inline constexpr bool kJumpsHaveTwoSizes = false;
inline constexpr bool kStackMustBeAligned = false;
inline constexpr bool kFrameNeedsCall = false;
inline constexpr bool kSwap32LeavesUpperHalf = false;
#endif

}  // namespace crema::ebpf::lowering
