// SPDX-License-Identifier: BSD-3-Clause
//
// What a straight piece of code computes, byte by byte: each byte of a register or of memory is
// a constant, a byte that memory held before the piece, or a byte that a register held before it.
// Only loads of packet and stack, stores to the packet, moves, constants, and shifts and masks by
// whole bytes are followed; the first other instruction ends the piece.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "lib/ebpf/lowering/emit.h"
#include "lib/ebpf/lowering/flow.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf::lowering {

/// A place in memory: what register `root` held before the piece, plus `offset`.
struct Location {
    Reg root = 0;
    std::int32_t offset = 0;

    friend auto operator<=>(const Location&, const Location&) = default;
};

struct Byte {
    enum class Kind : std::uint8_t { constant, memory, entry };
    Kind kind = Kind::constant;
    std::uint8_t value = 0;  // constant: the byte; entry: which byte of the register
    Location from{};         // memory: where it was; entry: root is the register

    friend bool operator==(const Byte&, const Byte&) = default;
};

using Bytes = std::array<Byte, 8>;

/// What a register holds: an address that its root held before, moved by an offset, or bytes.
struct RunValue {
    bool is_address = false;
    Location address{};
    Bytes bytes{};
};

struct StoredByte {
    Byte byte;
    std::uint32_t by = 0;  // number of the instruction that stored it
};

class StraightRun {
  public:
    StraightRun();

    /// False: the piece ends in front of this instruction. second: the other half of LD_IMM64.
    [[nodiscard]] bool step(const Insn& insn,
                            std::int32_t second,
                            const verifier::InsnFacts& facts);

    [[nodiscard]] const RunValue& reg(Reg reg) const { return regs_[reg]; }

    /// Registers that an instruction of the piece wrote, and which one was the last.
    [[nodiscard]] RegSet written() const { return written_; }

    [[nodiscard]] std::uint32_t written_by(Reg reg) const { return written_by_[reg]; }

    [[nodiscard]] const std::map<Location, StoredByte>& stores() const { return stores_; }

    /// Instructions followed so far, and loads and stores among them.
    [[nodiscard]] std::uint32_t steps() const { return steps_; }

    [[nodiscard]] std::uint32_t accesses() const { return accesses_; }

  private:
    /// Packet and stack never overlap. Within one of them, addresses of different roots may.
    struct Region {
        RegSet read = 0;     // roots
        RegSet written = 0;  // roots
    };

    [[nodiscard]] bool follow(const Insn& insn,
                              std::int32_t second,
                              const verifier::InsnFacts& facts);
    [[nodiscard]] bool follow_load(const Insn& insn, const verifier::InsnFacts& facts);
    [[nodiscard]] bool follow_store(const Insn& insn, const verifier::InsnFacts& facts);
    [[nodiscard]] bool follow_alu(const Insn& insn);
    [[nodiscard]] bool follow_address(const Insn& insn);
    /// The place that an access names, when it may be followed.
    [[nodiscard]] std::optional<Location> access(Reg base,
                                                 const Insn& insn,
                                                 const verifier::InsnFacts& facts,
                                                 bool writes);
    void set(Reg reg, const Bytes& bytes);

    std::array<RunValue, 11> regs_{};
    std::array<std::uint32_t, 11> written_by_{};
    RegSet written_ = 0;
    std::map<Location, StoredByte> stores_;
    std::array<Region, 2> regions_{};
    std::uint32_t steps_ = 0;
    std::uint32_t accesses_ = 0;
};

}  // namespace crema::ebpf::lowering
