// SPDX-License-Identifier: BSD-3-Clause
//
// The passes of lowering in order: admit, find the flow, plan the calls, find what is needed,
// rewrite, lay out.
#include "lib/ebpf/lowering/lower.h"

#include "lib/ebpf/lowering/check.h"
#include "lib/ebpf/lowering/flow.h"
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
    const Plan plan = make_plan(program, proof, *flow);
    find_liveness(program, proof, plan.call_reads, &*flow);
    return Rewriter(program, proof, *flow, plan).run();
}

}  // namespace crema::ebpf::lowering
