// SPDX-License-Identifier: BSD-3-Clause
//
// See random_functions.h. A function gets numbers in r1..r4 and in r5 the address of a word in its
// caller's frame; r6..r9 are its own. Function n calls only functions behind it.
#include "tests/support/random_functions.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "tests/support/asm.h"

namespace crema::test {

namespace {

constexpr int kLookup = 1, kRedirect = 23;
constexpr int kWordAt = -8;  // lent to callees
constexpr int kKeyAt = -12;
constexpr int kSpillAt = -24;  // and one slot below

class Generator {
  public:
    Generator(std::mt19937_64& random, const RandomMaps& maps) : random_(random), maps_(maps) {}

    ebpf::Program run() {
        functions_ = pick(2, 6);
        main_function();
        for (int n = 1; n < functions_; n++) {
            start_.push_back(out_.size());
            function(n);
        }
        for (const auto& [at, callee] : calls_) {
            out_[at].imm = static_cast<std::int32_t>(start_[static_cast<std::size_t>(callee)]) -
                           static_cast<std::int32_t>(at) - 1;
        }
        ebpf::Program program = program_of(out_);
        program.name = "functions";
        program.maps = {maps_.array, maps_.percpu_array};
        return program;
    }

  private:
    int pick(int low, int high) {
        return low + static_cast<int>(random_() % static_cast<unsigned>(high - low + 1));
    }

    bool chance(unsigned one_in) { return random_() % one_in == 0; }

    void add(const Code& code) {
        out_.insert(out_.end(), code.insns().begin(), code.insns().end());
    }

    void main_function() {
        start_.push_back(0);
        add({load(op::kW, 6, 1, 0), load(op::kW, 7, 1, 4), mov(2, 6), add_k(2, kRandomPacketBytes),
             jump(op::kJle, 2, 7, 2), mov_k(0, 1), exit_insn()});
        const int calls = pick(1, 3);
        for (int i = 0; i < calls; i++) {
            // r7..r9 must come back as they are.
            add({load(op::kDw, 7, 6, 8 * pick(0, 9)), mov(8, 7), alu_k(op::kXor, 8, 0x5a5a),
                 mov_k(9, pick(1, 1000))});
            for (int reg = 1; reg <= 4; reg++) {
                add(load(op::kDw, reg, 6, 8 * pick(0, 9)));
            }
            call_one(0);
            add({store(op::kDw, 6, 80 + 8 * i, 0), load(op::kDw, 1, 10, kWordAt),
                 alu(op::kAdd, 1, 7), alu(op::kXor, 1, 8), alu(op::kMul, 1, 9),
                 store(op::kDw, 6, 112 + 8 * i, 1)});
        }
        add({mov_k(0, 2), exit_insn()});
    }

    // r1..r4 hold numbers. Leaves r0; r1..r5 are gone.
    void call_one(int caller) {
        add({store_k(op::kDw, 10, kWordAt, pick(0, 1000)), mov(5, 10), add_k(5, kWordAt)});
        // The next function first, so that none is left over.
        const bool next_is_called = called_ > caller;
        called_ = std::max(called_, caller + 1);
        calls_.emplace_back(out_.size(),
                            next_is_called ? pick(caller + 1, functions_ - 1) : caller + 1);
        add(insn(op::kJmp | op::kCall, 0, op::kPseudoCall, 0, 0));
    }

    void count_in_map() {
        const bool constant = chance(2);
        add(constant ? Code{store_k(op::kW, 10, kKeyAt, pick(0, 7))}
                     : Code{mov(1, 6), alu_k(op::kAnd, 1, 7), store(op::kW, 10, kKeyAt, 1)});
        add({mov(2, 10), add_k(2, kKeyAt), ld_map(1, chance(4) ? 0 : 1), call(kLookup),
             jump_k(op::kJeq, 0, 0, 2), mov_k(1, pick(1, 9)), atomic_add(op::kDw, 0, 0, 1)});
    }

    void arithmetic() {
        static constexpr int kOperations[] = {op::kAdd, op::kSub, op::kXor, op::kMul, op::kOr};
        const int cls = chance(3) ? op::kAlu : op::kAlu64;
        const int operation = kOperations[pick(0, 4)];
        if (chance(2)) {
            add(insn(cls | op::kX | operation, pick(6, 8), pick(6, 8), 0, 0));
        } else {
            add(insn(cls | operation, pick(6, 8), 0, 0, pick(-1000, 1000)));
        }
    }

    void function(int n) {
        add({mov(6, 1), mov(7, 2), alu(op::kXor, 7, 3), mov(8, 4), mov(9, 5)});
        const bool calls = n + 1 < functions_;
        int left = calls ? pick(0, 1) : 0;
        const int steps = pick(2, 6);
        if (calls) {
            add({mov(1, 6), mov(2, 7), mov(3, 8), mov_k(4, n)});
            call_one(n);
            add(alu(op::kXor, 7, 0));
        }
        for (int i = 0; i < steps; i++) {
            switch (pick(0, 5)) {
                case 0:
                    count_in_map();
                    break;
                case 1:
                    if (left-- > 0) {
                        add({mov(1, 8), mov(2, 6), mov(3, 7), mov_k(4, pick(-9, 9))});
                        call_one(n);
                        add(alu(op::kAdd, pick(6, 8), 0));
                    }
                    break;
                case 2:
                    add({store(op::kDw, 10, kSpillAt, 7), load(op::kW, 1, 10, kSpillAt),
                         alu(op::kAdd, 8, 1)});
                    break;
                case 3:
                    add({jump_k(op::kJsgt, pick(6, 8), pick(-5, 5), 1), add_k(6, 17)});
                    break;
                case 4:
                    if (chance(4)) {
                        add({mov_k(1, pick(1, 9)), mov_k(2, 0), call(kRedirect)});
                    }
                    break;
                default:
                    arithmetic();
                    break;
            }
        }
        add({load(op::kDw, 1, 9, 0), alu(op::kAdd, 1, 6), store(op::kDw, 9, 0, 1), mov(0, 6),
             alu(op::kAdd, 0, 7), alu(op::kXor, 0, 8), exit_insn()});
    }

    std::mt19937_64& random_;
    const RandomMaps& maps_;
    int functions_ = 0;
    int called_ = 0;  // functions up to this one have a caller
    std::vector<Insn> out_;
    std::vector<std::size_t> start_;
    std::vector<std::pair<std::size_t, int>> calls_;  // instruction, callee
};

}  // namespace

ebpf::Program make_random_functions(std::mt19937_64& random, const RandomMaps& maps) {
    return Generator(random, maps).run();
}

}  // namespace crema::test
