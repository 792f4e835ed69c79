// SPDX-License-Identifier: BSD-3-Clause
//
// The generator of verifier_dice.h. Registers: r6 = packet, r9 = map value or frame area, r7, r8,
// r0, r2..r5 numbers. Jumps only lead forward, except for loops that count to a small constant.
#include "tests/support/verifier_dice.h"

#include <array>
#include <cstring>
#include <random>
#include <vector>

#include "tests/support/asm.h"
#include "tests/support/verifier_cases.h"

namespace crema::test {

namespace {

class Dice {
  public:
    explicit Dice(std::uint64_t seed) : engine_(seed) {}

    [[nodiscard]] int below(int n) {
        return static_cast<int>(engine_() % static_cast<std::uint64_t>(n));
    }

    [[nodiscard]] bool one_in(int n) { return below(n) == 0; }

    template <typename T, std::size_t N>
    [[nodiscard]] T pick(const T (&from)[N]) {
        return from[static_cast<std::size_t>(below(static_cast<int>(N)))];
    }

    [[nodiscard]] std::uint64_t bits() { return engine_(); }

    [[nodiscard]] std::int64_t number() {
        static constexpr std::int64_t kCorner[] = {
            0,
            1,
            2,
            3,
            4,
            7,
            8,
            14,
            15,
            16,
            31,
            32,
            63,
            64,
            100,
            127,
            128,
            255,
            256,
            0x7fff,
            -1,
            -2,
            -8,
            -100,
            65535,
            65536,
            0xff0,
            0x7fffffff,
            -0x80000000LL,
            0x55aa,
        };
        return one_in(8) ? static_cast<std::int32_t>(bits()) : pick(kCorner);
    }

  private:
    std::mt19937_64 engine_;
};

constexpr int kBinary[] = {op::kAdd, op::kSub, op::kMul, op::kDiv, op::kOr,   op::kAnd, op::kLsh,
                           op::kRsh, op::kMod, op::kXor, op::kMov, op::kArsh, op::kAdd, op::kAnd};
constexpr int kCompare[] = {op::kJeq,  op::kJgt, op::kJge, op::kJset, op::kJne, op::kJsgt,
                            op::kJsge, op::kJlt, op::kJle, op::kJslt, op::kJsle};
constexpr int kNumbers[] = {0, 2, 3, 4, 5, 7, 8};
constexpr int kSizes[] = {op::kB, op::kH, op::kW, op::kDw};

class Generator {
  public:
    explicit Generator(std::uint64_t seed) : dice_(seed) {}

    ebpf::Program make() {
        prologue();
        const int statements = 4 + dice_.below(24);
        for (int i = 0; i < statements; ++i) {
            statement();
        }
        add(mov(0, dice_.pick(kNumbers)));
        const auto end = static_cast<int>(out_.size());
        add(exit_insn());
        for (const int at : open_) {
            const int target = at + 1 + dice_.below(end - at);
            out_[static_cast<std::size_t>(at)].off =
                static_cast<std::int16_t>(safe(target) - at - 1);
        }
        ebpf::Program program = program_of(out_);
        program.maps = case_maps();
        return program;
    }

  private:
    void add(const Code& code) {
        out_.insert(out_.end(), code.insns().begin(), code.insns().end());
    }

    /// The start of the statement that `target` lies in or before.
    [[nodiscard]] int safe(int target) const {
        for (const int start : starts_) {
            if (start >= target) {
                return start;
            }
        }
        return static_cast<int>(out_.size()) - 1;
    }

    void prologue() {
        add({load(op::kW, 6, 1, 0), load(op::kW, 3, 1, 4), mov(2, 6), add_k(2, 64),
             jump(op::kJle, 2, 3, 2), mov_k(0, 1), exit_insn()});
        add({load(op::kW, 2, 1, 12), load(op::kB, 0, 6, 0), load(op::kH, 3, 6, 2),
             load(op::kW, 4, 6, 4), load(op::kDw, 5, 6, 8), load(op::kB, 7, 6, 16),
             mov_k(8, dice_.number())});
        add(ld_map_value(9, kGlobalMap, 0));
        if (dice_.one_in(3)) {
            add({mov(9, 10), add_k(9, -64)});
        }
    }

    void arithmetic() {
        const int dst = dice_.pick(kNumbers);
        const int operation = dice_.pick(kBinary);
        const bool wide = !dice_.one_in(3);
        if (dice_.one_in(12)) {
            add(insn((wide ? op::kAlu64 : op::kAlu) | op::kNeg, dst, 0, 0, 0));
            return;
        }
        if (dice_.one_in(12)) {
            static constexpr int kWidths[] = {16, 32, 64};
            add(insn(op::kAlu | op::kEnd | (dice_.one_in(2) ? op::kX : 0), dst, 0, 0,
                     dice_.pick(kWidths)));
            return;
        }
        if (dice_.one_in(2)) {
            const int src = dice_.pick(kNumbers);
            add(wide ? alu(operation, dst, src) : alu32(operation, dst, src));
            return;
        }
        std::int64_t imm = dice_.number();
        const bool shift = operation == op::kLsh || operation == op::kRsh || operation == op::kArsh;
        if (shift) {
            imm = dice_.below(wide ? 64 : 32);
        } else if ((operation == op::kDiv || operation == op::kMod) && imm == 0) {
            imm = 3;
        }
        add(wide ? alu_k(operation, dst, imm) : alu32_k(operation, dst, imm));
    }

    void compare() {
        const int dst = dice_.pick(kNumbers);
        const int operation = dice_.pick(kCompare);
        const bool wide = !dice_.one_in(3);
        open_.push_back(static_cast<int>(out_.size()));
        if (dice_.one_in(2)) {
            const int src = dice_.pick(kNumbers);
            add(wide ? jump(operation, dst, src, 0) : jump32(operation, dst, src, 0));
        } else {
            add(wide ? jump_k(operation, dst, dice_.number(), 0)
                     : jump32_k(operation, dst, dice_.number(), 0));
        }
    }

    void through_frame() {
        const int size = dice_.pick(kSizes);
        const int bytes = static_cast<int>(ebpf::op::access_bytes(static_cast<std::uint8_t>(size)));
        const int slot = -8 * (1 + dice_.below(6));
        const int off = slot + (dice_.one_in(3) ? bytes * dice_.below(8 / bytes) : 0);
        if (dice_.one_in(6)) {
            add(store_k(size, 10, off, dice_.number()));
        } else if (dice_.one_in(2)) {
            add(store(size, 10, off, dice_.pick(kNumbers)));
        } else {
            add(load(size, dice_.pick(kNumbers), 10, off));
        }
    }

    void bound(int reg) {
        static constexpr int kMasks[] = {1, 3, 7, 8, 12, 15, 24, 56};
        if (dice_.one_in(3)) {
            // by comparison: out of the program when above
            const int operation = dice_.one_in(2) ? op::kJgt : op::kJsgt;
            add({jump_k(op::kJle, reg, dice_.pick(kMasks), 2), mov_k(0, 1), exit_insn()});
            if (operation == op::kJsgt && dice_.one_in(3)) {
                add({jump32_k(op::kJsge, reg, 0, 2), mov_k(0, 1), exit_insn()});
            }
        } else if (dice_.one_in(2)) {
            add(alu_k(op::kAnd, reg, dice_.pick(kMasks)));
        } else {
            add(alu32_k(op::kAnd, reg, dice_.pick(kMasks)));
        }
    }

    void offset_access() {
        const int number = dice_.pick(kNumbers);
        const int pointer = number == 2 ? 3 : 2;
        const int size = dice_.pick(kSizes);
        const bool packet = dice_.one_in(2);
        if (!dice_.one_in(5)) {
            bound(number);
        }
        add({mov(pointer, packet ? 6 : 9), alu(op::kAdd, pointer, number)});
        if (dice_.one_in(4)) {
            add(add_k(pointer, dice_.below(8)));
        }
        if (packet) {
            // check against data_end loaded anew: r1 is still the context
            const int end = pointer == 2 ? 4 : 5;
            const int copy = pointer == 2 ? 5 : 4;
            add({load(op::kW, end, 1, 4), mov(copy, pointer), add_k(copy, 1 + dice_.below(8)),
                 jump(op::kJle, copy, end, 2), mov_k(0, 1), exit_insn()});
            add({mov_k(end, 0), mov_k(copy, 5)});
        }
        const int off = dice_.below(4) * (dice_.one_in(2) ? 1 : 0);
        if (dice_.one_in(2)) {
            add(load(size, pointer, pointer, off));
        } else {
            const bool by_reg = dice_.one_in(2);
            add({by_reg ? store(size, pointer, off, number) : store_k(size, pointer, off, 7),
                 mov_k(pointer, 9)});
        }
    }

    void counted_loop() {
        const int counter = dice_.pick(kNumbers);
        const int other = counter == 7 ? 8 : 7;
        add(mov_k(counter, 0));
        const auto top = static_cast<int>(out_.size());
        add(dice_.one_in(2) ? alu(op::kAdd, other, counter) : alu32(op::kXor, other, counter));
        add(add_k(counter, 1 + dice_.below(3)));
        const int back = top - static_cast<int>(out_.size()) - 1;
        add(jump_k(dice_.one_in(2) ? op::kJlt : op::kJle, counter, 3 + dice_.below(20), back));
    }

    void statement() {
        starts_.push_back(static_cast<int>(out_.size()));
        switch (dice_.below(12)) {
            case 0:
            case 1:
            case 2:
            case 3:
                arithmetic();
                break;
            case 4:
            case 5:
            case 6:
                compare();
                break;
            case 7:
            case 8:
                through_frame();
                break;
            case 9:
            case 10:
                offset_access();
                break;
            default:
                counted_loop();
                break;
        }
    }

    Dice dice_;
    std::vector<Insn> out_;
    std::vector<int> open_;    // jumps whose target is chosen at the end
    std::vector<int> starts_;  // first instruction of each statement
};

}  // namespace

ebpf::Program dice_program(std::uint64_t seed) {
    return Generator(seed).make();
}

ebpf::Program mutated(const ebpf::Program& program, std::uint64_t seed) {
    Dice dice(seed);
    ebpf::Program result = program;
    const int changes = 1 + dice.below(3);
    for (int i = 0; i < changes; ++i) {
        const auto at = static_cast<std::size_t>(dice.below(static_cast<int>(result.insns.size())));
        switch (dice.below(5)) {
            case 0: {
                std::array<std::uint8_t, sizeof(Insn)> bytes{};
                std::memcpy(bytes.data(), &result.insns[at], sizeof(Insn));
                bytes[static_cast<std::size_t>(dice.below(8))] ^=
                    static_cast<std::uint8_t>(1U << dice.below(8));
                std::memcpy(&result.insns[at], bytes.data(), sizeof(Insn));
                break;
            }
            case 1:
                result.insns[at].imm = static_cast<std::int32_t>(dice.number());
                break;
            case 2:
                result.insns[at].off = static_cast<std::int16_t>(dice.below(40) - 20);
                break;
            case 3:
                result.insns[at].dst = static_cast<std::uint8_t>(dice.below(11) & 0xf);
                break;
            default:
                std::swap(result.insns[at], result.insns[static_cast<std::size_t>(dice.below(
                                                static_cast<int>(result.insns.size())))]);
                break;
        }
    }
    return result;
}

}  // namespace crema::test
