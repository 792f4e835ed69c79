// SPDX-License-Identifier: BSD-3-Clause
//
// Flow and backward liveness over the proved part of a program. An instruction that only computes
// a register nobody reads later reads nothing itself; the fix-point starts from "nothing is needed"
// and grows, so whole dead chains fall away (the key and map argument of an inlined lookup).
#include "lib/ebpf/lowering/flow.h"

#include <cerrno>

#include "lib/ebpf/lowering/emit.h"
#include "lib/ebpf/program/structure.h"

namespace crema::ebpf::lowering {

namespace {

// Reads and writes of everything but calls.
struct Effect {
    RegSet reads = 0;
    RegSet writes = 0;
    bool pure = false;  // no effect but the written register
};

Effect effect_of_alu(const Insn& insn) {
    const std::uint8_t operation = op::operation(insn.code);
    Effect effect{.reads = 0, .writes = reg_bit(insn.dst), .pure = true};
    if (operation != op::kMov) {
        effect.reads |= reg_bit(insn.dst);
    }
    if (op::is_reg_source(insn.code) && operation != op::kEnd) {
        effect.reads |= reg_bit(insn.src);
    }
    return effect;
}

Effect effect_of_atomic(const Insn& insn) {
    const int result = atomic_result(insn);
    Effect effect;
    effect.writes = result >= 0 ? reg_bit(static_cast<std::uint8_t>(result)) : 0;
    effect.reads = reg_bit(insn.src) | (is_load_acquire(insn) ? 0 : reg_bit(insn.dst));
    if (insn.imm == op::kAtomicCmpxchg) {
        effect.reads |= reg_bit(kR0);
    }
    return effect;
}

Effect effect_of(const Insn& insn) {
    switch (op::insn_class(insn.code)) {
        case op::kLd:
            return {.reads = 0, .writes = reg_bit(insn.dst), .pure = true};
        case op::kLdx:
            return {.reads = reg_bit(insn.src), .writes = reg_bit(insn.dst), .pure = true};
        case op::kSt:
            return {.reads = reg_bit(insn.dst), .writes = 0, .pure = false};
        case op::kStx:
            return is_atomic(insn) ? effect_of_atomic(insn)
                                   : Effect{.reads = reg_bit(insn.dst) | reg_bit(insn.src)};
        case op::kJmp:
        case op::kJmp32: {
            Effect effect;
            if (is_exit(insn)) {
                effect.reads = reg_bit(kR0);
            } else if (insn.code == op::kMayGoto) {
                effect.reads = 0;
            } else if (is_conditional_jump(insn)) {
                effect.reads = reg_bit(insn.dst);
                if (op::is_reg_source(insn.code)) {
                    effect.reads |= reg_bit(insn.src);
                }
            }
            return effect;
        }
        default:
            return effect_of_alu(insn);
    }
}

}  // namespace

Successors successors(const Program& program, const verifier::Proof& proof, std::size_t at) {
    const Insn& insn = program.insns[at];
    const auto next = static_cast<std::int64_t>(at) + (insn.code == op::kLdImm64 ? 2 : 1);
    if (is_exit(insn)) {
        return {};
    }
    if (insn.code == (op::kJmp | op::kJa) || is_long_jump(insn)) {
        return {.next = -1, .taken = next + jump_offset(insn)};
    }
    if (!is_conditional_jump(insn)) {
        return {.next = next, .taken = -1};
    }
    switch (proof.insns[at].branch) {
        case verifier::Branch::never_taken:
            return {.next = next, .taken = -1};
        case verifier::Branch::always_taken:
            return {.next = -1, .taken = next + insn.off};
        case verifier::Branch::both:
            break;
    }
    return {.next = next, .taken = next + insn.off};
}

Result<Flow> find_flow(const Program& program, const verifier::Proof& proof) {
    const std::size_t n = program.insns.size();
    Flow flow{.emitted = std::vector<bool>(n),
              .is_target = std::vector<bool>(n),
              .live_in = std::vector<RegSet>(n),
              .live_out = std::vector<RegSet>(n),
              .is_dead = std::vector<bool>(n)};
    for (std::size_t at = 0; at < n; at++) {
        flow.emitted[at] = proof.insns[at].reachable;
        at += program.insns[at].code == op::kLdImm64 ? 1 : 0;
    }
    for (std::size_t at = 0; at < n; at++) {
        if (!flow.emitted[at]) {
            continue;
        }
        const Successors after = successors(program, proof, at);
        for (const std::int64_t to : {after.next, after.taken}) {
            if (to == -1) {
                continue;
            }
            if (to < 0 || to >= static_cast<std::int64_t>(n) ||
                !flow.emitted[static_cast<std::size_t>(to)]) {
                return fail(EINVAL, "program {}: instruction {} leads to {}, which is not proved",
                            program.name, at, to);
            }
        }
        if (after.taken != -1) {
            flow.is_target[static_cast<std::size_t>(after.taken)] = true;
        }
    }
    if (n == 0 || !flow.emitted[0]) {
        return fail(EINVAL, "program {}: nothing is proved", program.name);
    }
    return flow;
}

namespace {

/// What the instruction at `at` reads and writes by what is proved about it.
Effect effect_at(const Program& program,
                 const verifier::Proof& proof,
                 const std::vector<RegSet>& call_reads,
                 std::size_t at) {
    const Insn& insn = program.insns[at];
    if (is_call(insn)) {
        return {.reads = call_reads[at], .writes = kCallerRegs, .pure = false};
    }
    Effect effect = effect_of(insn);
    if (is_conditional_jump(insn) && proof.insns[at].branch != verifier::Branch::both) {
        effect.reads = 0;
    }
    return effect;
}

}  // namespace

void find_liveness(const Program& program,
                   const verifier::Proof& proof,
                   const std::vector<RegSet>& call_reads,
                   Flow* flow) {
    const std::size_t n = program.insns.size();
    std::vector<RegSet>& live_in = flow->live_in;
    live_in.assign(n, 0);
    // Backward in program order first; later rounds only where a successor changed. live_in only
    // grows, so a slot comes up at most as often as there are registers.
    std::vector<std::vector<std::uint32_t>> sources(n);  // of taken jumps
    std::vector<bool> queued(n, false);
    std::vector<std::uint32_t> work;
    for (std::size_t at = 0; at < n; at++) {
        if (flow->emitted[at]) {
            queued[at] = true;
            work.push_back(static_cast<std::uint32_t>(at));
            const std::int64_t taken = successors(program, proof, at).taken;
            if (taken != -1) {
                sources[static_cast<std::size_t>(taken)].push_back(static_cast<std::uint32_t>(at));
            }
        }
    }
    const auto queue = [&](std::size_t at) {
        if (!queued[at]) {
            queued[at] = true;
            work.push_back(static_cast<std::uint32_t>(at));
        }
    };
    while (!work.empty()) {
        const std::size_t at = work.back();
        work.pop_back();
        queued[at] = false;
        const Successors after = successors(program, proof, at);
        RegSet out = 0;
        out |= after.next != -1 ? live_in[static_cast<std::size_t>(after.next)] : 0;
        out |= after.taken != -1 ? live_in[static_cast<std::size_t>(after.taken)] : 0;
        const Effect effect = effect_at(program, proof, call_reads, at);
        const bool dead = effect.pure && (effect.writes & out) == 0;
        const RegSet in = dead ? out : ((out & ~effect.writes) | effect.reads);
        flow->live_out[at] = out;
        flow->is_dead[at] = dead;
        if (in == live_in[at]) {
            continue;
        }
        live_in[at] = in;
        for (const std::uint32_t source : sources[at]) {
            queue(source);
        }
        // The slot in front, which is two slots away behind LD_IMM64.
        for (std::size_t before = at; before-- > 0 && at - before <= 2;) {
            if (flow->emitted[before] &&
                successors(program, proof, before).next == static_cast<std::int64_t>(at)) {
                queue(before);
            }
        }
    }
}

}  // namespace crema::ebpf::lowering
