// SPDX-License-Identifier: BSD-3-Clause
//
// Loops without a bound that the walk could count: callbacks of helpers, may_goto, iterators. At
// the instruction that decides about one more turn, a path may end in a checkpoint that is still
// being walked, when it brings nothing new at all (every register and slot inside what the
// checkpoint had). So that this happens, numbers that differ from turn to turn and decided nothing
// so far become unknown before the next turn.
//
// What decided something inside such a loop is complete only when its first checkpoint is: until
// then its states are "open" and compared in full; then what was noted flows around the loop until
// nothing is added.
#include <algorithm>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

constexpr int kTurnsMax = 64;  // around a loop, for notes to settle; afterwards it stays open

bool may_widen(const Reg& old, bool precise, const Reg& now) {
    return old.is_scalar() && now.is_scalar() && !precise && !(old.s == now.s);
}

void widen(Reg& reg) {
    reg = Reg::scalar(Scalar::unknown());
}

}  // namespace

/// Makes unknown the numbers of `state`, which is about to take one more turn at `insn`, that
/// differ from those of the turn before: of the last checkpoint there among `at` and its ancestors.
void Machine::widen_since_last_turn(State& state, std::uint32_t insn, std::int32_t at) {
    while (at >= 0) {
        const Checkpoint& old = *checkpoints_[static_cast<std::size_t>(at)];
        if (old.insn == insn && same_calls(old.state, state)) {
            break;
        }
        at = old.state.parent;
    }
    if (at < 0) {
        return;
    }
    const Checkpoint& old = *checkpoints_[static_cast<std::size_t>(at)];
    for (std::uint32_t n = 0; n <= state.depth(); ++n) {
        const Frame& was = old.state.frame_at(n);
        const Marks& precise = old.precise[n];
        for (std::uint32_t i = 0; i < kRegs; ++i) {
            if (may_widen(was.regs[i], (precise.regs >> i & 1U) != 0, state.frame_at(n).regs[i])) {
                widen(state.edit_frame(n).regs[i]);
            }
        }
        const std::size_t slots = std::min(was.stack.size(), state.frame_at(n).stack.size());
        for (std::size_t i = 0; i < slots; ++i) {
            const Slot& now = state.frame_at(n).stack[i];
            if (was.stack[i].is_spill() && now.is_spill() &&
                may_widen(was.stack[i].spill(), (precise.slots >> i & 1U) != 0, now.spill())) {
                widen(state.edit_frame(n).stack.edit(i).spilled.edit());
            }
        }
    }
}

/// The checkpoint whose end completes what is noted at `at`, or -1 when that is complete.
std::int32_t Machine::open_until(std::int32_t at) const {
    const auto entry = [&](std::int32_t n) {
        return checkpoints_[static_cast<std::size_t>(n)]->open_until;
    };
    std::int32_t root = entry(at);
    if (root < 0) {
        return -1;
    }
    while (entry(root) >= 0 && entry(root) != root) {
        root = entry(root);
    }
    return checkpoints_[static_cast<std::size_t>(root)]->settled ? -1 : root;
}

/// The current path ends in `old`, which is open or still being walked.
void Machine::close_loop(std::int32_t old) {
    const bool walked = checkpoints_[static_cast<std::size_t>(old)]->branches > 0;
    const std::int32_t until = walked ? old : open_until(old);
    for (std::int32_t at = cur_.parent; at >= 0;) {
        Checkpoint& passed = *checkpoints_[static_cast<std::size_t>(at)];
        passed.open_until =
            passed.open_until < 0 || passed.settled ? until : std::min(passed.open_until, until);
        if (at <= until) {
            break;
        }
        at = passed.state.parent;
    }
    back_edges_.push_back({old, static_cast<const Trail&>(cur_)});
}

/// All paths through `entry` have ended: if it closes its loop, its notes are brought around it.
void Machine::settle_loop(std::int32_t entry) {
    if (open_until(entry) != entry) {
        return;
    }
    std::vector<BackEdge> mine;
    const auto rest =
        std::stable_partition(back_edges_.begin(), back_edges_.end(),
                              [&](const BackEdge& edge) { return open_until(edge.to) != entry; });
    std::move(rest, back_edges_.end(), std::back_inserter(mine));
    back_edges_.erase(rest, back_edges_.end());
    for (int turn = 0; turn < kTurnsMax; ++turn) {
        notes_added_ = false;
        for (const BackEdge& edge : mine) {
            propagate(*checkpoints_[static_cast<std::size_t>(edge.to)], edge.from);
        }
        if (!notes_added_) {
            checkpoints_[static_cast<std::size_t>(entry)]->settled = true;
            return;
        }
    }
}

/// One more turn is a state of its own; this path goes where the loop ends.
Status Machine::do_may_goto(const Insn& insn) {
    taken_seen_[insn_] = true;
    fallen_seen_[insn_] = true;
    record_step();
    if (logging()) {
        log_text("\n");
    }
    State again = cur_;
    ++again.may_goto_turns;
    // The checkpoint of this very turn is the parent.
    widen_since_last_turn(
        again, insn_,
        again.parent < 0 ? -1 : checkpoints_[static_cast<std::size_t>(again.parent)]->state.parent);
    next_ = static_cast<std::uint32_t>(std::int64_t{insn_} + 1 + insn.off);
    return fork(std::move(again), insn_ + 1);
}

}  // namespace crema::ebpf::verifier
