// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's verifier is not without faults of its own, and where it proves a wrong thing its
// results are wrong. What campaigns met on 6.18, both about atomic operations that give back what
// memory held:
//
//   - Its search for what a value depends on stops at the operation instead of going on to the
//     stack slot it read. A state counts as seen that differs there, and a branch goes away that
//     runs take.
//   - The 32-bit cmpxchg leaves the upper half of r0 to the JIT, which must be told to clear it;
//     where a state counts as seen before r0 is used, nobody tells it.
//
// The same program, with operations behind each of those that change nothing but are opaque to the
// verifier, shows which it is: a fault of ours stays, one of the kernel's goes.
#pragma once

#include "lib/ebpf/program/program.h"

namespace crema::test::fuzz {

/// `program` with what an atomic operation gives back cut to its width and divided by one. The same
/// program when there is no such operation.
[[nodiscard]] ebpf::Program with_opaque_atomics(const ebpf::Program& program);

}  // namespace crema::test::fuzz
