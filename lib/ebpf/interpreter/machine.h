// SPDX-License-Identifier: BSD-3-Clause
//
// The interpreter proper, a template over what watches it: nothing (fast.cpp trusts the proof) or
// a checker of every access (checked.cpp). One case per opcode, made by the compiler from one
// function per class of instructions.
//
// One Activation is one run: a callback that a native makes enters it again, one frame deeper.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "lib/base/check.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/interpreter/arithmetic.h"
#include "lib/ebpf/interpreter/callbacks.h"
#include "lib/ebpf/interpreter/image.h"
#include "lib/ebpf/interpreter/interpreter.h"
#include "lib/ebpf/interpreter/opcodes.h"
#include "lib/ebpf/maps/prog_array.h"

namespace crema::ebpf::interpreter {

inline constexpr std::uint32_t kFramesMax = 8, kFrameBytes = 512, kRegisters = 11;
/// What one frame may pass may_goto before it jumps.
inline constexpr std::uint32_t kMayGotoMax = 8'388'608;
inline constexpr std::uint32_t kTailCallsMax = 33;  // of one run
inline constexpr std::uint32_t kContextBytes = 24;  // struct xdp_md

using Registers = std::array<std::uint64_t, kRegisters>;

enum class Use : std::uint8_t { read, write, atomic };

/// What a Watch must offer; this one lets everything pass and costs nothing.
struct Trust {
    static constexpr bool kChecks = false;
};

/// 32-bit field of struct xdp_md; the first three become whole pointers.
[[nodiscard]] inline std::uint64_t context_field(const XdpBuff& buff, std::uint64_t offset) {
    switch (offset) {
        case 0:
            return reinterpret_cast<std::uintptr_t>(buff.data);
        case 4:
            return reinterpret_cast<std::uintptr_t>(buff.data_end);
        case 8:
            return reinterpret_cast<std::uintptr_t>(buff.data_meta);
        case 12:
            return buff.ingress_ifindex;
        case 16:
            return buff.rx_queue_index;
        default:
            return buff.egress_ifindex;
    }
}

template <typename Watch>
class Activation {
  public:
    Activation(XdpBuff& buff, Watch& watch) : buff_(buff), watch_(watch) {}

    /// Runs the function at `first_slot` one frame below the present ones (the first: frame 0).
    [[nodiscard]] std::uint64_t run(const Image& image,
                                    std::uint32_t first_slot,
                                    const Arguments& arguments);

    /// How natives come back (callbacks.h).
    static std::uint64_t call_back(void* activation,
                                   const Image& image,
                                   std::uint32_t first_slot,
                                   const Arguments& arguments) {
        auto* const self = static_cast<Activation*>(activation);
        if constexpr (Watch::kChecks) {
            self->watch_.called_back(arguments);
        }
        return self->run(image, first_slot, arguments);
    }

  private:
    friend Watch;

    struct Frame {
        std::array<std::uint64_t, 4> saved;  // r6..r9 of the caller
        const Image* caller;
        std::uint32_t return_to;
        std::uint32_t may_goto_left;
    };

    struct Cpu {
        const Image* image;
        const Step* steps;
        std::uint64_t slot;  // of the next instruction
        std::uint32_t outer_depth;
        Registers regs;
    };

    [[nodiscard]] bool enter_frame(Cpu& cpu);
    [[nodiscard]] bool leave_frame(Cpu& cpu);

    [[nodiscard]] std::uint64_t frame_top() const {
        return reinterpret_cast<std::uintptr_t>(stacks_[depth_ - 1].data() + kFrameBytes);
    }

    /// False: the function that run() was called for has returned, or the watch ends the run.
    template <std::uint8_t Code>
    [[gnu::always_inline]] bool execute(const Step& step, Cpu& cpu);
    template <std::uint8_t Code>
    [[gnu::always_inline]] bool load(const Insn& insn, Cpu& cpu);
    template <std::uint8_t Code>
    [[gnu::always_inline]] bool store(const Insn& insn, Cpu& cpu);
    template <typename Word>
    [[nodiscard]] bool atomic(const Insn& insn, Cpu& cpu);
    [[nodiscard]] bool call_function(const Insn& insn, Cpu& cpu);
    [[nodiscard]] bool call_replaceable(const Step& step, Cpu& cpu);
    [[nodiscard]] bool call_helper(const Step& step, bool with_context, Cpu& cpu);
    void call_kfunc(const Step& step, Cpu& cpu);
    [[nodiscard]] bool tail_call(Cpu& cpu);

    template <typename... Args>
    [[nodiscard]] bool allows(const Cpu& cpu, Args... args) {
        if constexpr (Watch::kChecks) {
            return watch_.allows(*this, static_cast<std::uint32_t>(cpu.slot - 1), args...);
        }
        return true;
    }

    /// What a callback of a stopped run returns: natives that loop over it end.
    static constexpr std::uint64_t kStopped = 1;

    [[nodiscard]] std::uint64_t result(const Cpu& cpu) const {
        if constexpr (Watch::kChecks) {
            if (watch_.stopped()) {
                return kStopped;
            }
        }
        return cpu.regs[0];
    }

    XdpBuff& buff_;
    Watch& watch_;
    std::uint32_t depth_ = 0;  // frames in use
    std::array<Frame, kFramesMax> frames_;
    alignas(16) std::array<std::array<std::uint8_t, kFrameBytes>, kFramesMax> stacks_;
};

template <typename Watch>
bool Activation<Watch>::enter_frame(Cpu& cpu) {
    if constexpr (Watch::kChecks) {
        if (depth_ == kFramesMax) {
            return watch_.fault(static_cast<std::uint32_t>(cpu.slot - 1),
                                "frames are nested too deep");
        }
    }
    CREMA_CHECK(depth_ < kFramesMax);
    Frame& frame = frames_[depth_++];
    std::memcpy(frame.saved.data(), &cpu.regs[6], sizeof frame.saved);
    frame.caller = cpu.image;
    frame.return_to = static_cast<std::uint32_t>(cpu.slot);
    frame.may_goto_left = kMayGotoMax;
    cpu.regs[10] = frame_top();
    if constexpr (Watch::kChecks) {
        watch_.entered(*cpu.image, stacks_[depth_ - 1], cpu.regs);
    }
    return true;
}

template <typename Watch>
bool Activation<Watch>::leave_frame(Cpu& cpu) {
    const Frame& frame = frames_[--depth_];
    if (depth_ == cpu.outer_depth) {
        return false;
    }
    cpu.image = frame.caller;
    cpu.steps = cpu.image->steps();
    cpu.slot = frame.return_to;
    std::memcpy(&cpu.regs[6], frame.saved.data(), sizeof frame.saved);
    cpu.regs[10] = frame_top();
    if constexpr (Watch::kChecks) {
        watch_.returned(cpu.regs);
    }
    return true;
}

template <typename Watch>
bool Activation<Watch>::call_function(const Insn& insn, Cpu& cpu) {
    if (!enter_frame(cpu)) {
        return false;
    }
    cpu.slot += static_cast<std::uint64_t>(std::int64_t{insn.imm});
    return true;
}

/// As any function, but where an extension stands for it.
template <typename Watch>
bool Activation<Watch>::call_replaceable(const Step& step, Cpu& cpu) {
    const auto& gate = *reinterpret_cast<const Gate*>(step.operand);
    const Image* const other = gate.load(std::memory_order_acquire);
    if (other == nullptr) {
        return call_function(step.insn, cpu);
    }
    Registers& regs = cpu.regs;
    regs[0] = run_extension(buff_, *other, {regs[1], regs[2], regs[3], regs[4], regs[5]});
    return true;
}

template <typename Watch>
template <std::uint8_t Code>
inline bool Activation<Watch>::load(const Insn& insn, Cpu& cpu) {
    const std::uint64_t address =
        cpu.regs[insn.src] + static_cast<std::uint64_t>(std::int64_t{insn.off});
    constexpr std::uint32_t kBytes = op::access_bytes(Code);
    if constexpr (kBytes == 4) {
        const std::uint64_t offset = address - reinterpret_cast<std::uintptr_t>(&buff_);
        if (offset < kContextBytes) {
            if (!allows(cpu, address, kBytes, Use::read)) {
                return false;
            }
            const std::uint64_t field = context_field(buff_, offset);
            cpu.regs[insn.dst] =
                op::mode(Code) == op::kMemSx ? sign_extend<std::uint64_t>(field, 32) : field;
            return true;
        }
    }
    if (!allows(cpu, address, kBytes, Use::read)) {
        return false;
    }
    std::uint64_t value = 0;
    std::memcpy(&value, reinterpret_cast<const void*>(address), kBytes);
    cpu.regs[insn.dst] = op::mode(Code) == op::kMemSx
                             ? sign_extend<std::uint64_t>(value, static_cast<int>(8 * kBytes))
                             : value;
    return true;
}

template <typename Watch>
template <std::uint8_t Code>
inline bool Activation<Watch>::store(const Insn& insn, Cpu& cpu) {
    const std::uint64_t address =
        cpu.regs[insn.dst] + static_cast<std::uint64_t>(std::int64_t{insn.off});
    constexpr std::uint32_t kBytes = op::access_bytes(Code);
    if (!allows(cpu, address, kBytes, Use::write)) {
        return false;
    }
    const std::uint64_t value = op::insn_class(Code) == op::kStx
                                    ? cpu.regs[insn.src]
                                    : static_cast<std::uint64_t>(std::int64_t{insn.imm});
    std::memcpy(reinterpret_cast<void*>(address), &value, kBytes);
    return true;
}

/// Values are shared with programs on other cores and with user space: real atomic operations,
/// ordered as the kernel's (those that fetch are full barriers, the others promise nothing).
template <typename Watch>
template <typename Word>
bool Activation<Watch>::atomic(const Insn& insn, Cpu& cpu) {
    const bool is_load = insn.imm == op::kLoadAcquire;
    const std::uint64_t base = cpu.regs[is_load ? insn.src : insn.dst];
    const std::uint64_t address = base + static_cast<std::uint64_t>(std::int64_t{insn.off});
    const Use use = is_load ? Use::read : Use::atomic;
    if (!allows(cpu, address, static_cast<std::uint32_t>(sizeof(Word)), use)) {
        return false;
    }
    auto* const memory = reinterpret_cast<Word*>(address);
    std::uint64_t& source = cpu.regs[insn.src];
    const auto operand = static_cast<Word>(source);
    switch (insn.imm) {
        case op::kLoadAcquire:
            cpu.regs[insn.dst] = __atomic_load_n(memory, __ATOMIC_ACQUIRE);
            return true;
        case op::kStoreRelease:
            __atomic_store_n(memory, operand, __ATOMIC_RELEASE);
            return true;
        case op::kAtomicAdd:
            __atomic_fetch_add(memory, operand, __ATOMIC_RELAXED);
            return true;
        case op::kAtomicOr:
            __atomic_fetch_or(memory, operand, __ATOMIC_RELAXED);
            return true;
        case op::kAtomicAnd:
            __atomic_fetch_and(memory, operand, __ATOMIC_RELAXED);
            return true;
        case op::kAtomicXor:
            __atomic_fetch_xor(memory, operand, __ATOMIC_RELAXED);
            return true;
        case op::kAtomicAdd | op::kFetch:
            source = __atomic_fetch_add(memory, operand, __ATOMIC_SEQ_CST);
            return true;
        case op::kAtomicOr | op::kFetch:
            source = __atomic_fetch_or(memory, operand, __ATOMIC_SEQ_CST);
            return true;
        case op::kAtomicAnd | op::kFetch:
            source = __atomic_fetch_and(memory, operand, __ATOMIC_SEQ_CST);
            return true;
        case op::kAtomicXor | op::kFetch:
            source = __atomic_fetch_xor(memory, operand, __ATOMIC_SEQ_CST);
            return true;
        case op::kAtomicXchg:
            source = __atomic_exchange_n(memory, operand, __ATOMIC_SEQ_CST);
            return true;
        default: {  // compare with r0 and exchange
            auto expected = static_cast<Word>(cpu.regs[0]);
            __atomic_compare_exchange_n(memory, &expected, operand, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST);
            cpu.regs[0] = expected;
            return true;
        }
    }
}

template <typename Watch>
bool Activation<Watch>::call_helper(const Step& step, bool with_context, Cpu& cpu) {
    Registers& regs = cpu.regs;
    const Arguments arguments = {regs[1], regs[2], regs[3], regs[4], regs[5]};
    auto native = reinterpret_cast<helpers::Native>(step.operand);
    if constexpr (Watch::kChecks) {
        if (native == nullptr) {
            native = watch_.native_of(static_cast<std::uint32_t>(step.insn.imm), arguments);
        }
        if (native == nullptr) {
            return watch_.fault(static_cast<std::uint32_t>(cpu.slot - 1),
                                "the helper has no native function");
        }
        watch_.calls(static_cast<std::uint32_t>(step.insn.imm), arguments);
    }
    const std::uint64_t fifth = with_context ? reinterpret_cast<std::uintptr_t>(&buff_) : regs[5];
    regs[0] = native(regs[1], regs[2], regs[3], regs[4], fifth);
    if constexpr (Watch::kChecks) {
        return watch_.called(static_cast<std::uint32_t>(step.insn.imm), arguments, regs);
    }
    return true;
}

/// Memory that a kernel function gives lies in memory the program has anyway: the packet, a buffer,
/// a map value, its frame.
template <typename Watch>
void Activation<Watch>::call_kfunc(const Step& step, Cpu& cpu) {
    Registers& regs = cpu.regs;
    const auto native = reinterpret_cast<helpers::Native>(step.operand);
    regs[0] = native(regs[1], regs[2], regs[3], regs[4], regs[5]);
    if constexpr (Watch::kChecks) {
        watch_.returned(regs);
    }
}

/// The target takes the place of the running function: its frame, and its way back.
template <typename Watch>
bool Activation<Watch>::tail_call(Cpu& cpu) {
    const auto& array = helpers::map_of<maps::ProgArray>(cpu.regs[2]);
    const maps::TailTarget* const target = array.target(static_cast<std::uint32_t>(cpu.regs[3]));
    if (target == nullptr || buff_.tail_calls >= kTailCallsMax) {
        if constexpr (Watch::kChecks) {
            watch_.clobbered(cpu.regs);
        }
        return true;
    }
    ++buff_.tail_calls;
    if (target->entry != &interpreter::run) {
        cpu.regs[0] = target->entry(&buff_, target->self);
        return leave_frame(cpu);
    }
    cpu.image = static_cast<const Image*>(target->self);
    cpu.steps = cpu.image->steps();
    cpu.slot = 0;
    cpu.regs[1] = reinterpret_cast<std::uintptr_t>(&buff_);
    frames_[depth_ - 1].may_goto_left = kMayGotoMax;
    if constexpr (Watch::kChecks) {
        watch_.entered(*cpu.image, stacks_[depth_ - 1], cpu.regs);
    }
    return true;
}

template <typename Watch>
template <std::uint8_t Code>
inline bool Activation<Watch>::execute(const Step& step, Cpu& cpu) {
    const Insn& insn = step.insn;
    if constexpr (is_alu(Code)) {
        Insn known = insn;  // its opcode as a constant
        known.code = Code;
        cpu.regs[insn.dst] = alu_result(known, cpu.regs[insn.dst], cpu.regs[insn.src]);
    } else if constexpr (is_branch(Code)) {
        Insn known = insn;
        known.code = Code;
        if (jump_taken(known, cpu.regs[insn.dst], cpu.regs[insn.src])) {
            cpu.slot += static_cast<std::uint64_t>(std::int64_t{insn.off});
        }
    } else if constexpr (is_load(Code)) {
        return load<Code>(insn, cpu);
    } else if constexpr (is_store(Code)) {
        return store<Code>(insn, cpu);
    } else if constexpr (is_atomic(Code)) {
        switch (op::access_bytes(Code)) {
            case 1:
                return atomic<std::uint8_t>(insn, cpu);
            case 2:
                return atomic<std::uint16_t>(insn, cpu);
            case 4:
                return atomic<std::uint32_t>(insn, cpu);
            default:
                return atomic<std::uint64_t>(insn, cpu);
        }
    } else if constexpr (Code == op::kLdImm64) {
        cpu.regs[insn.dst] = step.operand;
        ++cpu.slot;
    } else if constexpr (Code == (op::kJmp | op::kJa)) {
        cpu.slot += static_cast<std::uint64_t>(std::int64_t{insn.off});
    } else if constexpr (Code == (op::kJmp32 | op::kJa)) {
        cpu.slot += static_cast<std::uint64_t>(std::int64_t{insn.imm});
    } else if constexpr (Code == (op::kJmp | op::kJcond)) {
        std::uint32_t& left = frames_[depth_ - 1].may_goto_left;
        if (left == 0) {
            cpu.slot += static_cast<std::uint64_t>(std::int64_t{insn.off});
        } else {
            --left;
        }
    } else if constexpr (Code == kCallReplaceable) {
        return call_replaceable(step, cpu);
    } else if constexpr (Code == kCallFunction) {
        return call_function(insn, cpu);
    } else if constexpr (Code == (op::kJmp | op::kExit)) {
        return leave_frame(cpu);
    } else if constexpr (Code == kTailCall) {
        return tail_call(cpu);
    } else if constexpr (Code == kCallHelper) {
        return call_helper(step, false, cpu);
    } else if constexpr (Code == kCallWithContext) {
        return call_helper(step, true, cpu);
    } else if constexpr (Code == kCallKfunc) {
        call_kfunc(step, cpu);
    } else {
        // Not reachable by the proof; nothing runs that was not proved.
        if constexpr (Watch::kChecks) {
            return watch_.fault(static_cast<std::uint32_t>(cpu.slot - 1), "cannot be interpreted");
        }
        constexpr bool kOnlyProvedCodeRuns = false;
        CREMA_CHECK(kOnlyProvedCodeRuns);
    }
    return true;
}

// 256 cases, each a call of execute<Code>.
#define CREMA_CASE(code)                               \
    case (code):                                       \
        if (!execute<std::uint8_t{code}>(step, cpu)) { \
            return result(cpu);                        \
        }                                              \
        break;
#define CREMA_CASES_4(code) \
    CREMA_CASE(code) CREMA_CASE((code) + 1) CREMA_CASE((code) + 2) CREMA_CASE((code) + 3)
#define CREMA_CASES_16(code) \
    CREMA_CASES_4(code)      \
    CREMA_CASES_4((code) + 4) CREMA_CASES_4((code) + 8) CREMA_CASES_4((code) + 12)
#define CREMA_CASES_64(code) \
    CREMA_CASES_16(code)     \
    CREMA_CASES_16((code) + 16) CREMA_CASES_16((code) + 32) CREMA_CASES_16((code) + 48)

// One switch of 256 like cases:
// NOLINTBEGIN(readability-function-size,readability-function-cognitive-complexity)
template <typename Watch>
std::uint64_t Activation<Watch>::run(const Image& image,
                                     std::uint32_t first_slot,
                                     const Arguments& arguments) {
    Cpu cpu;
    cpu.image = &image;
    cpu.steps = image.steps();
    cpu.slot = first_slot;
    cpu.outer_depth = depth_;
    cpu.regs = {};
    std::memcpy(&cpu.regs[1], arguments.data(), sizeof arguments);
    if (!enter_frame(cpu)) {
        return kStopped;
    }
    for (;;) {
        if constexpr (Watch::kChecks) {
            if (!watch_.before(*this, *cpu.image, static_cast<std::uint32_t>(cpu.slot), cpu.regs)) {
                return kStopped;
            }
        }
        const Step& step = cpu.steps[cpu.slot++];
        switch (step.insn.code) {
            CREMA_CASES_64(0)
            CREMA_CASES_64(64)
            CREMA_CASES_64(128)
            CREMA_CASES_64(192)
        }
    }
}

// NOLINTEND(readability-function-size,readability-function-cognitive-complexity)

#undef CREMA_CASES_64
#undef CREMA_CASES_16
#undef CREMA_CASES_4
#undef CREMA_CASE

}  // namespace crema::ebpf::interpreter
