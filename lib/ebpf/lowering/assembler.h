// SPDX-License-Identifier: BSD-3-Clause
//
// Collects lowered instructions with symbolic jump targets and lays them out so that DPDK's x86
// JIT sizes every jump right. Layout, and why (each rule stands for a JIT defect that
// tests/unit/lowering/jit_defects_test.cpp shows):
//
//   ja over 28 dead jumps     they shrink in the JIT's second pass, so its estimates of later
//                             distances never fall below the truth (else: wrong jump targets)
//   instructions              only forward jumps
//   exit                      the only one: a second would be a backward jump to the epilogue
//   130 bytes of dead code    jumps backward are never in the range where the JIT wraps (-127,
//   -128) stubs                     each ends with a jump backward
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/lowering/emit.h"
#include "lib/ebpf/lowering/lower.h"

namespace crema::ebpf::lowering {

class Assembler {
  public:
    using Label = std::uint32_t;

    /// Where what is emitted from here on comes from: a slot of the program, or kNoOrigin.
    void set_origin(std::uint32_t slot) { origin_ = slot; }

    [[nodiscard]] Label new_label();
    /// The label means the next instruction emitted.
    void bind(Label label);

    /// Any instruction but a jump or LD_IMM64.
    void emit(const Insn& insn);
    void load_constant(Reg dst, std::uint64_t value);
    void jump(const Insn& insn, Label target);

    void exit() { jump(jump_always(), exit_); }

    /// A piece of code behind the exit that runs `body` (no jumps) and goes on at `target`.
    [[nodiscard]] Label stub(std::vector<Insn> body, Label target);

    /// The program, ready for the JIT. E2BIG: a jump is longer than its 16-bit field.
    /// needs_frame: the program calls; the JIT makes a frame only where r10 occurs.
    [[nodiscard]] Result<std::vector<Insn>> finish(bool needs_frame);

    /// After finish(): where each of its instruction slots comes from.
    [[nodiscard]] std::vector<std::uint32_t> take_origins() { return std::move(origins_); }

  private:
    static constexpr Label kNoLabel = UINT32_MAX;

    struct Item {
        Insn insn{};
        Label target = kNoLabel;  // jumps
        std::int32_t high = 0;    // LD_IMM64: upper half
        std::uint32_t origin = kNoOrigin;
        bool removed = false;
    };

    struct Stub {
        Label entry;
        std::vector<Insn> body;
        Label target;
        std::uint32_t origin;
    };

    [[nodiscard]] bool needs_jump_padding() const;
    void prepend(bool jump_padding, bool needs_frame);
    void remove_jumps_to_next();
    void route_backward_jumps();
    void append_stubs();
    [[nodiscard]] std::vector<std::uint32_t> slots() const;
    [[nodiscard]] Label backward_stub(Label target);

    std::vector<Item> items_;
    std::vector<std::uint32_t> bound_{UINT32_MAX};  // item index by label; label 0 is the exit
    std::vector<Stub> stubs_;
    std::vector<std::uint32_t> origins_;
    std::uint32_t origin_ = kNoOrigin;
    Label exit_ = 0;
};

}  // namespace crema::ebpf::lowering
