// SPDX-License-Identifier: BSD-3-Clause
//
// The passes of lowering in order: admit, find the flow, plan the calls, find what is needed; join
// narrow accesses, after which needs are looked at again; then rewrite and lay out each function.
#include "lib/ebpf/lowering/lower.h"

#include <utility>
#include <vector>

#include "lib/ebpf/lowering/check.h"
#include "lib/ebpf/lowering/flow.h"
#include "lib/ebpf/lowering/functions.h"
#include "lib/ebpf/lowering/join.h"
#include "lib/ebpf/lowering/plan.h"
#include "lib/ebpf/lowering/rewriter.h"

namespace crema::ebpf::lowering {

namespace {

Result<Lowered> rewrite(const Program& program,
                        const verifier::Proof& proof,
                        const Flow& flow,
                        const Plan& plan,
                        const std::vector<Function>& functions,
                        const std::vector<std::uint32_t>& order) {
    std::vector<std::int32_t> place(functions.size(), -1);  // in Lowered::functions
    for (std::size_t i = 0; i < order.size(); i++) {
        place[order[i]] = static_cast<std::int32_t>(i);
    }
    Lowered lowered;
    for (const std::uint32_t function : order) {
        auto one = Rewriter({.program = program,
                             .proof = proof,
                             .flow = flow,
                             .plan = plan,
                             .place = place,
                             .range = functions[function],
                             .function = function})
                       .run();
        if (!one) {
            return forward_error(one);
        }
        one->function = function;
        one->is_replaceable = function < proof.functions.size() && proof.functions[function].global;
        lowered.functions.push_back(std::move(*one));
    }
    return lowered;
}

}  // namespace

Result<Lowered> lower(const Program& program, const verifier::Proof& proof) {
    const Status admitted = check_program(program, proof);
    if (!admitted) {
        return forward_error(admitted);
    }
    auto flow = find_flow(program, proof);
    if (!flow) {
        return forward_error(flow);
    }
    const auto order = compile_order(program, proof);
    if (!order) {
        return forward_error(order);
    }
    const std::vector<Function> functions = functions_of(program);
    const Plan plan = make_plan(program, proof, *flow, functions);
    find_liveness(program, proof, plan.call_reads, &*flow);
    Joined joined = join_accesses(program, proof, *flow);
    if (!joined.changed) {
        return rewrite(program, proof, *flow, plan, functions, *order);
    }
    // The plan holds as it is: registers and memory are the same at every call. It must not be made
    // anew, because what a scan finds out depends on the order of stores, and registers that it
    // made superfluous are gone.
    find_liveness(joined.program, joined.proof, plan.call_reads, &joined.flow);
    return rewrite(joined.program, joined.proof, joined.flow, plan, functions, *order);
}

}  // namespace crema::ebpf::lowering
