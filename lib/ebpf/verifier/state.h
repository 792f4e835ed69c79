// SPDX-License-Identifier: BSD-3-Clause
//
// The abstract state of a program at one instruction: the frames of the functions being run, each
// with registers and stack, and how the path came here. Plain data; the Machine moves it, prune.cpp
// compares it, log_state.cpp prints it. What states have in common they share (shared.h), so a copy
// costs little until it is changed.
//
// A pointer is its base (what `type`, `id` and `map` name) + off + the number `s`; `s` of a scalar
// is its value. Equal non-zero ids mean: the same unknown (scalars: the same number, up to a
// constant; packet pointers: the same variable part; or_null: the same call; map values with a
// lock: the same element).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/kfuncs/kfuncs.h"
#include "lib/ebpf/verifier/scalar.h"
#include "lib/ebpf/verifier/shared.h"

namespace crema::ebpf::verifier {

enum class RegType : std::uint8_t {
    not_init,
    scalar,
    ctx,
    map_ptr,
    map_key,  // of the element that a callback is called for
    map_value,
    stack,
    packet,
    packet_meta,
    packet_end,
    memory,  // `size` bytes that a call gave: ring buffer record, slice of a dynptr
    sock_common,
    socket,
    xdp_sock,
    kernel_object,  // structure of the kernel, of class `object`
    function,       // address of a function of the program
    dynptr,         // what a dynptr on the stack is, or a pointer to one that a callback got
    iterator,       // what an iterator on the stack is
};

inline constexpr std::uint32_t kRegs = 11, kFramePointer = 10;
inline constexpr std::int32_t kStackBytes = 512;
inline constexpr std::uint32_t kSlotBytes = 8, kSlots = 64;
inline constexpr std::uint32_t kFramesMax = 8;
inline constexpr std::int64_t kMaxVarOff = 1 << 29;
inline constexpr std::uint64_t kMaxPacketOff = 0xffff;
/// Reg::range of a packet pointer known to be at or past data_end.
inline constexpr std::int32_t kAtPacketEnd = -1, kBeyondPacketEnd = -2;

struct Reg {
    RegType type = RegType::not_init;
    bool linked_sum = false;  // scalar: value is that of `id` + off
    bool narrow_sum = false;  // linked_sum: in 32 bits, that of `id` has no more
    bool or_null = false;     // pointer that nobody has compared with null yet
    bool read_only = false;   // memory
    bool record = false;      // memory: of a ring buffer
    bool inner = false;       // map*: not map `map` but one that lies in it
    bool first_slot = false;  // dynptr, iterator on the stack
    bool drained = false;     // iterator: it has no more elements
    std::uint8_t frame = 0;   // stack: the frame it points into
    /// Of a dynptr; memory: of the dynptr that a kernel function made it a slice of.
    helpers::DynptrKind dynptr_kind = helpers::DynptrKind::any;
    helpers::KernelObject object = helpers::KernelObject::none;
    kfuncs::Base iterator = kfuncs::Base::nothing;  // which iterator it is
    std::int32_t off = 0;
    std::int32_t range = 0;  // packet, packet_meta: bytes proved from base + s, or kAtPacketEnd...
    std::uint32_t id = 0;
    std::uint32_t map = 0;       // map_ptr, map_key, map_value: index into Program::maps
    std::uint32_t map_uid = 0;   // the same, of a map with timers in a map: which one it is
    std::uint32_t ref = 0;       // reference that it holds
    std::uint32_t size = 0;      // memory
    std::uint32_t turns = 0;     // iterator: elements it gave on this path
    std::uint32_t dynptr = 0;    // memory: id of the dynptr that it is a slice of
    std::uint32_t function = 0;  // function: index into Program::functions
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

    /// Memory that lies in the packet, or may.
    [[nodiscard]] bool is_packet_slice() const {
        return type == RegType::memory && dynptr_kind == helpers::DynptrKind::xdp;
    }

    [[nodiscard]] bool is_packet() const {
        return type == RegType::packet || type == RegType::packet_meta;
    }
};

/// What one byte of the stack holds.
enum class Byte : std::uint8_t { unset, misc, zero, spill, dynptr, iterator };

/// Part of something that programs handle by its address only.
[[nodiscard]] constexpr bool is_object(Byte byte) {
    return byte == Byte::dynptr || byte == Byte::iterator;
}

/// Eight bytes of stack, aligned. There is a spilled register when byte 0 is Byte::spill; a narrow
/// spill covers the lower bytes only and keeps the whole register (a fill truncates). An object
/// fills its slots, and has its description where spills have the register.
struct Slot {
    std::array<Byte, kSlotBytes> bytes{};
    Shared<Reg> spilled;

    [[nodiscard]] bool is_spill() const { return bytes[0] == Byte::spill; }

    /// Only when is_spill().
    [[nodiscard]] const Reg& spill() const { return *spilled; }

    [[nodiscard]] bool is_object() const { return verifier::is_object(bytes[0]); }

    /// Only when is_object().
    [[nodiscard]] const Reg& object() const { return *spilled; }

    [[nodiscard]] bool is_scalar_spill() const { return is_spill() && spill().is_scalar(); }

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
            if (b == Byte::spill || verifier::is_object(b)) {
                b = Byte::misc;
            }
        }
        spilled.reset();
    }
};

template <>
inline constexpr std::size_t kSharedBytes<std::vector<Slot>> =
    sizeof(std::vector<Slot>) + kSlots * sizeof(Slot);

/// The slots of one frame, index slot_of(); as deep as touched.
class Stack {
  public:
    [[nodiscard]] std::size_t size() const { return slots_ ? slots_->size() : 0; }

    [[nodiscard]] const Slot& operator[](std::size_t i) const { return (*slots_)[i]; }

    [[nodiscard]] Slot& edit(std::size_t i) { return slots_.edit()[i]; }

    void grow(std::size_t slots) {
        if (size() < slots) {
            slots_.edit().resize(slots);
        }
    }

    [[nodiscard]] bool same(const Stack& other) const { return slots_.same(other.slots_); }

  private:
    Shared<std::vector<Slot>> slots_;
};

/// Slot of the byte at frame offset `off` (-512..-1), counted down from the frame pointer.
[[nodiscard]] constexpr std::uint32_t slot_of(std::int64_t off) {
    return static_cast<std::uint32_t>((-off - 1) / kSlotBytes);
}

/// Position of that byte in its slot; 0 is the lowest address.
[[nodiscard]] constexpr std::uint32_t byte_of(std::int64_t off) {
    return static_cast<std::uint32_t>(off & (kSlotBytes - 1));
}

/// Registers (bits) and stack slots (bits) of one frame.
struct Marks {
    std::uint16_t regs = 0;
    std::uint64_t slots = 0;

    [[nodiscard]] bool empty() const { return regs == 0 && slots == 0; }
};

/// A register or a spilled one whose scalar was linked to another by a conditional jump.
struct LinkedReg {
    std::uint8_t frame = 0;
    bool is_slot = false;
    std::uint8_t index = 0;
};

/// More registers than this are not narrowed together with a scalar of theirs: they lose the link.
inline constexpr std::size_t kLinkedMax = 6;

struct LinkedRegs {
    std::array<LinkedReg, kLinkedMax> regs;
    std::uint8_t count = 0;

    [[nodiscard]] std::span<const LinkedReg> all() const { return {regs.data(), count}; }
};

/// How an instruction changed the frame.
enum class Flow : std::uint8_t {
    stays,
    enters,           // a function of the program, with the caller's R1..R5
    enters_callback,  // a function by way of a helper
    leaves,           // back to the caller, R0 flows back
    leaves_callback,  // back to the helper that called
};

/// One executed instruction, as precision tracking needs it. All steps of a run lie in one list;
/// `before` leads back along the path.
struct Step {
    std::uint32_t before = 0;
    std::uint32_t insn = 0;
    std::uint32_t linked = 0;  // index into the machine's sets of linked registers, or 0
    std::int8_t slot = -1;     // slot filled from or spilled to, or -1
    std::uint8_t slot_frame = 0;
    std::uint8_t frame = 0;  // where it ran
    Flow flow = Flow::stays;
};

/// What one function that is being run has.
struct Frame {
    std::array<Reg, kRegs> regs;
    Stack stack;
    std::uint32_t function = 0;
    std::uint32_t call_site = 0;      // in the caller; 0 in the outermost frame
    std::uint32_t callback_runs = 0;  // how often the callback of the call at hand came back
    bool is_callback = false;         // a helper called it; it returns into call_site itself
    bool in_callback = false;         // it, or a caller of it, is a callback
    bool is_async = false;            // runs later, on its own, not under the program
    std::int32_t returns_min = 0;     // callbacks: what R0 may be
    std::int32_t returns_max = 1;

    /// Makes the slots down to frame offset `off` exist.
    void reach(std::int64_t off) { stack.grow(slot_of(off) + 1); }

    template <typename Fn>
    void each_reg(Fn fn) const {
        for (const Reg& reg : regs) {
            fn(reg);
        }
        for (std::size_t i = 0; i < stack.size(); ++i) {
            if (stack[i].is_spill()) {
                fn(stack[i].spill());
            }
        }
    }

    template <typename Matches, typename Fn>
    void update_regs(Matches matches, Fn fn) {
        for (Reg& reg : regs) {
            if (matches(std::as_const(reg))) {
                fn(reg);
            }
        }
        for (std::size_t i = 0; i < stack.size(); ++i) {
            if (stack[i].is_spill() && matches(stack[i].spill())) {
                fn(stack.edit(i).spilled.edit());
            }
        }
    }

    template <typename Matches>
    [[nodiscard]] bool any_reg(Matches matches) const {
        bool found = false;
        each_reg([&](const Reg& reg) { found = found || matches(reg); });
        return found;
    }
};

/// Something that has to be given back.
struct Reference {
    std::uint32_t id = 0;
    std::uint32_t insn = 0;  // where it was taken
};

/// The lock of a map value that the program is in.
struct HeldLock {
    bool is_held = false;
    std::uint32_t map = 0;
    std::uint32_t id = 0;  // of the map value
};

struct Held {
    std::vector<Reference> references;
    HeldLock lock;
    bool rcu = false;               // between bpf_rcu_read_lock and unlock
    std::uint32_t preempt_off = 0;  // bpf_preempt_disable without enable

    /// False when it is not held.
    bool drop(std::uint32_t id);
};

/// How a path came where it is, since its last checkpoint.
struct Trail {
    /// Per frame: slots wholly written since then (all, for a younger frame).
    std::array<std::uint64_t, kFramesMax> slots_set{};
    std::int32_t parent = -1;     // checkpoint this path passed last
    std::uint32_t last_step = 0;  // in Machine::steps_; 0: none
};

/// A state is the frame being run and, suspended, those of its callers.
struct State : Frame, Trail {
    std::vector<Shared<Frame>> callers;  // outermost first
    Held held;
    std::uint32_t callback_depth = 0;  // runs of synchronous callbacks on this path
    std::uint32_t may_goto_turns = 0;

    /// Number of the frame being run; the outermost is 0.
    [[nodiscard]] std::uint32_t depth() const { return static_cast<std::uint32_t>(callers.size()); }

    [[nodiscard]] const Frame& frame_at(std::uint32_t number) const {
        return number < callers.size() ? *callers[number] : *this;
    }

    [[nodiscard]] Frame& edit_frame(std::uint32_t number) {
        return number < callers.size() ? callers[number].edit() : *this;
    }

    /// Calls fn on every live register of every frame, spilled ones included.
    template <typename Fn>
    void each_reg(Fn fn) const {
        for (const Shared<Frame>& caller : callers) {
            caller->each_reg(fn);
        }
        Frame::each_reg(fn);
    }

    /// Calls fn on those of them that match. Only what is changed stops being shared.
    template <typename Matches, typename Fn>
    void update_regs(Matches matches, Fn fn) {
        for (Shared<Frame>& caller : callers) {
            if (caller->any_reg(matches)) {
                caller.edit().update_regs(matches, fn);
            }
        }
        Frame::update_regs(matches, fn);
    }
};

/// A state kept at an instruction to compare later paths with. Complete (branches == 0) when every
/// path through it has ended.
struct Checkpoint {
    State state;
    std::uint32_t insn = 0;
    std::uint32_t branches = 1;
    std::array<Marks, kFramesMax> precise;               // scalars whose value decided something
    std::array<std::uint64_t, kFramesMax> slots_read{};  // stack slots that a continuation reads
    std::uint32_t hits = 0;
    std::uint32_t misses = 0;
    bool listed = true;  // still compared with
    /// Notes (precise, slots_read) are complete only when this checkpoint, an older one or itself,
    /// has settled; -1: when branches == 0.
    std::int32_t open_until = -1;
    bool settled = false;
};

/// The kernel's names ("pkt", "map_value").
[[nodiscard]] const char* type_name(RegType type);
/// With what is known of it ("map_value_or_null", "ringbuf_mem").
[[nodiscard]] std::string type_name(const Reg& reg);

}  // namespace crema::ebpf::verifier
