// SPDX-License-Identifier: BSD-3-Clause
//
// A plain interpreter of the served instruction set, one instruction at a time, with every memory
// access checked against the objects that a program may touch. Slow and obvious: it is what the
// verifier's claims are checked against. Semantics as measured on the kernel (division by zero
// gives zero, shift amounts are masked, 32-bit results zero-extend).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lib/ebpf/program/program.h"

namespace crema::test {

struct Machine64 {
    std::array<std::uint64_t, 11> regs{};
    alignas(8) std::array<std::uint8_t, 512> stack{};
    std::vector<std::uint8_t> packet;
    std::uint32_t ingress_ifindex = 1;
    std::uint32_t rx_queue_index = 0;

    [[nodiscard]] std::uint64_t data() const {
        return reinterpret_cast<std::uintptr_t>(packet.data());
    }

    [[nodiscard]] std::uint64_t data_end() const { return data() + packet.size(); }

    [[nodiscard]] std::uint64_t frame_top() const {
        return reinterpret_cast<std::uintptr_t>(stack.data() + stack.size());
    }
};

struct Run {
    std::string fault;  // empty: ended with EXIT
    std::uint64_t r0 = 0;
    std::uint64_t insns = 0;
};

/// Called before each instruction.
using Watch = std::function<void(std::uint32_t insn, const Machine64& machine)>;

/// Runs `program`; maps must have a layout (array types). `insns_max` ends a run with a fault.
/// Helpers: map_lookup_elem on array types, redirect; others are a fault.
[[nodiscard]] Run interpret(const ebpf::Program& program,
                            Machine64& machine,
                            const Watch& watch,
                            std::uint64_t insns_max = 2'000'000);

/// The number an ALU instruction leaves in dst.
[[nodiscard]] std::uint64_t alu_result(const ebpf::Insn& insn,
                                       std::uint64_t dst,
                                       std::uint64_t src);

/// Whether a conditional jump is taken.
[[nodiscard]] bool jump_taken(const ebpf::Insn& insn, std::uint64_t dst, std::uint64_t src);

}  // namespace crema::test
