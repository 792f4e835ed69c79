// SPDX-License-Identifier: BSD-3-Clause
//
// See second_opinion.h.
#include "tests/fuzz/second_opinion.h"

#include <vector>

#include "tests/fuzz/jumps.h"
#include "tests/support/asm.h"

namespace crema::test::fuzz {
namespace {

/// The register that gets what memory held, or -1.
int fetched_into(const Insn& insn) {
    const bool is_atomic =
        op::insn_class(insn.code) == op::kStx && op::mode(insn.code) == op::kAtomic;
    if (!is_atomic || insn.imm == op::kStoreRelease || insn.imm == op::kLoadAcquire) {
        return -1;
    }
    if (insn.imm == op::kAtomicCmpxchg) {
        return 0;
    }
    return (insn.imm & op::kFetch) != 0 ? insn.src : -1;
}

/// A quotient is unknown to the kernel's verifier, also by one.
std::vector<Insn> opaque(int reg, bool narrow) {
    const Insn divide = alu_k(op::kDiv, reg, 1);
    if (narrow) {
        return {alu32(op::kMov, reg, reg), divide};
    }
    return {divide};
}

}  // namespace

ebpf::Program with_opaque_atomics(const ebpf::Program& program) {
    ebpf::Program result = program;
    result.insns.clear();
    std::vector<std::size_t> moved;  // by old slot
    for (std::size_t at = 0; at < program.insns.size(); ++at) {
        const Insn& insn = program.insns[at];
        moved.push_back(result.insns.size());
        result.insns.push_back(insn);
        if (insn.code == op::kLdImm64 && at + 1 < program.insns.size()) {
            moved.push_back(result.insns.size());
            result.insns.push_back(program.insns[++at]);
        } else if (const int reg = fetched_into(insn); reg >= 0) {
            const bool narrow = op::size_field(insn.code) == op::kW;
            const std::vector<Insn> code = opaque(reg, narrow);
            result.insns.insert(result.insns.end(), code.begin(), code.end());
        }
    }
    for (std::size_t at = 0; at < program.insns.size(); ++at) {
        const bool wide = program.insns[at].code == op::kLdImm64;
        if (const auto way = distance(program.insns[at])) {
            const auto target = static_cast<std::size_t>(static_cast<std::int64_t>(at) + 1 + *way);
            if (target >= moved.size()) {
                return program;  // leads out of it: nothing that anybody accepts
            }
            set_distance(result.insns[moved[at]], static_cast<std::int32_t>(moved[target]) -
                                                      static_cast<std::int32_t>(moved[at]) - 1);
        }
        at += wide ? 1 : 0;
    }
    return result;
}

}  // namespace crema::test::fuzz
