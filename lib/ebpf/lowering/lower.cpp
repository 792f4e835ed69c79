// SPDX-License-Identifier: BSD-3-Clause
//
// The passes of lowering in order: admit, find the flow, plan the calls, find what is needed; then
// rewrite and lay out each function.
#include "lib/ebpf/lowering/lower.h"

#include <utility>
#include <vector>

#include "lib/ebpf/lowering/check.h"
#include "lib/ebpf/lowering/flow.h"
#include "lib/ebpf/lowering/functions.h"
#include "lib/ebpf/lowering/plan.h"
#include "lib/ebpf/lowering/rewriter.h"

namespace crema::ebpf::lowering {

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
    std::vector<std::int32_t> place(functions.size(), -1);  // in Lowered::functions
    for (std::size_t i = 0; i < order->size(); i++) {
        place[(*order)[i]] = static_cast<std::int32_t>(i);
    }
    Lowered lowered;
    for (const std::uint32_t function : *order) {
        auto one = Rewriter({.program = program,
                             .proof = proof,
                             .flow = *flow,
                             .plan = plan,
                             .place = place,
                             .range = functions[function],
                             .function = function})
                       .run();
        if (!one) {
            return forward_error(one);
        }
        lowered.functions.push_back(std::move(*one));
    }
    return lowered;
}

}  // namespace crema::ebpf::lowering
