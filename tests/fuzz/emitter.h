// SPDX-License-Identifier: BSD-3-Clause
//
// Code of one function under construction: instructions with symbolic jump targets, and functions
// joined to a program. Knows encodings, not types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "tests/support/asm.h"

namespace crema::test::fuzz {

class Emitter {
  public:
    using Label = std::size_t;

    void add(const Code& code) {
        insns_.insert(insns_.end(), code.insns().begin(), code.insns().end());
    }

    [[nodiscard]] Label new_label() {
        bound_.push_back(0);
        return bound_.size() - 1;
    }

    /// The label means the next instruction.
    void bind(Label label) { bound_[label] = insns_.size(); }

    void jump_to(const Insn& jump, Label target) {
        jumps_.emplace_back(insns_.size(), target);
        insns_.push_back(jump);
    }

    /// A call of, or a constant that is the address of, function `callee` of the program.
    void name_function(const Code& code, std::size_t callee) {
        functions_.emplace_back(insns_.size(), callee);
        add(code);
    }

    [[nodiscard]] std::size_t size() const { return insns_.size(); }

    /// Joins functions in this order; the first is where a run starts.
    [[nodiscard]] static std::vector<Insn> link(std::vector<Emitter>& functions) {
        std::vector<std::size_t> start;
        std::size_t total = 0;
        for (Emitter& function : functions) {
            function.resolve_jumps();
            start.push_back(total);
            total += function.insns_.size();
        }
        std::vector<Insn> all;
        for (std::size_t i = 0; i < functions.size(); ++i) {
            for (const auto& [at, callee] : functions[i].functions_) {
                functions[i].insns_[at].imm = static_cast<std::int32_t>(start[callee]) -
                                              static_cast<std::int32_t>(start[i] + at + 1);
            }
            all.insert(all.end(), functions[i].insns_.begin(), functions[i].insns_.end());
        }
        return all;
    }

  private:
    void resolve_jumps() {
        for (const auto& [at, label] : jumps_) {
            const auto distance =
                static_cast<std::int32_t>(bound_[label]) - static_cast<std::int32_t>(at + 1);
            if (insns_[at].code == (op::kJmp32 | op::kJa)) {
                insns_[at].imm = distance;
            } else {
                insns_[at].off = static_cast<std::int16_t>(distance);
            }
        }
    }

    std::vector<Insn> insns_;
    std::vector<std::size_t> bound_;                              // by label
    std::vector<std::pair<std::size_t, Label>> jumps_;            // instruction, target
    std::vector<std::pair<std::size_t, std::size_t>> functions_;  // instruction, callee
};

}  // namespace crema::test::fuzz
