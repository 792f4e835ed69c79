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
//                             -128)
//   stubs                     each ends with a jump backward
//
// A jump reaches 32767 instructions. Where that is too short, islands lie between the instructions,
// jumped over by the code around them: the same dead code and stubs, and jumps on to the next
// island.
#pragma once

#include <cstdint>
#include <map>
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
    /// LD_IMM64 for AddressOf `function`.
    void load_address_of(Reg dst, std::uint32_t function);
    void jump(const Insn& insn, Label target);

    void exit() { jump(jump_always(), exit_); }

    /// A piece of code off the way that runs `body` (no jumps) and goes on at `target`. One jump
    /// leads to it.
    [[nodiscard]] Label stub(std::vector<Insn> body, Label target);

    /// The program, ready for the JIT. E2BIG: so many far jumps cross one place that no island
    /// holds them.
    /// needs_frame: the program calls, so the stack must be aligned (Layout::aligning_insn).
    [[nodiscard]] Result<std::vector<Insn>> finish(bool needs_frame);

    /// After finish(): where each of its instruction slots comes from.
    [[nodiscard]] std::vector<std::uint32_t> take_origins() { return std::move(origins_); }

    /// After finish(): where they ended up.
    [[nodiscard]] std::vector<AddressOf> take_addresses() { return std::move(addresses_); }

  private:
    static constexpr Label kNoLabel = UINT32_MAX;
    static constexpr std::uint32_t kNotBound = UINT32_MAX;

    struct Item {
        Insn insn{};
        Label target = kNoLabel;              // jumps
        std::int32_t high = 0;                // LD_IMM64: upper half
        std::uint32_t function = UINT32_MAX;  // LD_IMM64: its address
        std::uint32_t origin = kNoOrigin;
        bool removed = false;
    };

    struct Stub {
        std::vector<Insn> body;
        Label target;
        std::uint32_t origin;
    };

    /// How far islands lie apart and how many slots each may take. apart 0: only the one behind
    /// the exit.
    struct Spacing {
        std::uint32_t apart;
        std::uint32_t room;
    };

    class Layout;

    void remove_jumps_to_next();
    [[nodiscard]] Result<std::vector<Insn>> encode(const std::vector<Item>& items,
                                                   const std::vector<std::uint32_t>& bound);

    std::vector<Item> items_;
    std::vector<std::uint32_t> bound_{kNotBound};  // item index by label; label 0 is the exit
    std::map<Label, Stub> stubs_;                  // by the label that leads to it
    std::vector<AddressOf> addresses_;
    std::vector<std::uint32_t> origins_;
    std::uint32_t origin_ = kNoOrigin;
    Label exit_ = 0;
};

}  // namespace crema::ebpf::lowering
