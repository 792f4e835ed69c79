// SPDX-License-Identifier: BSD-3-Clause
//
// The abstract state of a program at one instruction: registers, stack, and how the path came here
// since its last checkpoint. Plain data; the Machine moves it, prune.cpp compares it, log_state.cpp
// prints it.
//
// A pointer is its base (what `type`, `id` and `map` name) + off + the number `s`; `s` of a scalar
// is its value. Equal non-zero ids mean: the same unknown (scalars: the same number, up to a
// constant; packet pointers: the same variable part; map_value_or_null: the same lookup).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "lib/ebpf/verifier/scalar.h"

namespace crema::ebpf::verifier {

enum class RegType : std::uint8_t {
    not_init,
    scalar,
    ctx,
    map_ptr,
    map_value,
    map_value_or_null,
    stack,
    packet,
    packet_meta,
    packet_end,
};

inline constexpr std::uint32_t kRegs = 11, kFramePointer = 10;
inline constexpr std::int32_t kStackBytes = 512;
inline constexpr std::uint32_t kSlotBytes = 8, kSlots = 64;
inline constexpr std::int64_t kMaxVarOff = 1 << 29;
inline constexpr std::uint64_t kMaxPacketOff = 0xffff;
/// Reg::range of a packet pointer known to be at or past data_end.
inline constexpr std::int32_t kAtPacketEnd = -1, kBeyondPacketEnd = -2;

struct Reg {
    RegType type = RegType::not_init;
    bool precise = false;     // checkpoints: the scalar's value decided something later
    bool linked_sum = false;  // scalar: value is that of `id` + off
    std::int32_t off = 0;
    std::int32_t range = 0;  // packet, packet_meta: bytes proved from base + s, or kAtPacketEnd...
    std::uint32_t id = 0;
    std::uint32_t map = 0;  // map_ptr, map_value*: index into Program::maps
    Scalar s;

    [[nodiscard]] static Reg scalar(const Scalar& value) {
        Reg reg;
        reg.type = RegType::scalar;
        reg.s = value;
        return reg;
    }

    [[nodiscard]] static Reg pointer(RegType type) {
        Reg reg;
        reg.type = type;
        reg.s = Scalar::constant(0);
        return reg;
    }

    [[nodiscard]] bool is_scalar() const { return type == RegType::scalar; }

    [[nodiscard]] bool is_pointer() const {
        return type != RegType::scalar && type != RegType::not_init;
    }

    [[nodiscard]] bool is_zero() const { return is_scalar() && s.is_const(0); }

    [[nodiscard]] bool is_packet() const {
        return type == RegType::packet || type == RegType::packet_meta;
    }
};

/// What one byte of the stack holds.
enum class Byte : std::uint8_t { unset, misc, zero, spill };

/// Eight bytes of stack, aligned. `spill` is valid when byte 0 is Byte::spill; a narrow spill
/// covers the lower bytes only and keeps the whole register (a fill truncates).
struct Slot {
    std::array<Byte, kSlotBytes> bytes{};
    Reg spill;

    [[nodiscard]] bool is_spill() const { return bytes[0] == Byte::spill; }

    [[nodiscard]] bool is_scalar_spill() const { return is_spill() && spill.is_scalar(); }

    [[nodiscard]] std::uint32_t spill_bytes() const {
        std::uint32_t n = 0;
        while (n < kSlotBytes && bytes[n] == Byte::spill) {
            ++n;
        }
        return n;
    }

    /// Forgets the register, keeps that the bytes were written.
    void scrub() {
        for (Byte& b : bytes) {
            if (b == Byte::spill) {
                b = Byte::misc;
            }
        }
        spill = Reg{};
    }
};

/// Slot of the byte at frame offset `off` (-512..-1), counted down from the frame pointer.
[[nodiscard]] constexpr std::uint32_t slot_of(std::int64_t off) {
    return static_cast<std::uint32_t>((-off - 1) / kSlotBytes);
}

/// Position of that byte in its slot; 0 is the lowest address.
[[nodiscard]] constexpr std::uint32_t byte_of(std::int64_t off) {
    return static_cast<std::uint32_t>(off & (kSlotBytes - 1));
}

/// One executed instruction, as precision tracking needs it.
struct Step {
    std::uint32_t insn = 0;
    std::int8_t slot = -1;  // slot filled from or spilled to, or -1
    std::uint16_t linked_regs = 0;
    std::uint64_t linked_slots = 0;
};

struct State {
    std::array<Reg, kRegs> regs;
    std::vector<Slot> stack;      // index slot_of(); as deep as touched
    std::uint64_t slots_set = 0;  // wholly written since the parent checkpoint
    std::int32_t parent = -1;     // checkpoint this path passed last
    std::vector<Step> steps;      // since then

    /// Makes the slots down to frame offset `off` exist.
    void reach(std::int64_t off) {
        const std::uint32_t slots = slot_of(off) + 1;
        if (stack.size() < slots) {
            stack.resize(slots);
        }
    }

    /// Calls fn on every live register, spilled ones included.
    template <typename Fn>
    void each_reg(Fn fn) {
        for (Reg& reg : regs) {
            fn(reg);
        }
        for (Slot& slot : stack) {
            if (slot.is_spill()) {
                fn(slot.spill);
            }
        }
    }
};

/// A state kept at an instruction to compare later paths with. Complete (branches == 0) when every
/// path through it has ended.
struct Checkpoint {
    State state;  // steps: how the path came here from state.parent
    std::uint32_t insn = 0;
    std::uint32_t branches = 1;
    std::uint64_t slots_read = 0;  // stack slots that some continuation reads
    std::uint32_t hits = 0;
    std::uint32_t misses = 0;
    bool listed = true;  // still compared with
};

/// The kernel's names ("pkt", "map_value_or_null").
[[nodiscard]] const char* type_name(RegType type);

}  // namespace crema::ebpf::verifier
