// SPDX-License-Identifier: BSD-3-Clause
//
// See random_program.h. The body is a list of units (a few instructions that belong together);
// jumps lead from unit to unit, forward, never into a loop; a loop counts r9 down from a constant.
// r6 is the packet throughout; all other registers but r10 hold numbers between units.
#include "tests/support/random_program.h"

#include <array>
#include <vector>

#include "lib/ebpf/maps/map.h"
#include "tests/support/asm.h"

namespace crema::test {

namespace {

constexpr std::int16_t kStackBytes = 64;  // random accesses
constexpr std::int16_t kKeyAt = -72;      // key of a lookup
constexpr std::uint32_t kFrameBytes = 72;
constexpr std::array<std::uint8_t, 9> kNumbers = {0, 1, 2, 3, 4, 5, 7, 8, 9};

struct Unit {
    std::vector<Insn> insns;
    int jump_to = -1;  // unit index: target of the last instruction
    int map = -1;      // map of the call in it
};

class Generator {
  public:
    Generator(std::mt19937_64& random, const RandomMaps& maps) : random_(random), maps_(maps) {}

    RandomProgram run() {
        const int n = pick(4, chance(4) ? 120 : 40);
        int loop_end = -1;  // units below it are in a loop
        for (int i = 0; i < n; i++) {
            if (loop_end < 0 && chance(12) && n - i > 4) {
                loop_end = i + pick(2, std::min(n - i - 1, 8));
                units_.push_back({{insn(op::kAlu64 | op::kMov, 9, 0, 0, pick(1, 4))}});
                loop_start_ = i + 1;
                in_loop_ = true;
            } else if (i == loop_end) {
                units_.push_back({{insn(op::kAlu64 | op::kAdd, 9, 0, 0, -1),
                                   insn(op::kJmp | op::kJne, 9, 0, 0, 0)},
                                  loop_start_});
                loop_end = -1;
                in_loop_ = false;
            } else {
                units_.push_back(random_unit(i, loop_end >= 0 ? loop_end : n));
            }
        }
        return assemble();
    }

  private:
    int pick(int low, int high) {
        return low + static_cast<int>(random_() % static_cast<unsigned>(high - low + 1));
    }

    bool chance(unsigned one_in) { return random_() % one_in == 0; }

    int reg() {
        int chosen = kNumbers[random_() % kNumbers.size()];
        return in_loop_ && chosen == 9 ? 8 : chosen;
    }

    int any_reg() { return kNumbers[random_() % kNumbers.size()]; }

    std::int32_t imm() { return static_cast<std::int32_t>(edgy_value(random_)); }

    Unit random_unit(int at, int limit) {
        switch (pick(0, 19)) {
            case 0:
            case 1:
            case 2:
            case 3:
            case 4:
                return {{conditional_jump()}, forward(at, limit)};
            case 5:
            case 6:
                return {{stack_store()}};
            case 7:
                return {{stack_load()}};
            case 8:
                return {{atomic_add()}};
            case 9:
                return chance(2) ? call_unit() : lookup_unit();
            case 10:
                return constant_unit();
            default:
                return {{arithmetic()}};
        }
    }

    // A unit behind this one that does not lie inside a loop (entering one past its counter).
    int forward(int at, int limit) {
        const int target = std::min(at + pick(1, 12), limit);
        return target <= at ? at + 1 : target;
    }

    Insn conditional_jump() {
        static constexpr std::array<int, 11> kOps = {op::kJeq,  op::kJne,  op::kJgt,  op::kJge,
                                                     op::kJlt,  op::kJle,  op::kJset, op::kJsgt,
                                                     op::kJsge, op::kJslt, op::kJsle};
        const int cls = chance(2) ? op::kJmp : op::kJmp32;
        const int operation = kOps[random_() % kOps.size()];
        if (chance(2)) {
            return insn(cls | op::kX | operation, any_reg(), any_reg(), 0, 0);
        }
        return insn(cls | operation, any_reg(), 0, 0, imm());
    }

    Insn arithmetic() {
        static constexpr std::array<int, 13> kOps = {
            op::kAdd, op::kSub, op::kMul, op::kDiv,  op::kMod, op::kOr, op::kAnd,
            op::kXor, op::kLsh, op::kRsh, op::kArsh, op::kMov, op::kNeg};
        if (chance(12)) {
            static constexpr std::array<int, 3> kWidths = {16, 32, 64};
            return insn(op::kAlu | op::kEnd | (chance(2) ? op::kX : 0), reg(), 0, 0,
                        kWidths[random_() % 3]);
        }
        const int cls = chance(2) ? op::kAlu64 : op::kAlu;
        const int operation = kOps[random_() % kOps.size()];
        if (operation == op::kNeg) {
            return insn(cls | operation, reg(), 0, 0, 0);
        }
        if (chance(2)) {
            const int dst = reg();
            return insn(cls | op::kX | operation, dst, chance(6) ? dst : any_reg(), 0, 0);
        }
        std::int32_t value = imm();
        if (operation == op::kLsh || operation == op::kRsh || operation == op::kArsh) {
            value = pick(0, cls == op::kAlu64 ? 63 : 31);
        } else if ((operation == op::kDiv || operation == op::kMod) && value == 0) {
            value = 3;
        }
        return insn(cls | operation, reg(), 0, 0, value);
    }

    // An aligned place of `bytes` in the random part of the stack.
    int stack_place(std::uint8_t code) {
        const int bytes = static_cast<int>(op::access_bytes(code));
        return -kStackBytes + pick(0, kStackBytes / bytes - 1) * bytes;
    }

    std::uint8_t size() {
        static constexpr std::array<std::uint8_t, 4> kSizes = {op::kB, op::kH, op::kW, op::kDw};
        return kSizes[random_() % 4];
    }

    Insn stack_store() {
        if (chance(3)) {
            const auto code = static_cast<std::uint8_t>(op::kSt | op::kMem | size());
            return insn(code, 10, 0, stack_place(code), imm());
        }
        const auto code = static_cast<std::uint8_t>(op::kStx | op::kMem | size());
        return insn(code, 10, any_reg(), stack_place(code), 0);
    }

    Insn stack_load() {
        const auto code = static_cast<std::uint8_t>(op::kLdx | op::kMem | size());
        return insn(code, reg(), 10, stack_place(code), 0);
    }

    Insn atomic_add() {
        const auto code =
            static_cast<std::uint8_t>(op::kStx | op::kAtomic | (chance(2) ? op::kW : op::kDw));
        return insn(code, 10, any_reg(), stack_place(code), 0);
    }

    Unit constant_unit() {
        const std::uint64_t value = edgy_value(random_);
        return {{insn(op::kLdImm64, reg(), 0, 0, static_cast<std::int32_t>(value)),
                 insn(0, 0, 0, 0, static_cast<std::int32_t>(value >> 32U))}};
    }

    // Gives the registers that a call destroyed new numbers from the packet.
    void refill(std::vector<Insn>* out, int first) {
        for (int r = first; r <= 5; r++) {
            out->push_back(insn(op::kLdx | op::kMem | op::kDw, r, 6, 8 * pick(0, 9), 0));
        }
    }

    Unit call_unit() {
        Unit unit{{insn(op::kAlu64 | op::kX | op::kMov, 1, any_reg(), 0, 0),
                   insn(op::kAlu64 | op::kMov, 2, 0, 0, pick(0, 1)),
                   insn(op::kJmp | op::kCall, 0, 0, 0, 23)}};
        refill(&unit.insns, 1);
        return unit;
    }

    Unit lookup_unit() {
        Unit unit;
        unit.map = pick(0, 1);
        auto& out = unit.insns;
        if (chance(2)) {
            out.push_back(insn(op::kSt | op::kMem | op::kW, 10, 0, kKeyAt, pick(0, 9)));
        } else {
            out.push_back(insn(op::kAlu64 | op::kX | op::kMov, 1, any_reg(), 0, 0));
            out.push_back(insn(op::kAlu64 | op::kAnd, 1, 0, 0, 15));
            out.push_back(insn(op::kStx | op::kMem | op::kW, 10, 1, kKeyAt, 0));
        }
        if (chance(4)) {
            // A later store changes one byte of the key.
            out.push_back(
                insn(op::kSt | op::kMem | op::kB, 10, 0, kKeyAt + pick(0, 3), pick(0, 1)));
        }
        out.push_back(insn(op::kAlu64 | op::kX | op::kMov, 2, 10, 0, 0));
        out.push_back(insn(op::kAlu64 | op::kAdd, 2, 0, 0, kKeyAt));
        out.push_back(insn(op::kLdImm64, 1, op::kPseudoMap, 0, unit.map));
        out.push_back(insn(0, 0, 0, 0, 0));
        out.push_back(insn(op::kJmp | op::kCall, 0, 0, 0, 1));
        std::vector<Insn> found = {
            insn(op::kAlu64 | op::kMov, 1, 0, 0, imm()),
            insn(op::kStx | op::kAtomic | (chance(2) ? op::kW : op::kDw), 0, 1, 0, 0),
            insn(op::kStx | op::kMem | size(), 0, chance(2) ? 8 : 1, 8, 0)};
        if (chance(2)) {
            out.push_back(insn(op::kJmp | op::kJeq, 0, 0, static_cast<int>(found.size()), 0));
        } else {
            out.push_back(insn(op::kJmp | op::kJne, 0, 0, 1, 0));
            out.push_back(insn(op::kJmp | op::kJa, 0, 0, static_cast<int>(found.size()), 0));
        }
        out.insert(out.end(), found.begin(), found.end());
        refill(&out, 0);
        return unit;
    }

    void emit_prologue(std::vector<Insn>* out) {
        *out = {insn(op::kLdx | op::kMem | op::kW, 6, 1, 0, 0),
                insn(op::kLdx | op::kMem | op::kW, 7, 1, 4, 0),
                insn(op::kAlu64 | op::kX | op::kMov, 2, 6, 0, 0),
                insn(op::kAlu64 | op::kAdd, 2, 0, 0, kRandomPacketBytes),
                insn(op::kJmp | op::kX | op::kJle, 2, 7, 2, 0),
                insn(op::kAlu64 | op::kMov, 0, 0, 0, 1),
                insn(op::kJmp | op::kExit, 0, 0, 0, 0)};
        for (int word = 0; word < kStackBytes / 8; word++) {
            out->push_back(insn(op::kLdx | op::kMem | op::kDw, 0, 6, 80 + 8 * word, 0));
            out->push_back(insn(op::kStx | op::kMem | op::kDw, 10, 0, -kStackBytes + 8 * word, 0));
        }
        for (const int r : kNumbers) {
            out->push_back(insn(op::kLdx | op::kMem | op::kDw, r, 6, 8 * r, 0));
        }
    }

    static void emit_epilogue(std::vector<Insn>* out) {
        for (const int r : kNumbers) {
            out->push_back(insn(op::kStx | op::kMem | op::kDw, 6, r, 8 * r, 0));
        }
        for (int word = 0; word < kStackBytes / 8; word++) {
            out->push_back(insn(op::kLdx | op::kMem | op::kDw, 0, 10, -kStackBytes + 8 * word, 0));
            out->push_back(insn(op::kStx | op::kMem | op::kDw, 6, 0, 80 + 8 * word, 0));
        }
        out->push_back(insn(op::kAlu64 | op::kMov, 0, 0, 0, 2));
        out->push_back(insn(op::kJmp | op::kExit, 0, 0, 0, 0));
    }

    // Moves a jump that would enter a loop to the start of that loop.
    [[nodiscard]] std::vector<int> loop_of_units() const {
        std::vector<int> loop(units_.size() + 1, -1);
        for (std::size_t end = 0; end < units_.size(); end++) {
            const int start = units_[end].jump_to;
            if (start >= 0 && start <= static_cast<int>(end)) {
                for (int i = start; i <= static_cast<int>(end); i++) {
                    loop[static_cast<std::size_t>(i)] = start;
                }
            }
        }
        return loop;
    }

    RandomProgram assemble() {
        RandomProgram made;
        std::vector<Insn>& out = made.program.insns;
        emit_prologue(&out);
        std::vector<std::size_t> start(units_.size() + 1);
        std::size_t at = out.size();
        for (std::size_t i = 0; i < units_.size(); i++) {
            start[i] = at;
            at += units_[i].insns.size();
        }
        start[units_.size()] = at;
        const std::vector<int> loop = loop_of_units();
        std::vector<std::pair<std::size_t, int>> calls;
        for (std::size_t i = 0; i < units_.size(); i++) {
            Unit& unit = units_[i];
            if (unit.jump_to >= 0) {
                auto target = static_cast<std::size_t>(unit.jump_to);
                if (target > i && loop[target] >= 0 && loop[target] != loop[i]) {
                    target = static_cast<std::size_t>(loop[target] - 1);  // sets the counter
                    target = target > i ? target : i + 1;
                }
                const std::size_t next = out.size() + unit.insns.size();
                unit.insns.back().off = static_cast<std::int16_t>(
                    static_cast<std::int64_t>(start[target]) - static_cast<std::int64_t>(next));
            }
            for (const Insn& insn : unit.insns) {
                if (insn.code == (op::kJmp | op::kCall) && unit.map >= 0) {
                    calls.emplace_back(out.size(), unit.map);
                }
                out.push_back(insn);
            }
        }
        emit_epilogue(&out);
        made.program.name = "random";
        made.program.maps = {maps_.array, maps_.percpu_array};
        made.program.expected_attach_type = ebpf::kAttachXdp;
        made.program.gpl_compatible = true;
        made.proof.stack_bytes = kFrameBytes;
        made.proof.insns.resize(out.size());
        for (auto& facts : made.proof.insns) {
            facts.reachable = true;
        }
        made.proof.insns[0].access = made.proof.insns[1].access = ebpf::verifier::Access::ctx;
        for (const auto& [call, map] : calls) {
            made.proof.insns[call].map = map;
        }
        return made;
    }

    std::mt19937_64& random_;
    const RandomMaps& maps_;
    std::vector<Unit> units_;
    int loop_start_ = 0;
    bool in_loop_ = false;
};

}  // namespace

std::uint64_t edgy_value(std::mt19937_64& random) {
    const std::uint64_t any = random();
    switch (random() % 8) {
        case 0:
            return any % 3;
        case 1:
            return std::uint64_t{1} << (any % 64);
        case 2:
            return (std::uint64_t{1} << (any % 64)) - 1;
        case 3:
            return ~std::uint64_t{0} << (any % 64);
        case 4:
            return static_cast<std::uint64_t>(
                static_cast<std::int64_t>(static_cast<std::int8_t>(any)));
        case 5:
            return static_cast<std::uint32_t>(any);
        case 6:
            return std::uint64_t{0x80000000} + any % 3 - 1;
        default:
            return any;
    }
}

RandomMaps make_random_maps() {
    using ebpf::maps::MapType;
    const auto make_map = [](MapType type) {
        return *ebpf::maps::create({.type = type,
                                    .key_size = 4,
                                    .value_size = 16,
                                    .max_entries = 8,
                                    .flags = 0,
                                    .name = "random"});
    };
    return {make_map(MapType::array), make_map(MapType::percpu_array)};
}

RandomProgram make_random_program(std::mt19937_64& random, const RandomMaps& maps) {
    return Generator(random, maps).run();
}

}  // namespace crema::test
