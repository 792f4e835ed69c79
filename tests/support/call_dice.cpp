// SPDX-License-Identifier: BSD-3-Clause
//
// Registers of a program: r6 context, r7 packet (kPacketBytes proved), r8 value of a map, r9 a
// number below 64. The frame below -64 is never written before the call.
#include "tests/support/call_dice.h"

#include <array>
#include <random>

#include "lib/ebpf/helpers/prototypes.h"
#include "tests/support/asm.h"
#include "tests/support/verifier_cases.h"

namespace crema::test {

namespace {

using ebpf::helpers::ArgKind;
using ebpf::helpers::Prototype;

constexpr int kPacketBytes = 40;

class Dice {
  public:
    explicit Dice(std::uint64_t seed) : engine_(seed * 0x9e37'79b9'7f4a'7c15ULL + 1) {}

    ebpf::Program program() {
        const Prototype& helper = pick_helper();
        prologue();
        for (std::size_t i = 0; i < helper.args.size(); ++i) {
            const ebpf::helpers::Arg& arg = helper.args[i];
            if (arg.kind == ArgKind::none) {
                break;
            }
            const int reg = static_cast<int>(i) + 1;
            if (one_in(6)) {
                anything(reg);
            } else {
                fitting(arg, reg);
            }
        }
        emit(call(static_cast<int>(helper.id)));
        use_result(helper);
        emit(mov_k(0, 2));
        emit(exit_insn());
        ebpf::Program program = program_of(code_);
        program.maps = case_maps();
        program.gpl_compatible = !one_in(30);
        return program;
    }

  private:
    std::uint64_t below(std::uint64_t n) { return engine_() % n; }

    bool one_in(std::uint64_t n) { return below(n) == 0; }

    void emit(const Code& code) { code_ = Code{code_, code}; }

    const Prototype& pick_helper() {
        for (;;) {
            const Prototype* helper = ebpf::helpers::find(static_cast<std::uint32_t>(below(212)));
            if (helper != nullptr && helper->callback == ebpf::helpers::CallbackRule::none) {
                return *helper;
            }
        }
    }

    void prologue() {
        emit({mov(6, 1), load(op::kW, 7, 1, 0), load(op::kW, 3, 1, 4), mov(4, 7),
              add_k(4, kPacketBytes), jump(op::kJle, 4, 3, 2), mov_k(0, 1), exit_insn()});
        emit({load(op::kW, 9, 1, 16), alu_k(op::kAnd, 9, 63)});
        emit({store_k(op::kDw, 10, -8, 0), store_k(op::kDw, 10, -16, 1),
              store_k(op::kDw, 10, -24, -1), store(op::kDw, 10, -32, 9)});
        emit(ld_map_value(8, static_cast<int>(below(2)) == 0 ? kGlobalMap : kConstantMap, 0));
    }

    void number(int reg) {
        constexpr std::array<std::int64_t, 14> kNumbers = {0,  1,  2,  3,  4,   8,    16,
                                                           20, 36, 64, -1, 512, 4096, 1 << 30};
        switch (below(6)) {
            case 0:
                emit(mov(reg, 9));
                break;
            case 1:
                emit({mov(reg, 9), add_k(reg, 1)});
                break;
            case 2:
                emit({mov(reg, 9), add_k(reg, static_cast<std::int64_t>(below(8)) - 4)});
                break;
            default:
                emit(mov_k(reg, kNumbers[below(kNumbers.size())]));
                break;
        }
    }

    void memory(int reg) {
        switch (below(7)) {
            case 0:
                emit({mov(reg, 7), add_k(reg, static_cast<std::int64_t>(below(24)))});
                break;
            case 1:
                emit({mov(reg, 8), add_k(reg, static_cast<std::int64_t>(below(3)) * 4)});
                break;
            case 2:
                emit(mov_k(reg, 0));
                break;
            case 3:
                emit({mov(reg, 10), add_k(reg, -static_cast<std::int64_t>(below(100)))});
                break;
            case 4:
                emit({mov(reg, 10), add_k(reg, -100), alu(op::kAdd, reg, 9)});
                break;
            default:
                emit({mov(reg, 10), add_k(reg, -8 * static_cast<std::int64_t>(1 + below(10)))});
                break;
        }
    }

    void map(int reg) { emit(ld_map(reg, static_cast<int>(below(case_maps_size())))); }

    static std::size_t case_maps_size() {
        static const std::size_t size = case_maps().size();
        return size;
    }

    void fitting(const ebpf::helpers::Arg& arg, int reg) {
        switch (arg.kind) {
            case ArgKind::ctx:
                emit(mov(reg, 6));
                break;
            case ArgKind::map:
                map(reg);
                break;
            case ArgKind::map_key:
            case ArgKind::map_value:
            case ArgKind::memory:
                memory(reg);
                break;
            case ArgKind::dynptr:
                emit({mov(reg, 10), add_k(reg, -8 * static_cast<std::int64_t>(1 + below(4)))});
                break;
            case ArgKind::const_string:
                emit(ld_map_value(reg, kConstantMap, static_cast<int>(below(17))));
                break;
            case ArgKind::unchecked:
                break;
            default:
                number(reg);
                break;
        }
    }

    void anything(int reg) {
        switch (below(8)) {
            case 0:
                break;  // never written, or what an earlier call left
            case 1:
                emit(mov(reg, 6));
                break;
            case 2:
                map(reg);
                break;
            case 3:
                emit({mov(reg, 6), add_k(reg, 4)});
                break;
            case 4:
                emit(load(op::kW, reg, 6, 4));
                break;
            case 5:
                number(reg);
                break;
            default:
                memory(reg);
                break;
        }
    }

    void use_result(const Prototype& helper) {
        using ebpf::helpers::ReturnKind;
        if (one_in(2)) {
            return;
        }
        switch (helper.returns.kind) {
            case ReturnKind::integer:
            case ReturnKind::nothing:
                emit(mov(0, 0));
                return;
            default:
                break;
        }
        Code body;
        switch (helper.returns.kind) {
            case ReturnKind::socket_or_null:
            case ReturnKind::sock_common_or_null:
                body = {mov(1, 0), call(one_in(3) ? 137 : 86)};
                break;
            case ReturnKind::ringbuf_record_or_null:
                body = {store_k(op::kB, 0, static_cast<int>(below(20)), 1), mov(1, 0), mov_k(2, 0),
                        call(one_in(2) ? 132 : 133)};
                break;
            default:
                body = {load(one_in(2) ? op::kB : op::kW, 3, 0, static_cast<int>(below(5)) * 4)};
                break;
        }
        if (one_in(4)) {
            emit(body);
            return;
        }
        emit(jump_k(op::kJeq, 0, 0, static_cast<int>(body.insns().size())));
        emit(body);
    }

    std::mt19937_64 engine_;
    Code code_;
};

}  // namespace

ebpf::Program call_dice_program(std::uint64_t seed) {
    return Dice(seed).program();
}

}  // namespace crema::test
