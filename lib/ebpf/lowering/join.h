// SPDX-License-Identifier: BSD-3-Clause
//
// Joins neighbouring narrow accesses. clang's BPF back end takes packed structures for unaligned
// and reads and writes them byte by byte, which neither it nor the kernel's JIT undoes. Straight
// pieces of code whose effect is known byte by byte (straight_run.h) are replaced by shorter ones
// with the same effect (rebuild.h), in place: what is left over becomes `goto pc+0`.
//
// Only loads of packet and stack and stores to the packet: other memory is seen by other threads,
// which may rely on the order and the width of accesses.
#pragma once

#include "lib/ebpf/lowering/flow.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf::lowering {

/// A program after it, with what is known of it. flow: liveness is that of the program before.
struct Joined {
    Program program;
    verifier::Proof proof;
    Flow flow;
    bool changed = false;
};

[[nodiscard]] Joined join_accesses(const Program& program,
                                   const verifier::Proof& proof,
                                   const Flow& flow);

}  // namespace crema::ebpf::lowering
