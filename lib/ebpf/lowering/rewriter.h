// SPDX-License-Identifier: BSD-3-Clause
//
// The state that all rewrite rules share while a program is lowered: where they emit to, which
// registers they may use, which frame slots are ours. One file per family of rules implements the
// member functions: alu.cpp, jump.cpp, memory.cpp, call.cpp. All instructions were admitted by
// check.cpp before.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lib/ebpf/lowering/assembler.h"
#include "lib/ebpf/lowering/flow.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/lowering/plan.h"

namespace crema::ebpf::maps {
class ProgArray;
}

namespace crema::ebpf::lowering {

/// A C call that stands for one instruction (intrinsics.h).
struct Intrinsic {
    helpers::Native native = nullptr;
    std::vector<Reg> arguments{};            // become r1, r2, r3
    std::optional<std::int32_t> constant{};  // becomes r2
    std::int32_t offset = 0;                 // is added to r1
    std::int32_t result_slot = 0;            // frame slot that gets r0, too
    int result = -1;                         // register that gets r0; -1: nobody wants it
};

/// One function of a program, with what the passes before found out.
struct RewriterInput {
    const Program& program;
    const verifier::Proof& proof;
    const Flow& flow;
    const Plan& plan;
    const std::vector<std::int32_t>& place;  // of each function in Lowered::functions, or -1
    Function range;
    std::uint32_t function;
};

class Rewriter {
  public:
    explicit Rewriter(const RewriterInput& input);

    [[nodiscard]] Result<LoweredFunction> run();

  private:
    using Label = Assembler::Label;

    void rewrite(std::size_t at);

    // alu.cpp
    void rewrite_alu(const Insn& insn);
    void divide(const Insn& insn);
    void divide_by_itself(const Insn& insn, bool is64);
    void arithmetic_shift32(const Insn& insn);
    void move_sign_extended(const Insn& insn);
    void sign_extend(Reg reg, std::uint32_t bits);
    void swap_bytes(const Insn& insn);

    // jump.cpp
    void rewrite_jump(const Insn& insn, std::size_t at);
    void conditional_jump(const Insn& insn, Label target);
    void may_goto(Label target);
    void jump_set_constant(const Insn& insn, bool is32, Label target);
    void jump32_constant(const Insn& insn, Label target);
    void jump32_register(const Insn& insn, Label target);
    [[nodiscard]] Reg zero_extended(Reg reg, bool upper_is_zero);
    [[nodiscard]] Reg shifted_up(Reg reg);

    // atomic.cpp
    void rewrite_atomic(const Insn& insn);
    void divide_signed(const Insn& insn);
    void load_arguments(const std::vector<Reg>& from);
    void call_intrinsic(const Intrinsic& call);

    // memory.cpp
    void store_register(std::uint8_t size, Reg base, std::int32_t off, Reg src);
    void load_function_address(Reg dst, std::int32_t function);
    void rewrite_constant(const Insn& insn, std::size_t at);
    void rewrite_load(const Insn& insn);
    void rewrite_store(const Insn& insn);

    // call.cpp
    void rewrite_call(const Insn& insn, std::size_t at);
    void call_native(helpers::Native native, bool wants_context);
    void lookup_constant_key(const maps::Map& map, bool percpu, std::uint32_t key);
    void lookup_by_registers(const KeyLoad& key);
    void lookup_inline(const maps::Map& map, bool percpu);
    void load_cpu_offset(Reg dst, const maps::Map& map);
    void scale(Reg reg, std::uint32_t factor);
    void tail_call(std::optional<std::uint32_t> key);
    void load_tail_target(const maps::ProgArray& map,
                          std::optional<std::uint32_t> key,
                          Label failed);
    void call_function(std::int32_t function);
    std::uint32_t native_index(helpers::Native native);
    void call_index(std::uint32_t native);
    void load_context(Reg dst);

    // Start of the function (rewriter.cpp).
    void prologue();
    void share_context();
    void fetch_context(Native from);
    [[nodiscard]] std::uint32_t stack_bytes() const;

    [[nodiscard]] const FunctionPlan& own_plan() const { return plan_.functions[function_]; }

    [[nodiscard]] Label label_at(std::size_t slot) const { return label_of_[slot - range_.first]; }

    // Temporaries (rewriter.cpp). A register that nobody needs after this instruction, or one whose
    // content is parked in a frame slot until finish_temporaries() or the jump's two ends.
    [[nodiscard]] Reg temporary();
    void finish_temporaries();
    /// Emits `insn` as a jump to `target`; parked registers are restored on both ways.
    void jump_to(const Insn& insn, Label target);

    [[nodiscard]] bool is_dead_after(Reg reg) const { return (live_out_ & reg_bit(reg)) == 0; }

    [[nodiscard]] std::int32_t context_slot() const;
    [[nodiscard]] std::int32_t counter_slot() const;
    [[nodiscard]] std::int32_t own_slots() const;
    [[nodiscard]] std::int32_t parking_slot(std::size_t n) const;
    [[nodiscard]] std::uint32_t frame_bytes(const std::vector<Insn>& insns) const;
    void add_dead_call(LoweredFunction& lowered) const;

    const Program& program_;
    const verifier::Proof& proof_;
    const Flow& flow_;
    const Plan& plan_;
    const std::vector<std::int32_t>& place_;
    const Function range_;
    const std::uint32_t function_;
    Assembler out_;
    std::vector<Label> label_of_;  // by slot of the function
    std::vector<helpers::Native> natives_;
    std::vector<Callee> callees_;
    std::size_t parking_slots_ = 0;  // most that one instruction needed

    // The instruction being rewritten.
    const verifier::InsnFacts* facts_ = nullptr;
    RegSet live_out_ = 0;
    RegSet busy_ = 0;  // its operands, and temporaries handed out
    std::vector<Reg> parked_;
};

}  // namespace crema::ebpf::lowering
