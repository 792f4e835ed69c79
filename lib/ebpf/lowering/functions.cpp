// SPDX-License-Identifier: BSD-3-Clause
//
// The order of functions.h, by counting the callees that are not compiled yet.
#include "lib/ebpf/lowering/functions.h"

#include <algorithm>
#include <cerrno>

#include "lib/ebpf/program/structure.h"

namespace crema::ebpf::lowering {

std::vector<Function> functions_of(const Program& program) {
    std::vector<Function> functions = program.functions;
    if (functions.empty()) {
        // A program that was proved has functions that can be found.
        (void)find_functions(program.insns, functions);
    }
    return functions;
}

Result<std::vector<std::uint32_t>> compile_order(const Program& program,
                                                 const verifier::Proof& proof) {
    const std::vector<Function> functions = functions_of(program);
    const std::size_t n = functions.size();
    std::vector<std::vector<std::uint32_t>> callers(n);
    std::vector<std::uint32_t> waits_for(n);
    std::size_t proved = 0;
    for (std::uint32_t f = 0; f < n; f++) {
        const Function& function = functions[f];
        if (function.first >= function.end || function.end > program.insns.size()) {
            return fail(EINVAL, "program {}: its functions do not cover it", program.name);
        }
        proved += proof.insns[function.first].reachable ? 1 : 0;
        for (std::uint32_t at = function.first; at < function.end; at++) {
            const Insn& insn = program.insns[at];
            const bool names = proof.insns[at].reachable && function_target(insn, at).has_value();
            if (names) {
                const std::int32_t callee = proof.insns[at].function;
                if (callee < 0 || callee >= static_cast<std::int32_t>(n)) {
                    return fail(EINVAL, "program {}: instruction {} names no function",
                                program.name, at);
                }
                if (is_call(insn)) {
                    if (!proof.insns[functions[static_cast<std::size_t>(callee)].first].reachable) {
                        return fail(EINVAL, "program {}: instruction {} calls nothing proved",
                                    program.name, at);
                    }
                    callers[static_cast<std::size_t>(callee)].push_back(f);
                    waits_for[f]++;
                }
            }
            at += insn.code == op::kLdImm64 ? 1 : 0;
        }
    }
    std::vector<std::uint32_t> order;
    for (std::uint32_t f = 0; f < n; f++) {
        if (waits_for[f] == 0 && proof.insns[functions[f].first].reachable) {
            order.push_back(f);
        }
    }
    for (std::size_t next = 0; next < order.size(); next++) {
        for (const std::uint32_t caller : callers[order[next]]) {
            if (--waits_for[caller] == 0) {
                order.push_back(caller);
            }
        }
    }
    if (order.size() != proved) {
        return fail(EINVAL, "program {}: its functions call each other in a circle", program.name);
    }
    // The first function calls nobody's caller, so it may move to the end.
    const auto first = std::find(order.begin(), order.end(), 0U);
    if (first == order.end()) {
        return fail(EINVAL, "program {}: nothing is proved", program.name);
    }
    std::rotate(first, first + 1, order.end());
    return order;
}

}  // namespace crema::ebpf::lowering
