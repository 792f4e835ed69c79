// SPDX-License-Identifier: BSD-3-Clause
//
// Depth-first walk over all paths: run one path to its end, then take up the youngest branch left
// pending. States are kept at jumps and their targets; a path ends early where a kept, complete
// state covers it. Loops are walked as often as they run. How often to keep a state is the
// kernel's rule of thumb: every two jumps and eight instructions, less often inside a loop.
#include <algorithm>
#include <cerrno>

#include "lib/ebpf/program/disassemble.h"
#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

constexpr std::uint64_t kJumpsBetween = 2, kInsnsBetween = 8;
/// Of all states together. Programs of the size the limits allow stay below a tenth of it; one
/// built to fill memory is stopped.
constexpr std::size_t kStateBytesMax = std::size_t{512} << 20;
constexpr std::uint64_t kLoopJumpsBetween = 20, kLoopInsnsBetween = 100;
/// In code without jumps: precision marks go back to the last checkpoint that has them.
constexpr std::uint64_t kInsnsBetweenWaypoints = 256;

}  // namespace

const SourceLine* source_line(const Program& program, std::uint32_t insn) {
    const auto after =
        std::upper_bound(program.lines.begin(), program.lines.end(), insn,
                         [](std::uint32_t at, const SourceLine& line) { return at < line.insn; });
    return after == program.lines.begin() ? nullptr : &*(after - 1);
}

Machine::Machine(const Program& program, const Options& options, std::string* log)
    : program_(program), options_(options), log_(log) {}

Error Machine::located(int code, std::uint32_t insn, const std::string& reason) const {
    std::string where;
    if (const SourceLine* line = source_line(program_, insn)) {
        where = fmt::format("{}:{}", line->file, line->line);
    } else if (insn < program_.insns.size()) {
        const std::int32_t upper =
            insn + 1 < program_.insns.size() ? program_.insns[insn + 1].imm : 0;
        where = disassemble(program_.insns[insn], upper, helpers::name_of, kfuncs::name_of);
    }
    return Error{code, fmt::format("program {}: instruction {} ({}): {}", program_.name, insn,
                                   where, reason)};
}

void Machine::find_prune_points() {
    prune_point_.assign(program_.insns.size(), false);
    turn_.assign(program_.insns.size(), Turn::none);
    for (std::uint32_t i = 0; i < program_.insns.size(); ++i) {
        const Successors next = successors(program_.insns[i], i);
        if (next.count == 2) {
            prune_point_[i] = true;
            prune_point_[static_cast<std::size_t>(next.target[1])] = true;
        } else if (next.count == 1 && next.target[0] != std::int64_t{i} + 1) {
            prune_point_[static_cast<std::size_t>(next.target[0])] = true;
        }
        const Insn& insn = program_.insns[i];
        if (is_call(insn)) {
            prune_point_[i + 1] = true;
            const auto* helper = insn.src == op::kHelperCall
                                     ? helpers::find(static_cast<std::uint32_t>(insn.imm))
                                     : nullptr;
            const bool calls_back =
                helper != nullptr && helper->callback != helpers::CallbackRule::none;
            if (calls_back && helper->callback != helpers::CallbackRule::timer) {
                turn_[i] = Turn::callback;
            }
            const auto* kfunc = insn.src == op::kPseudoKfunc ? kfuncs::find(insn.imm) : nullptr;
            const bool asks_next = kfunc != nullptr && kfunc->role == kfuncs::Role::iterator_next;
            if (asks_next) {
                turn_[i] = Turn::iterator;
            }
            prune_point_[i] =
                prune_point_[i] || calls_back || asks_next || insn.src == op::kPseudoCall;
        } else if (insn.code == op::kMayGoto) {
            turn_[i] = Turn::may_goto;
        }
        if (program_.insns[i].code == op::kLdImm64) {
            ++i;
        }
    }
    for (const Function& function : functions_) {
        prune_point_[function.first] = true;
    }
}

Result<Proof> Machine::run() {
    const std::size_t size = program_.insns.size();
    Status done;
    auto refusal = check_kfuncs();
    if (!refusal) {
        refusal = check_structure(program_);
    }
    if (refusal) {
        done = tl::unexpected<Error>(located(refusal->code, refusal->insn, refusal->reason));
    } else {
        functions_ = program_.functions;
        if (functions_.empty()) {
            (void)find_functions(program_.insns, functions_);  // check_structure() has done so, too
        }
        proof_.insns.resize(size);
        proof_.functions.resize(functions_.size());
        called_.resize(functions_.size());
        deepest_.resize(functions_.size());
        taken_seen_.resize(size);
        fallen_seen_.resize(size);
        kept_.resize(size);
        live_ = live_registers(program_);
        find_prune_points();
        find_effects();
        log_functions();
        done = check_direct_values();
        if (done) {
            done = judge();
        }
    }
    if (!done) {
        log_end(&done.error());
        return tl::unexpected<Error>(done.error());
    }
    Proof proof = finish();
    log_end(nullptr);
    return proof;
}

Status Machine::judge() {
    const auto refused = [&](const std::optional<Refusal>& refusal) -> Status {
        if (!refusal) {
            return {};
        }
        return tl::unexpected<Error>(located(refusal->code, refusal->insn, refusal->reason));
    };
    if (auto ok = refused(check_functions()); !ok) {
        return ok;
    }
    if (auto ok = walk_roots(); !ok) {
        return ok;
    }
    for (std::uint32_t n = 0; n < functions_.size(); ++n) {
        FunctionFacts& facts = proof_.functions[n];
        facts.stack_bytes = static_cast<std::uint32_t>((deepest_[n] + 7) / 8 * 8);
        facts.reachable = proof_.insns[functions_[n].first].reachable;
        note_prototype(n);
    }
    proof_.stack_bytes = proof_.functions[0].stack_bytes;
    if (auto ok = refused(check_stack_depth(program_, functions_, proof_)); !ok) {
        return ok;
    }
    return refused(check_missing_kfuncs());
}

Proof Machine::finish() {
    for (std::uint32_t i = 0; i < program_.insns.size(); ++i) {
        InsnFacts& facts = proof_.insns[i];
        if (is_conditional_jump(program_.insns[i]) && facts.reachable) {
            facts.branch = taken_seen_[i] && fallen_seen_[i] ? Branch::both
                           : taken_seen_[i]                  ? Branch::always_taken
                                                             : Branch::never_taken;
        }
        if (program_.insns[i].code == op::kLdImm64) {
            proof_.insns[i + 1].reachable = facts.reachable;
            ++i;
        }
    }
    find_zero_upper_halves(program_, functions_, proof_);
    return std::move(proof_);
}

Status Machine::explore(const Root& root) {
    start(root);
    for (;;) {
        Status done;
        bool pruned = false;
        if (observer_) {
            observer_(insn_, cur_);
        }
        if (++proof_.processed_insns > options_.insns_max) {
            done =
                fail(E2BIG, "BPF program is too large. Processed {} insn", proof_.processed_insns);
        } else if (state_bytes() > kStateBytesMax) {
            done = fail(ENOMEM, "the states of the program need more than {} MiB",
                        kStateBytesMax >> 20);
        } else {
            done = visit(pruned);
        }
        if (done && pruned && logging()) {
            log_pruned();
        }
        if (done && !pruned) {
            done = step();
        }
        if (!done) {
            return tl::unexpected<Error>(located(done.error().code, insn_, done.error().message));
        }
        if (pruned || path_ended_) {
            if (!next_path()) {
                if (logging() && (options_.log_level & 2) == 0) {
                    log_rewind(0);
                }
                return {};
            }
        } else {
            insn_ = next_;
        }
    }
}

bool Machine::next_path() {
    end_path();
    if (pending_.empty()) {
        return false;
    }
    Pending& top = pending_.back();
    cur_ = std::move(top.state);
    insn_ = top.insn;
    from_ = top.from;
    if (logging() && (options_.log_level & 2) == 0) {
        log_rewind(top.log_length);
    }
    pending_.pop_back();
    path_starts_ = true;
    path_ended_ = false;
    return true;
}

/// The current path is over: ancestors whose last path this was are complete now.
void Machine::end_path() {
    for (std::int32_t at = cur_.parent; at >= 0;) {
        Checkpoint& checkpoint = *checkpoints_[static_cast<std::size_t>(at)];
        if (--checkpoint.branches != 0) {
            return;
        }
        const std::int32_t parent = checkpoint.state.parent;
        settle_loop(at);
        if (!checkpoint.listed && checkpoint.open_until < 0) {
            forget(at);
        }
        at = parent;
    }
}

/// Nobody compares with it or passes through it any more.
void Machine::forget(std::int32_t checkpoint) {
    checkpoints_[static_cast<std::size_t>(checkpoint)].reset();
    --states_now_;
}

std::size_t Machine::state_bytes() const {
    return t_shared_bytes + states_now_ * sizeof(Checkpoint) + pending_.size() * sizeof(Pending) +
           steps_.size() * sizeof(Step) + linked_.size() * sizeof(LinkedRegs);
}

Status Machine::fork(State other, std::uint32_t insn) {
    if (pending_.size() >= options_.pending_branches_max) {
        return fail(EFAULT, "The sequence of {} jumps is too complex.", pending_.size() + 1);
    }
    if (other.parent >= 0) {
        ++checkpoints_[static_cast<std::size_t>(other.parent)]->branches;
    }
    pending_.push_back(
        {std::move(other), insn, insn_, logging() ? log_dropped_ + log_->size() : 0});
    return {};
}

/// listed: later paths are compared with it; else it only remembers marks.
void Machine::keep_checkpoint(bool listed) {
    auto checkpoint = std::make_unique<Checkpoint>();
    checkpoint->insn = insn_;
    checkpoint->state = cur_;
    checkpoint->listed = listed;
    cur_.slots_set.fill(0);
    cur_.parent = static_cast<std::int32_t>(checkpoints_.size());
    checkpoints_.push_back(std::move(checkpoint));
    insns_at_waypoint_ = proof_.processed_insns;
    ++states_total_;
    states_peak_ = std::max(states_peak_, ++states_now_);
    if (listed) {
        kept_[insn_].push_back(cur_.parent);
        jumps_at_checkpoint_ = jumps_;
        insns_at_checkpoint_ = proof_.processed_insns;
        states_per_insn_max_ = std::max(states_per_insn_max_, kept_[insn_].size());
    }
}

/// The current path ends in `old`: what mattered there matters on this path, too.
void Machine::propagate(const Checkpoint& old, const Trail& trail) {
    Traced traced;
    for (std::uint32_t n = 0; n <= old.state.depth(); ++n) {
        traced[n] = old.precise[n];
        mark_slots_read(trail, n, old.slots_read[n]);
    }
    mark_precise(trail, traced);
}

/// What is read later in the frame being run, and in its callers once they go on.
LiveRegs Machine::live_in(const State& state) const {
    constexpr std::uint16_t kPreserved = 0x3c0;
    LiveRegs live{};
    live[state.depth()] = live_[insn_];
    for (std::uint32_t n = 0; n < state.depth(); ++n) {
        const Frame& callee = state.frame_at(n + 1);
        live[n] =
            callee.is_callback ? live_[callee.call_site] : live_[callee.call_site + 1] & kPreserved;
    }
    return live;
}

/// The current path brings nothing that `old` did not have. `loops`: nor will it ever, but some of
/// what it has may still turn out to matter.
bool Machine::ends_here(std::int32_t old, const LiveRegs& live, bool& loops) const {
    const Checkpoint& checkpoint = *checkpoints_[static_cast<std::size_t>(old)];
    const bool walked = checkpoint.branches > 0;
    const Turn turn = turn_[insn_];
    if (walked &&
        (turn == Turn::none ||
         (turn == Turn::may_goto && checkpoint.state.may_goto_turns == cur_.may_goto_turns))) {
        return false;
    }
    if (walked && turn == Turn::iterator && !gives_more(cur_)) {
        return false;
    }
    loops = walked || open_until(old) >= 0;
    return covers(checkpoint, cur_, live, loops);
}

/// The current path came back to a state that it was in, and no loop that ends took a turn.
bool Machine::goes_nowhere(const State& old, const LiveRegs& live) const {
    const Turn turn = turn_[insn_];
    return turn != Turn::callback && turn != Turn::iterator &&
           old.may_goto_turns == cur_.may_goto_turns && old.callback_depth == cur_.callback_depth &&
           same_state(old, cur_, live) && !iterator_turns_differ(old, cur_);
}

/// A state that failed to cover others more often than it is worth is looked at no more.
bool Machine::wears_out(const Checkpoint& old, bool forced) {
    const std::uint32_t patience = forced && old.branches > 0 ? 64 : 3;
    return old.misses > old.hits * patience + patience;
}

/// A state that left the list goes for good when no path leads back to it.
void Machine::retire(std::int32_t at) {
    Checkpoint& old = *checkpoints_[static_cast<std::size_t>(at)];
    old.listed = false;
    if (old.branches == 0 && old.open_until < 0) {
        forget(at);
    }
}

Status Machine::visit(bool& pruned) {
    if (!prune_point_[insn_]) {
        if (proof_.processed_insns - insns_at_waypoint_ >= kInsnsBetweenWaypoints) {
            keep_checkpoint(false);
        }
        return {};
    }
    const std::uint64_t jumps = jumps_ - jumps_at_checkpoint_;
    const std::uint64_t insns = proof_.processed_insns - insns_at_checkpoint_;
    const bool forced = turn_[insn_] != Turn::none || program_.test_state_freq;
    bool keep = forced || (jumps >= kJumpsBetween && insns >= kInsnsBetween);
    const LiveRegs live = live_in(cur_);
    std::vector<std::int32_t>& kept = kept_[insn_];
    for (std::size_t n = 0; n < kept.size();) {
        const std::int32_t at = kept[n];
        Checkpoint& old = *checkpoints_[static_cast<std::size_t>(at)];
        bool loops = false;
        if (prune_ && ends_here(at, live, loops)) {
            ++old.hits;
            propagate(old, cur_);
            if (loops) {
                close_loop(at);
            }
            pruned = true;
            return {};
        }
        if (old.branches > 0) {
            if (goes_nowhere(old.state, live)) {
                log_loop(old);
                return fail(EINVAL, "infinite loop detected at insn {}", insn_);
            }
            if (!forced && jumps < kLoopJumpsBetween && insns < kLoopInsnsBetween) {
                keep = false;
            }
        }
        if (keep) {
            ++old.misses;
        }
        if (wears_out(old, forced)) {
            kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(n));
            retire(at);
            continue;
        }
        ++n;
    }
    if (keep) {
        keep_checkpoint(true);
    }
    return {};
}

void Machine::record_step(Flow flow, std::uint32_t linked) {
    steps_.push_back({.before = cur_.last_step,
                      .insn = insn_,
                      .linked = linked,
                      .slot = step_slot_,
                      .slot_frame = step_frame_,
                      .frame = static_cast<std::uint8_t>(cur_.depth()),
                      .flow = flow});
    cur_.last_step = static_cast<std::uint32_t>(steps_.size() - 1);
    step_recorded_ = true;
}

Status Machine::check_uses(const Insn& insn) const {
    if (is_call(insn) || (is_exit(insn) && cur_.depth() > 0)) {
        return {};  // judged there
    }
    const Uses uses = register_uses(insn);
    for (const unsigned reg : {unsigned{insn.src}, unsigned{insn.dst}, 0U}) {
        if ((uses.reads & (1U << reg)) != 0 && cur_.regs[reg].type == RegType::not_init) {
            return fail(EACCES, "R{} !read_ok", reg);
        }
    }
    if ((uses.writes & (1U << kFramePointer)) != 0) {
        return fail(EACCES, "frame pointer is read only");
    }
    return {};
}

Status Machine::step() {
    const Insn& insn = program_.insns[insn_];
    proof_.insns[insn_].reachable = true;
    next_ = insn_ + (insn.code == op::kLdImm64 ? 2 : 1);
    step_slot_ = -1;
    step_recorded_ = false;
    if (logging()) {
        log_path_start();
        log_insn();
    }
    path_starts_ = false;
    if (const auto refusal = check_reserved_fields(insn, insn_)) {
        return fail(refusal->code, "{}", refusal->reason);
    }
    if (const char* form = unserved_form(insn)) {
        return fail(ENOTSUP, "{} is not served yet: {}", form, disassemble(insn));
    }
    if (auto ok = check_uses(insn); !ok) {
        return ok;
    }
    if (auto ok = execute(insn); !ok) {
        return ok;
    }
    if (!step_recorded_) {
        record_step();
    }
    if (logging()) {
        log_result(insn);
    }
    return {};
}

Status Machine::execute(const Insn& insn) {
    switch (op::insn_class(insn.code)) {
        case op::kAlu:
        case op::kAlu64:
            return do_alu(insn);
        case op::kLdx:
            return do_load(insn);
        case op::kSt:
            return do_store(insn);
        case op::kStx:
            return op::mode(insn.code) == op::kAtomic ? do_atomic(insn) : do_store(insn);
        case op::kLd:
            if (insn.code == op::kLdImm64) {
                return do_ld_imm64(insn);
            }
            return fail(EINVAL, "BPF_LD_[ABS|IND] instructions not allowed for this program type");
        default:
            return execute_jump(insn);
    }
}

Status Machine::execute_jump(const Insn& insn) {
    ++jumps_;
    switch (op::operation(insn.code)) {
        case op::kJcond:
            return do_may_goto(insn);
        case op::kCall:
            return do_call(insn);
        case op::kExit:
            return do_exit();
        case op::kJa:
            next_ = static_cast<std::uint32_t>(std::int64_t{insn_} + 1 + jump_offset(insn));
            return {};
        default:
            return do_branch(insn);
    }
}

}  // namespace crema::ebpf::verifier
