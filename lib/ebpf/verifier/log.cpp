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
    const bool all_states = (options_.log_level & 2) != 0;
    if (!path_starts_ && !(all_states && prune_point_[insn_])) {
        return;
    }
    const std::string state = describe_state(cur_, program_);
    if (path_starts_ && insn_ != 0) {
        log_text(fmt::format("\nfrom {} to {}: {}\n", from_, insn_, state));
    } else {
        log_text(fmt::format("{}: {}\n", insn_, state));
    }
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
    log_text(fmt::format("{}: ({:02x}) {}", insn_, insn.code,
                         disassemble(insn, upper, helpers::name_of)));
}

void Machine::log_result(const Insn& insn) {
    const Uses uses = register_uses(insn);
    std::string text;
    for (std::uint32_t i = 0; i < kRegs; ++i) {
        if (((uses.reads | uses.writes) & (1U << i)) != 0 &&
            cur_.regs[i].type != RegType::not_init) {
            text += fmt::format(" R{}={}", i, describe_reg(cur_.regs[i], program_));
        }
    }
    if (step_slot_ >= 0) {
        const Slot& slot = cur_.frame_at(step_frame_).stack[static_cast<std::size_t>(step_slot_)];
        if (slot.is_spill()) {
            text += fmt::format(" fp-{}={}", (step_slot_ + 1) * 8,
                                describe_reg(slot.spill(), program_));
        }
    }
    log_text(text.empty() ? "\n" : fmt::format(" ;{}\n", text));
}

void Machine::log_end(const Error* error) {
    if (log_ == nullptr || options_.log_level == 0) {
        return;
    }
    if (error != nullptr) {
        if (!log_->empty() && log_->back() != '\n') {
            log_text("\n");
        }
        // The reason alone, as the kernel prints it; the error message says where.
        const std::size_t reason = error->message.find("): ");
        log_text(reason == std::string::npos ? error->message : error->message.substr(reason + 3));
        log_text("\n");
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
