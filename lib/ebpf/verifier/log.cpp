// SPDX-License-Identifier: BSD-3-Clause
//
// The verifier's log in the kernel's manner. Level 1 keeps the path being walked and forgets it
// when it ends well, so that after a refusal the failing path stands there; level 2 keeps all;
// level 4 writes only the statistics.
#include <algorithm>

#include "lib/ebpf/program/disassemble.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

/// A longer log loses its beginning, as the kernel's rolling log does.
constexpr std::size_t kLogBytesMax = std::size_t{16} << 20;

/// Reasons that take the kernel several lines have them joined by "; ". Sets of numbers in
/// parentheses have that, too.
std::string as_lines(const std::string& reason) {
    std::string text;
    int depth = 0;
    for (std::size_t i = 0; i < reason.size(); ++i) {
        depth += reason[i] == '(' ? 1 : reason[i] == ')' ? -1 : 0;
        if (depth == 0 && reason.compare(i, 2, "; ") == 0) {
            text += '\n';
            ++i;
        } else {
            text += reason[i];
        }
    }
    text += '\n';
    return text;
}

}  // namespace

void Machine::log_text(const std::string& text) {
    if (log_->size() + text.size() > kLogBytesMax) {
        const std::size_t half = log_->size() / 2;
        log_->erase(0, half);
        log_dropped_ += half;
    }
    log_->append(text);
}

/// Back to where the log stood when a branch was left pending.
void Machine::log_rewind(std::size_t length) {
    log_->resize(length > log_dropped_ ? length - log_dropped_ : 0);
    log_dropped_ = std::min(log_dropped_, length);
}

void Machine::log_path_start() {
    touched_slots_ = 0;
    if (!path_starts_) {
        log_text(log_result_);
        log_result_.clear();
        return;
    }
    if (!log_result_.empty() && !log_->empty() && log_->back() != '\n') {
        log_text((options_.log_level & 2) != 0 ? "\n" : "");
    }
    log_result_.clear();
    const std::string state = describe_state(cur_, program_);
    const bool all_paths = (options_.log_level & 2) != 0;
    if (all_paths && from_ != insn_) {
        log_text(fmt::format("\nfrom {} to {}: {}\n", from_, insn_, state));
    }
    // Behind the branch that was left pending, where all since then was forgotten: on its line.
    const bool goes_on = !log_->empty() && log_->back() != '\n';
    log_text(fmt::format("{}{}: {}\n", goes_on ? " " : "", insn_, state));
    line_logged_ = nullptr;
}

void Machine::log_insn() {
    const SourceLine* found = source_line(program_, insn_);
    if (found != nullptr && found != line_logged_) {
        log_text(fmt::format("; {} @ {}:{}\n", found->text, found->file, found->line));
        line_logged_ = found;
    }
    const Insn& insn = program_.insns[insn_];
    const std::int32_t upper =
        insn_ + 1 < program_.insns.size() ? program_.insns[insn_ + 1].imm : 0;
    const std::string printed = disassemble(insn, upper, helpers::name_of, kfuncs::name_of);
    const bool is_unknown = printed.starts_with("BUG_");  // says its code itself
    const std::string text = is_unknown ? fmt::format("{}: {}", insn_, printed)
                                        : fmt::format("{}: ({:02x}) {}", insn_, insn.code, printed);
    log_text(text);
    insn_letters_ = text.size();
    insn_log_end_ = log_dropped_ + log_->size();
}

/// What the instruction read or wrote, as it is now: in a column of its own behind the instruction,
/// or on a line of its own when something else was logged since.
void Machine::log_result(const Insn& insn) {
    const bool alone = log_dropped_ + log_->size() == insn_log_end_;
    const bool is_kfunc = is_call(insn) && insn.src == op::kPseudoKfunc;
    const Uses uses = register_uses(insn);
    Marks shown{.regs = static_cast<std::uint16_t>(uses.reads | uses.writes),
                .slots = touched_slots_};
    const bool entered = is_call(insn) && insn.src == op::kPseudoCall && cur_.depth() > 0 &&
                         cur_.call_site == insn_ && next_ != insn_ + 1;
    if (path_ended_ || is_exit(insn) || entered || shown.empty()) {
        log_result_.assign(alone ? 1 : 0, '\n');
        return;
    }
    if (is_kfunc && insn.imm == 0) {
        shown = {};
    }
    const std::string text = describe_frame(cur_, cur_.depth(), program_, shown);
    const char* const gap = text.empty() ? "" : " ";
    if (!alone) {
        log_result_ = fmt::format("{}:{}{}\n", next_, gap, text);
        return;
    }
    constexpr std::size_t kColumn = 40, kStep = 8;  // states stand there, or some steps behind it
    const std::size_t letters = insn_letters_ + 1;
    const std::size_t wanted = std::max(letters + kStep / 2, kColumn);
    const std::size_t column = (wanted + kStep - 1) / kStep * kStep;
    log_result_ = fmt::format("{};{}{}\n", std::string(column - letters - 1, ' '), gap, text);
}

/// The two states that make a loop endless.
void Machine::log_loop(const Checkpoint& old) {
    if (logging()) {
        const std::uint32_t depth = old.state.depth();
        log_tail_ =
            fmt::format("cur state: {}\nold state: {}\n", describe_state(cur_, program_),
                        describe_frame(old.state, depth, program_, kAllMarks, old.precise[depth]));
    }
}

void Machine::log_pruned() {
    log_text(log_->empty() || log_->back() == '\n' ? "" : "\n");
    log_result_.clear();
    if (path_starts_) {
        log_text(fmt::format("\nfrom {} to {}: safe\n", from_, insn_));
    } else {
        log_text(fmt::format("{}: safe\n", insn_));
    }
}

void Machine::log_end(const Error* error) {
    if (log_ == nullptr || options_.log_level == 0) {
        return;
    }
    if (error != nullptr) {
        if (!log_->empty() && log_->back() != '\n') {
            log_text("\n");
        }
        // The reason alone, as the kernel prints it; the error message says where, and is one line.
        const std::size_t reason = error->message.find("): ");
        log_text(as_lines(reason == std::string::npos ? error->message
                                                      : error->message.substr(reason + 3)));
        log_text(log_tail_);
    } else if ((options_.log_level & 2) == 0) {
        log_->clear();
    }
    log_statistics();
}

/// Where the functions begin, in logs of all states.
void Machine::log_functions() {
    if (log_ == nullptr || (options_.log_level & 2) == 0) {
        return;
    }
    for (std::size_t n = 0; functions_.size() > 1 && n < functions_.size(); ++n) {
        log_text(fmt::format("func#{} @{}\n", n, functions_[n].first));
    }
}

void Machine::log_statistics() {
    if ((options_.log_level & 4) != 0) {
        const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
            std::chrono::steady_clock::now() - started_);
        std::string depths;
        for (const std::int64_t depth : deepest_) {
            depths += fmt::format("{}{}", depths.empty() ? "" : "+", (depth + 7) / 8 * 8);
        }
        log_text(fmt::format("verification time {} usec\nstack depth {}\n", took.count(), depths));
    }
    log_text(fmt::format(
        "processed {} insns (limit {}) max_states_per_insn {} total_states {} peak_states {} "
        "mark_read 0\n",
        proof_.processed_insns, options_.insns_max, states_per_insn_max_, states_total_,
        states_peak_));
}

}  // namespace crema::ebpf::verifier
