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

namespace {

/// Who calls whom, among the functions that are proved.
struct CallGraph {
    explicit CallGraph(std::size_t functions) : callers(functions), waits_for(functions) {}

    std::vector<std::vector<std::uint32_t>> callers;  // of each function, once per call
    std::vector<std::uint32_t> waits_for;             // calls in each function
    std::size_t proved = 0;
};

/// Enters what the instruction at `at` of function `caller` names, if it is a call.
Status enter_call(const Program& program,
                  const verifier::Proof& proof,
                  const std::vector<Function>& functions,
                  std::uint32_t caller,
                  std::uint32_t at,
                  CallGraph& graph) {
    const std::int32_t callee = proof.insns[at].function;
    if (callee < 0 || callee >= static_cast<std::int32_t>(functions.size())) {
        return fail(EINVAL, "program {}: instruction {} names no function", program.name, at);
    }
    if (!is_call(program.insns[at])) {
        return {};
    }
    const auto target = static_cast<std::size_t>(callee);
    if (!proof.insns[functions[target].first].reachable) {
        return fail(EINVAL, "program {}: instruction {} calls nothing proved", program.name, at);
    }
    graph.callers[target].push_back(caller);
    graph.waits_for[caller]++;
    return {};
}

Result<CallGraph> call_graph(const Program& program,
                             const verifier::Proof& proof,
                             const std::vector<Function>& functions) {
    const std::size_t n = functions.size();
    CallGraph graph(n);
    for (std::uint32_t f = 0; f < n; f++) {
        const Function& function = functions[f];
        if (function.first >= function.end || function.end > program.insns.size()) {
            return fail(EINVAL, "program {}: its functions do not cover it", program.name);
        }
        graph.proved += proof.insns[function.first].reachable ? 1 : 0;
        for (std::uint32_t at = function.first; at < function.end; at++) {
            const Insn& insn = program.insns[at];
            if (proof.insns[at].reachable && function_target(insn, at).has_value()) {
                if (auto entered = enter_call(program, proof, functions, f, at, graph); !entered) {
                    return forward_error(entered);
                }
            }
            at += insn.code == op::kLdImm64 ? 1 : 0;
        }
    }
    return graph;
}

}  // namespace

Result<std::vector<std::uint32_t>> compile_order(const Program& program,
                                                 const verifier::Proof& proof) {
    const std::vector<Function> functions = functions_of(program);
    auto graph = call_graph(program, proof, functions);
    if (!graph) {
        return forward_error(graph);
    }
    std::vector<std::uint32_t> order;
    for (std::uint32_t f = 0; f < functions.size(); f++) {
        if (graph->waits_for[f] == 0 && proof.insns[functions[f].first].reachable) {
            order.push_back(f);
        }
    }
    for (std::size_t next = 0; next < order.size(); next++) {
        for (const std::uint32_t caller : graph->callers[order[next]]) {
            if (--graph->waits_for[caller] == 0) {
                order.push_back(caller);
            }
        }
    }
    if (order.size() != graph->proved) {
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
