// SPDX-License-Identifier: BSD-3-Clause
//
// The forward scan behind plan.h. It tracks constants and frame addresses in registers and 32-bit
// constants on the stack, forgets everything where paths join, and all of the stack at a store to
// an address it does not know and after a helper that may write to memory.
#include "lib/ebpf/lowering/plan.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/kfuncs/kfuncs.h"
#include "lib/ebpf/lowering/emit.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/structure.h"

namespace crema::ebpf::lowering {

namespace {

constexpr std::int32_t kMapLookup = 1, kProcessorId = 8;  // helpers

/// Which store wrote each byte of the frame last, in program order: a hint, and never more, about
/// how wide it is best loaded.
class FrameStores {
  public:
    void note(std::int64_t offset, std::uint32_t bytes) {
        stores_++;
        for (std::uint32_t i = 0; i < bytes; i++) {
            if (std::uint16_t* at = find(offset + i); at != nullptr) {
                *at = stores_;
            }
        }
    }

    /// Did one store write all of [offset, offset + bytes)? Bytes that no store wrote count as
    /// written together, but for `known`: then a store must be known.
    [[nodiscard]] bool are_of_one_store(std::int64_t offset, std::uint32_t bytes, bool known) {
        const std::uint16_t* const first = find(offset);
        if (first == nullptr || (known && *first == 0)) {
            return !known;
        }
        for (std::uint32_t i = 1; i < bytes; i++) {
            const std::uint16_t* const at = find(offset + i);
            if (at == nullptr || *at != *first) {
                return false;
            }
        }
        return true;
    }

    /// The widest loads that take [offset, offset + bytes), each from one store.
    [[nodiscard]] std::vector<KeyLoad::Piece> pieces(std::int64_t offset, std::uint32_t bytes) {
        std::vector<KeyLoad::Piece> pieces;
        for (std::uint32_t at = 0; at < bytes;) {
            const std::uint32_t left = std::min(bytes - at, 8 - at % 8);
            std::uint32_t width = 8;
            while (width > 1 && (width > left || at % width != 0 ||
                                 !are_of_one_store(offset + at, width, width == 8))) {
                width /= 2;
            }
            pieces.push_back(
                {.at = static_cast<std::uint8_t>(at), .bytes = static_cast<std::uint8_t>(width)});
            at += width;
        }
        return pieces;
    }

    /// The width of all loads that take [offset, offset + bytes), each from one store: 4, 2 or 1.
    [[nodiscard]] std::uint8_t common_width(std::int64_t offset, std::uint32_t bytes) {
        for (std::uint8_t width = 4; width > 1; width /= 2) {
            bool fits = true;
            for (std::uint32_t at = 0; at + width <= bytes && fits; at += width) {
                fits = are_of_one_store(offset + at, width, false);
            }
            if (fits) {
                return width;
            }
        }
        return 1;
    }

  private:
    static constexpr std::int64_t kFrameBytes = 512;

    [[nodiscard]] std::uint16_t* find(std::int64_t offset) {
        return offset < 0 && offset >= -kFrameBytes
                   ? &store_of_[static_cast<std::size_t>(offset + kFrameBytes)]
                   : nullptr;
    }

    std::array<std::uint16_t, kFrameBytes> store_of_{};  // 0: none
    std::uint16_t stores_ = 0;
};

struct Value {
    enum class Kind : std::uint8_t { unknown, constant, frame, not_null };
    Kind kind = Kind::unknown;
    std::int64_t number = 0;  // constant: its bits; frame: offset to r10
};

class Scan {
  public:
    Scan() { forget_all(); }

    void forget_all() {
        regs_.fill({});
        regs_[kFrame] = {Value::Kind::frame, 0};
        words_.clear();
    }

    void step(const Insn& insn, std::int32_t next_imm) {
        switch (op::insn_class(insn.code)) {
            case op::kLd:
                regs_[insn.dst] = {};
                if (insn.src == 0) {
                    const auto high = static_cast<std::uint64_t>(next_imm) << 32U;
                    regs_[insn.dst] = {
                        Value::Kind::constant,
                        static_cast<std::int64_t>(high | static_cast<std::uint32_t>(insn.imm))};
                }
                return;
            case op::kLdx:
                regs_[insn.dst] = {};
                return;
            case op::kSt:
                store(insn, {Value::Kind::constant, insn.imm});
                return;
            case op::kStx:
                if (!is_load_acquire(insn)) {
                    store(insn, op::mode(insn.code) == op::kMem ? regs_[insn.src] : Value{});
                }
                if (const int result = is_atomic(insn) ? atomic_result(insn) : -1; result >= 0) {
                    regs_[static_cast<std::size_t>(result)] = {};
                }
                return;
            case op::kAlu:
            case op::kAlu64:
                arithmetic(insn);
                return;
            default:
                return;  // jumps change nothing; calls are seen by after_call()
        }
    }

    void after_call(bool result_is_address, bool memory_changed) {
        if (memory_changed) {
            words_.clear();
        }
        for (std::uint8_t reg = 0; reg <= kR5; reg++) {
            regs_[reg] = {};
        }
        regs_[kR0].kind = result_is_address ? Value::Kind::not_null : Value::Kind::unknown;
    }

    [[nodiscard]] bool is_not_null(Reg reg) const {
        return regs_[reg].kind == Value::Kind::not_null;
    }

    /// The low half of a register, when it is a constant.
    [[nodiscard]] std::optional<std::uint32_t> low_half(Reg reg) const {
        const Value& value = regs_[reg];
        return value.kind == Value::Kind::constant
                   ? std::optional(static_cast<std::uint32_t>(value.number))
                   : std::nullopt;
    }

    /// How far from r10 `pointer` points.
    [[nodiscard]] std::optional<std::int32_t> frame_offset(Reg pointer) const {
        const Value& value = regs_[pointer];
        const bool in_frame = value.kind == Value::Kind::frame && value.number < 0 &&
                              value.number >= -static_cast<std::int64_t>(INT16_MAX);
        return in_frame ? std::optional(static_cast<std::int32_t>(value.number)) : std::nullopt;
    }

    [[nodiscard]] FrameStores& stores() { return stores_; }

    /// The 32-bit word that `pointer` points to.
    [[nodiscard]] std::optional<std::uint32_t> word_at(Reg pointer) const {
        const Value& value = regs_[pointer];
        const auto found =
            value.kind == Value::Kind::frame ? words_.find(value.number) : words_.end();
        return found != words_.end() ? std::optional(found->second) : std::nullopt;
    }

  private:
    void arithmetic(const Insn& insn) {
        const bool is64 = op::insn_class(insn.code) == op::kAlu64;
        const std::uint8_t operation = op::operation(insn.code);
        Value& dst = regs_[insn.dst];
        if (operation == op::kMov && !is_signed_form(insn)) {
            Value value{Value::Kind::constant, insn.imm};
            if (op::is_reg_source(insn.code)) {
                value = regs_[insn.src];
            }
            if (!is64) {
                // A 32-bit move of an address keeps half of it.
                value = value.kind == Value::Kind::constant
                            ? Value{value.kind, static_cast<std::uint32_t>(value.number)}
                            : Value{};
            }
            dst = value;
            return;
        }
        const bool moves_frame_address = operation == op::kAdd && is64 &&
                                         !op::is_reg_source(insn.code) &&
                                         dst.kind == Value::Kind::frame;
        if (moves_frame_address) {
            dst.number += insn.imm;
        } else {
            dst = {};
        }
    }

    void store(const Insn& insn, const Value& value) {
        const Value& base = regs_[insn.dst];
        if (base.kind != Value::Kind::frame) {
            words_.clear();
            return;
        }
        const std::int64_t at = base.number + insn.off;
        const std::uint32_t bytes = op::access_bytes(insn.code);
        stores_.note(at, bytes);
        words_.erase(words_.upper_bound(at - 4), words_.lower_bound(at + bytes));
        if (value.kind == Value::Kind::constant && bytes >= 4) {
            words_[at] = static_cast<std::uint32_t>(value.number);
            if (bytes == 8) {
                words_[at + 4] =
                    static_cast<std::uint32_t>(static_cast<std::uint64_t>(value.number) >> 32U);
            }
        }
    }

    std::array<Value, 11> regs_;
    std::map<std::int64_t, std::uint32_t> words_;  // by offset to r10; never overlap
    FrameStores stores_;                           // of the function, whatever is forgotten
};

constexpr std::uint32_t kHalfWord = 4;

/// The key in halves of words, whatever stored it.
std::vector<KeyLoad::Piece> default_pieces(std::uint32_t bytes) {
    std::vector<KeyLoad::Piece> pieces;
    for (std::uint32_t at = 0; at < bytes;) {
        std::uint32_t width = kHalfWord;
        while (width > bytes - at) {
            width /= 2;
        }
        pieces.push_back(
            {.at = static_cast<std::uint8_t>(at), .bytes = static_cast<std::uint8_t>(width)});
        at += width;
    }
    return pieces;
}

std::optional<KeyLoad> plan_key_load(const maps::Map& map, Scan& scan) {
    KeyLoad load{.lookup = helpers::register_lookup(map),
                 .frame_offset = scan.frame_offset(kR2),
                 .pieces = {}};
    if (load.lookup.native == nullptr) {
        return std::nullopt;
    }
    const std::uint32_t bytes = map.spec().key_size;
    load.pieces =
        load.frame_offset ? scan.stores().pieces(*load.frame_offset, bytes) : default_pieces(bytes);
    return load;
}

CallPlan plan_call(const Program& program,
                   const Insn& insn,
                   const verifier::InsnFacts& facts,
                   Scan& scan) {
    if (insn.imm == kProcessorId) {
        return {.kind = CallPlan::Kind::processor_id, .key = {}};
    }
    if (facts.map < 0) {
        return {};
    }
    const maps::Map& map = *program.maps[static_cast<std::size_t>(facts.map)];
    const maps::ValueLayout layout = map.layout();
    if (insn.imm != kMapLookup || layout.base == nullptr || layout.stride > INT32_MAX ||
        layout.percpu_stride > INT32_MAX) {
        // Strides must fit the immediate of a multiplication.
        CallPlan plan;
        if (const auto offset = scan.frame_offset(kR2)) {
            plan.piece_bytes = scan.stores().common_width(*offset, map.spec().key_size);
        }
        return plan;
    }
    return {
        .kind = layout.percpu_stride == 0 ? CallPlan::Kind::array : CallPlan::Kind::percpu_array,
        .key = scan.word_at(kR2)};
}

bool is_null_check(const Insn& insn) {
    return insn.imm == 0 && (insn.code == (op::kJmp | op::kK | op::kJeq) ||
                             insn.code == (op::kJmp | op::kK | op::kJne));
}

class Planner {
  public:
    Planner(const Program& program,
            const verifier::Proof& proof,
            const Flow& flow,
            std::size_t functions)
        : program_(program), proof_(proof), flow_(flow) {
        const std::size_t n = program.insns.size();
        plan_.calls.resize(n);
        plan_.branches.resize(n);
        plan_.call_reads.resize(n);
        plan_.functions.resize(functions);
    }

    void walk(const Function& range, std::size_t function) {
        FunctionPlan& own = plan_.functions[function];
        scan_ = Scan();
        for (std::size_t at = range.first; at < range.end; at++) {
            plan_.branches[at] = proof_.insns[at].branch;
            if (!flow_.emitted[at] || flow_.is_target[at]) {
                scan_.forget_all();  // paths join, or what follows is reached from elsewhere
            }
            if (!flow_.emitted[at]) {
                continue;
            }
            const Insn& insn = program_.insns[at];
            if (is_call(insn)) {
                call(at, own);
                continue;
            }
            own.needs_counter = own.needs_counter || insn.code == op::kMayGoto;
            fold_null_check(at);
            scan_.step(insn, insn.code == op::kLdImm64 ? program_.insns[at + 1].imm : 0);
            at += insn.code == op::kLdImm64 ? 1 : 0;
        }
        plan_.shares_context = plan_.shares_context || (function != 0 && own.needs_context);
    }

    Plan take() {
        // The first function is the one that knows the context.
        plan_.functions[0].needs_context = plan_.functions[0].needs_context || plan_.shares_context;
        return std::move(plan_);
    }

  private:
    void call(std::size_t at, FunctionPlan& own) {
        const Insn& insn = program_.insns[at];
        if (insn.src == op::kPseudoCall) {
            // How many arguments it takes is its own business.
            plan_.call_reads[at] = kArgumentRegs;
            scan_.after_call(false, true);
            return;
        }
        if (insn.src == op::kPseudoKfunc) {
            plan_.call_reads[at] = kfuncs::find(insn.imm)->registers_read();
            scan_.after_call(false, true);
            return;
        }
        const auto& prototype = *helpers::find(static_cast<std::uint32_t>(insn.imm));
        CallPlan& call = plan_.calls[at];
        call = plan_call(program_, insn, proof_.insns[at], scan_);
        bool wants_context = prototype.wants_context;
        if (insn.imm == kMapLookup && call.kind == CallPlan::Kind::native &&
            proof_.insns[at].map >= 0) {
            const auto map = static_cast<std::size_t>(proof_.insns[at].map);
            if (auto load = plan_key_load(*program_.maps[map], scan_)) {
                call.kind = CallPlan::Kind::register_lookup;
                wants_context = load->lookup.wants_context;
                plan_.call_reads[at] = load->frame_offset ? 0 : reg_bit(kR2);
                plan_.key_loads.emplace(at, std::move(*load));
            }
        }
        const bool by_registers = call.kind == CallPlan::Kind::register_lookup;
        const bool inlined = call.kind != CallPlan::Kind::native && !by_registers;
        const bool by_key = inlined && call.kind != CallPlan::Kind::processor_id;
        const RegSet key_reads = by_key && !call.key ? reg_bit(kR2) : 0;
        if (!by_registers) {
            plan_.call_reads[at] = inlined ? key_reads : prototype.registers_read();
        }
        if (insn.imm == kTailCall && proof_.insns[at].map >= 0) {
            call.key = scan_.low_half(kR3);
            plan_.call_reads[at] =
                reg_bit(kR1) | (call.key ? 0 : reg_bit(kR3));  // the map is known
        }
        own.needs_context = own.needs_context || call.kind == CallPlan::Kind::percpu_array ||
                            call.kind == CallPlan::Kind::processor_id ||
                            (insn.imm == kTailCall && proof_.insns[at].map < 0) ||
                            (!inlined && wants_context);
        const bool found =
            inlined && call.key &&
            *call.key <
                program_.maps[static_cast<std::size_t>(proof_.insns[at].map)]->spec().max_entries;
        scan_.after_call(found, prototype.writes_memory());
    }

    void fold_null_check(std::size_t at) {
        const Insn& insn = program_.insns[at];
        if (is_null_check(insn) && scan_.is_not_null(insn.dst) &&
            plan_.branches[at] == verifier::Branch::both) {
            plan_.branches[at] = op::operation(insn.code) == op::kJeq
                                     ? verifier::Branch::never_taken
                                     : verifier::Branch::always_taken;
        }
    }

    const Program& program_;
    const verifier::Proof& proof_;
    const Flow& flow_;
    Plan plan_;
    Scan scan_;
};

}  // namespace

Plan make_plan(const Program& program,
               const verifier::Proof& proof,
               const Flow& flow,
               std::span<const Function> functions) {
    Planner planner(program, proof, flow, functions.size());
    for (std::size_t f = 0; f < functions.size(); f++) {
        planner.walk(functions[f], f);
    }
    return planner.take();
}

}  // namespace crema::ebpf::lowering
