// SPDX-License-Identifier: BSD-3-Clause
//
// Cases of verifier_cases() about callbacks that get samples of a user ring buffer: a dynptr that
// is not theirs and ends with them.
#include "tests/support/verifier_table.h"

namespace crema::test {

namespace {

constexpr int kDrain = 209, kDynptrRead = 201, kDynptrData = 203, kDiscardDynptr = 200;

/// Drains a map with `callback`, whose context lies at the frame's -16; goes on with r0 and
/// `after`.
Code drain(int map, const Code& after, const Code& callback) {
    const auto behind = static_cast<int>(6 + after.insns().size());
    return {ld_map(1, map),
            insn(op::kLdImm64, 2, op::kPseudoFunc, 0, behind),
            insn(0, 0, 0, 0, 0),
            mov(3, 10),
            add_k(3, -16),
            store_k(op::kDw, 10, -16, 0),
            mov_k(4, 0),
            call(kDrain),
            after,
            callback};
}

const Code go_on{mov_k(0, 2), exit_insn()};

// Callbacks need types.
void good(Table& t, const char* name, const Code& code) {
    t.good(name, code);
    t.typed({{}, {}});
}

void bad(Table& t, const char* name, const Code& code, const char* reason) {
    t.bad(name, code, reason);
    t.typed({{}, {}});
}

}  // namespace

void add_sample_cases(Table& t) {
    good(t, "samples are passed", drain(kUserRing, go_on, {mov_k(0, 0), exit_insn()}));
    good(t, "a sample is read",
         drain(kUserRing, go_on,
               {mov(3, 1), mov(1, 10), add_k(1, -8), mov_k(2, 8), mov_k(4, 0), mov_k(5, 0),
                call(kDynptrRead), mov_k(0, 1), exit_insn()}));
    good(t, "a sample's bytes are written",
         drain(kUserRing, go_on,
               {mov_k(2, 0), mov_k(3, 8), call(kDynptrData), jump_k(op::kJeq, 0, 0, 1),
                store_k(op::kDw, 0, 0, 1), mov_k(0, 0), exit_insn()}));
    bad(t, "a slice of a sample without a check",
        drain(kUserRing, go_on,
              {mov_k(2, 0), mov_k(3, 8), call(kDynptrData), store_k(op::kDw, 0, 0, 1), mov_k(0, 0),
               exit_insn()}),
        "R0 invalid mem access 'mem_or_null'");
    good(t, "the callback's context is the caller's frame",
         drain(kUserRing, go_on, {store_k(op::kDw, 2, 0, 5), mov_k(0, 0), exit_insn()}));
    bad(t, "callback of samples returns 2", drain(kUserRing, go_on, {mov_k(0, 2), exit_insn()}),
        "R0 has smin=2 smax=2 should have been in [0, 1]");
    bad(t, "a sample's dynptr is written",
        drain(kUserRing, go_on, {store_k(op::kDw, 1, 0, 0), mov_k(0, 0), exit_insn()}),
        "R1 invalid mem access 'dynptr_ptr'");
    bad(t, "a sample's dynptr is given back",
        drain(kUserRing, go_on, {mov_k(2, 0), call(kDiscardDynptr), mov_k(0, 0), exit_insn()}),
        "cannot release unowned const bpf_dynptr");
    bad(t, "third argument of a callback of samples",
        drain(kUserRing, go_on, {mov(0, 3), mov_k(0, 0), exit_insn()}), "R3 !read_ok");
    bad(t, "a sample's dynptr outlives its callback",
        drain(kUserRing,
              {load(op::kDw, 1, 10, -16), jump_k(op::kJeq, 1, 0, 3), mov_k(2, 0), mov_k(3, 8),
               call(kDynptrData), mov_k(0, 2), exit_insn()},
              {store(op::kDw, 2, 0, 1), mov_k(0, 0), exit_insn()}),
        "R1 type=scalar expected=fp");
    bad(t, "a map of another type is drained", drain(kArrayMap, go_on, {mov_k(0, 0), exit_insn()}),
        "cannot pass map_type 2 into func bpf_user_ringbuf_drain#209");
}

}  // namespace crema::test
