// SPDX-License-Identifier: BSD-3-Clause
//
// Registers whose upper half is zero at an instruction, on every path (nothing is known where a
// function starts): forward data flow over the
// reachable instructions, separate from the exploration, because pruning lets unimportant scalars
// differ and a fact must hold for those, too.
#include <vector>

#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

/// Does a 64-bit operation with this source leave the upper half zero? `dst`, `src`: they had it.
bool alu64_keeps_zero(const Insn& insn, bool dst, bool src) {
    const bool by_reg = op::is_reg_source(insn.code);
    const bool source = by_reg ? src : insn.imm >= 0;
    switch (op::operation(insn.code)) {
        case op::kMov:
            return source;
        case op::kAnd:
            return dst || source;
        case op::kOr:
        case op::kXor:
            return dst && source;
        case op::kRsh:
            return dst || (!by_reg && insn.imm >= 32);
        case op::kDiv:
        case op::kMod:
            return dst;  // unsigned: the result is not above the dividend
        case op::kEnd:
            return insn.imm < 64;
        default:
            return false;
    }
}

bool result_is_short(const Insn& insn, const Insn* second, const InsnFacts& facts, unsigned zero) {
    const bool dst = (zero >> insn.dst & 1U) != 0;
    const bool src = (zero >> insn.src & 1U) != 0;
    if (is_signed_form(insn) && op::insn_class(insn.code) == op::kAlu64) {
        return false;
    }
    switch (op::insn_class(insn.code)) {
        case op::kAlu:
            return op::operation(insn.code) != op::kEnd || insn.imm < 64;
        case op::kAlu64:
            return alu64_keeps_zero(insn, dst, src);
        case op::kLdx:
            // The first three words of xdp_md become 64-bit pointers.
            if (op::mode(insn.code) == op::kMemSx) {
                return false;
            }
            return facts.access == Access::ctx ? insn.off >= 12
                                               : op::size_field(insn.code) != op::kDw;
        case op::kStx:  // what an atomic instruction fetches
            return op::size_field(insn.code) != op::kDw;
        default:
            return insn.src == 0 && second != nullptr && second->imm == 0;
    }
}

std::uint16_t after(const Program& program,
                    std::uint32_t i,
                    const InsnFacts& facts,
                    unsigned zero) {
    const Insn& insn = program.insns[i];
    const std::uint16_t written = register_uses(insn).writes;
    const auto kept = static_cast<std::uint16_t>(zero & ~unsigned{written});
    if (written == 0 || is_call(insn)) {
        return kept;
    }
    const Insn* second = insn.code == op::kLdImm64 ? &program.insns[i + 1] : nullptr;
    return result_is_short(insn, second, facts, zero) ? static_cast<std::uint16_t>(kept | written)
                                                      : kept;
}

bool edge_is_open(const InsnFacts& facts, bool jump, bool conditional) {
    if (!conditional || facts.branch == Branch::both) {
        return true;
    }
    return (facts.branch == Branch::always_taken) == jump;
}

}  // namespace

void find_zero_upper_halves(const Program& program,
                            std::span<const Function> functions,
                            Proof& proof) {
    const auto& insns = program.insns;
    std::vector<std::uint16_t> zero(insns.size(), 0xffff);
    std::vector<std::uint32_t> work;
    std::vector<bool> visited(insns.size(), false);
    for (const Function& function : functions) {
        if (proof.insns[function.first].reachable) {
            work.push_back(function.first);
            zero[function.first] = 0;
            visited[function.first] = true;
        }
    }
    while (!work.empty()) {
        const std::uint32_t i = work.back();
        work.pop_back();
        const InsnFacts& facts = proof.insns[i];
        const std::uint16_t out = after(program, i, facts, zero[i]);
        const Successors next = successors(insns[i], i);
        for (std::uint32_t n = 0; n < next.count; ++n) {
            const auto target = static_cast<std::uint32_t>(next.target[n]);
            if (!edge_is_open(facts, n == 1, next.count == 2) || !proof.insns[target].reachable) {
                continue;
            }
            const auto met = static_cast<std::uint16_t>(zero[target] & out);
            if (met != zero[target] || !visited[target]) {
                zero[target] = met;
                visited[target] = true;
                work.push_back(target);
            }
        }
    }
    for (std::uint32_t i = 0; i < insns.size(); ++i) {
        InsnFacts& facts = proof.insns[i];
        if (!facts.reachable || !visited[i]) {
            continue;
        }
        facts.dst_upper_zero = (zero[i] >> insns[i].dst & 1U) != 0;
        facts.src_upper_zero =
            op::is_reg_source(insns[i].code) && (zero[i] >> insns[i].src & 1U) != 0;
    }
}

}  // namespace crema::ebpf::verifier
