// SPDX-License-Identifier: BSD-3-Clause
//
// The checks of structure.h, in the order in which the kernel makes them, so that a program with
// two faults is refused for the same one: jump ranges, opcodes, reachability.
#include "lib/ebpf/program/structure.h"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <iterator>
#include <set>
#include <string>
#include <vector>

namespace crema::ebpf {

namespace {

template <typename... Args>
Refusal refuse(std::uint32_t insn, fmt::format_string<Args...> text, Args&&... args) {
    return Refusal{EINVAL, insn, fmt::format(text, std::forward<Args>(args)...)};
}

bool known_alu(std::uint8_t code) {
    const std::uint8_t operation = op::operation(code);
    if (operation > op::kEnd) {
        return false;
    }
    if (operation == op::kNeg) {
        return !op::is_reg_source(code);
    }
    if (operation == op::kEnd) {
        return op::insn_class(code) == op::kAlu || !op::is_reg_source(code);
    }
    return true;
}

bool known_jump(std::uint8_t code) {
    const std::uint8_t operation = op::operation(code);
    if (operation > op::kJsle) {
        return code == 0xe5;  // may_goto
    }
    if (operation == op::kJa) {
        return !op::is_reg_source(code);
    }
    if (operation == op::kCall || operation == op::kExit) {
        return op::insn_class(code) == op::kJmp && !op::is_reg_source(code);
    }
    return true;
}

bool known_load(std::uint8_t code) {
    const std::uint8_t mode = op::mode(code);
    if (op::insn_class(code) == op::kLdx) {
        return mode == op::kMem || (mode == op::kMemSx && op::size_field(code) != op::kDw);
    }
    if (mode == op::kAbs || mode == op::kInd) {
        return op::size_field(code) != op::kDw;
    }
    return code == op::kLdImm64;
}

bool known_opcode(std::uint8_t code) {
    switch (op::insn_class(code)) {
        case op::kAlu:
        case op::kAlu64:
            return known_alu(code);
        case op::kJmp:
        case op::kJmp32:
            return known_jump(code);
        case op::kLd:
        case op::kLdx:
            return known_load(code);
        case op::kSt:
            return op::mode(code) == op::kMem;
        default:
            return op::mode(code) == op::kMem || op::mode(code) == op::kAtomic;
    }
}

std::optional<Refusal> check_jumps(const Program& program, const Function& function) {
    for (std::uint32_t i = function.first; i < function.end; ++i) {
        const Insn& insn = program.insns[i];
        if (op::insn_class(insn.code) != op::kJmp && op::insn_class(insn.code) != op::kJmp32) {
            continue;
        }
        const std::uint8_t operation = op::operation(insn.code);
        if (operation == op::kCall || operation == op::kExit) {
            continue;
        }
        const bool long_jump = insn.code == (op::kJmp32 | op::kJa);
        const std::int64_t target =
            std::int64_t{i} + 1 + (long_jump ? std::int64_t{insn.imm} : std::int64_t{insn.off});
        if (target < function.first || target >= function.end) {
            return refuse(i, "jump out of range from insn {} to {}", i, target);
        }
    }
    const Insn& last = program.insns[function.end - 1];
    const bool jumps = last.code == (op::kJmp | op::kJa) || last.code == (op::kJmp32 | op::kJa);
    if (!is_exit(last) && !jumps) {
        return refuse(function.end - 1, "last insn is not an exit or jmp");
    }
    return std::nullopt;
}

std::optional<Refusal> check_ld_imm64(const Program& program, std::uint32_t i) {
    const Insn& insn = program.insns[i];
    if (i + 1 == program.insns.size()) {
        return refuse(i, "invalid bpf_ld_imm64 insn");
    }
    const Insn& second = program.insns[i + 1];
    if (second.code != 0 || second.dst != 0 || second.src != 0 || second.off != 0) {
        return refuse(i, "invalid bpf_ld_imm64 insn");
    }
    switch (insn.src) {
        case 0:
        case op::kPseudoFunc:
            return std::nullopt;
        case op::kPseudoBtfId:
            if (second.imm != 0) {  // the types of a kernel's module: there are none
                return refuse(i, "invalid module BTF object FD specified.");
            }
            return std::nullopt;
        case op::kPseudoMap:
            if (second.imm != 0) {
                return refuse(i, "unrecognized bpf_ld_imm64 insn");
            }
            [[fallthrough]];
        case op::kPseudoMapValue:
            if (insn.imm < 0 || static_cast<std::size_t>(insn.imm) >= program.maps.size() ||
                program.maps[static_cast<std::size_t>(insn.imm)] == nullptr) {
                return refuse(i, "map index {} is not one of the program's {} maps", insn.imm,
                              program.maps.size());
            }
            return std::nullopt;
        default:
            return refuse(i, "unrecognized bpf_ld_imm64 insn");
    }
}

std::optional<Refusal> check_opcodes(const Program& program) {
    for (std::uint32_t i = 0; i < program.insns.size(); ++i) {
        const Insn& insn = program.insns[i];
        if (insn.code == op::kLdImm64) {
            if (auto refusal = check_ld_imm64(program, i)) {
                return refusal;
            }
            ++i;
            continue;
        }
        if (op::insn_class(insn.code) == op::kLdx &&
            ((op::mode(insn.code) != op::kMem && op::mode(insn.code) != op::kMemSx) ||
             insn.imm != 0)) {
            return refuse(i, "BPF_LDX uses reserved fields");
        }
        if (!known_opcode(insn.code)) {
            return refuse(i, "unknown opcode {:02x}", insn.code);
        }
    }
    return std::nullopt;
}

std::optional<Refusal> check_reachable(const Program& program) {
    const auto& insns = program.insns;
    std::vector<bool> seen(insns.size(), false);
    std::vector<std::uint32_t> work{0};
    seen[0] = true;
    while (!work.empty()) {
        const std::uint32_t i = work.back();
        work.pop_back();
        const Successors next = successors(insns[i], i);
        std::vector<std::int64_t> targets(next.all().begin(), next.all().end());
        if (const auto function = function_target(insns[i], i)) {
            targets.push_back(*function);
        }
        for (const std::int64_t target : targets) {
            if (target < 0 || target >= static_cast<std::int64_t>(insns.size())) {
                return refuse(i, "jump out of range from insn {} to {}", i, target);
            }
            const auto to = static_cast<std::uint32_t>(target);
            if (!seen[to]) {
                seen[to] = true;
                work.push_back(to);
            }
        }
    }
    for (std::uint32_t i = 0; i < insns.size(); ++i) {
        if (!seen[i]) {
            return refuse(i, "unreachable insn {}", i);
        }
        if (insns[i].code == op::kLdImm64) {
            if (seen[i + 1]) {
                return refuse(i, "jump into the middle of ldimm64 insn {}", i);
            }
            ++i;
        }
    }
    return std::nullopt;
}

bool is_end_wrong(const Insn& insn) {
    return insn.src != 0 || insn.off != 0 || (insn.imm != 16 && insn.imm != 32 && insn.imm != 64);
}

bool is_mov_wrong(const Insn& insn) {
    if (!op::is_reg_source(insn.code)) {
        return insn.src != 0 || insn.off != 0;
    }
    const bool wide = op::insn_class(insn.code) == op::kAlu64;
    const bool sign_extends = insn.off == 8 || insn.off == 16 || (wide && insn.off == 32);
    return insn.imm != 0 || (insn.off != 0 && !sign_extends && !(wide && insn.off == 1));
}

std::optional<Refusal> check_alu_fields(const Insn& insn, std::uint32_t i) {
    const std::uint8_t operation = op::operation(insn.code);
    if (operation == op::kNeg) {
        if (insn.src != 0 || insn.off != 0 || insn.imm != 0) {
            return refuse(i, "BPF_NEG uses reserved fields");
        }
        return std::nullopt;
    }
    if (operation == op::kEnd) {
        return is_end_wrong(insn) ? std::optional(refuse(i, "BPF_END uses reserved fields"))
                                  : std::nullopt;
    }
    if (operation == op::kMov) {
        return is_mov_wrong(insn) ? std::optional(refuse(i, "BPF_MOV uses reserved fields"))
                                  : std::nullopt;
    }
    const bool divides = operation == op::kDiv || operation == op::kMod;
    const bool off_wrong = insn.off != 0 && !(insn.off == 1 && divides);
    if (off_wrong || (op::is_reg_source(insn.code) ? insn.imm != 0 : insn.src != 0)) {
        return refuse(i, "BPF_ALU uses reserved fields");
    }
    if (op::is_reg_source(insn.code)) {
        return std::nullopt;
    }
    if (divides && insn.imm == 0) {
        return refuse(i, "div by zero");
    }
    const bool shifts = operation == op::kLsh || operation == op::kRsh || operation == op::kArsh;
    const std::int32_t width = op::insn_class(insn.code) == op::kAlu64 ? 64 : 32;
    if (shifts && (insn.imm < 0 || insn.imm >= width)) {
        return refuse(i, "invalid shift {}", insn.imm);
    }
    return std::nullopt;
}

std::optional<Refusal> check_jump_fields(const Insn& insn, std::uint32_t i) {
    const bool wide = op::insn_class(insn.code) == op::kJmp;
    switch (op::operation(insn.code)) {
        case op::kCall:
            if (insn.dst != 0 || insn.src > op::kPseudoKfunc ||
                (insn.src != op::kPseudoKfunc && insn.off != 0)) {
                return refuse(i, "BPF_CALL uses reserved fields");
            }
            return std::nullopt;
        case op::kJa:
            if (insn.dst != 0 || insn.src != 0 || (wide ? insn.imm != 0 : insn.off != 0)) {
                return refuse(i, "BPF_JA uses reserved fields");
            }
            return std::nullopt;
        case op::kExit:
            if (insn.dst != 0 || insn.src != 0 || insn.imm != 0) {
                return refuse(i, "BPF_EXIT uses reserved fields");
            }
            return std::nullopt;
        case op::kJcond:
            if (insn.src != 0 || insn.dst != 0 || insn.imm != 0) {
                return refuse(i, "invalid may_goto imm {}", insn.imm);
            }
            return std::nullopt;
        default:
            if (op::is_reg_source(insn.code) ? insn.imm != 0 : insn.src != 0) {
                return refuse(i, "BPF_JMP/JMP32 uses reserved fields");
            }
            return std::nullopt;
    }
}

bool known_atomic(std::int32_t imm) {
    switch (imm & ~op::kFetch) {
        case op::kAdd:
        case op::kOr:
        case op::kAnd:
        case op::kXor:
            return true;
        default:
            return imm == op::kAtomicXchg || imm == op::kAtomicCmpxchg || imm == op::kLoadAcquire ||
                   imm == op::kStoreRelease;
    }
}

std::optional<Refusal> check_store_fields(const Insn& insn, std::uint32_t i) {
    if (!is_atomic(insn)) {
        return insn.imm != 0 ? std::optional(refuse(i, "BPF_STX uses reserved fields"))
                             : std::nullopt;
    }
    if (!known_atomic(insn.imm)) {
        return refuse(i, "BPF_ATOMIC uses invalid atomic opcode {:02x}",
                      static_cast<std::uint32_t>(insn.imm));
    }
    const bool any_size = is_load_acquire(insn) || is_store_release(insn);
    if (!any_size && op::access_bytes(insn.code) < 4) {
        return refuse(i, "invalid atomic operand size");
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::int64_t> function_target(const Insn& insn, std::uint32_t index) {
    const bool calls = is_call(insn) && insn.src == op::kPseudoCall;
    const bool takes_address = insn.code == op::kLdImm64 && insn.src == op::kPseudoFunc;
    if (!calls && !takes_address) {
        return std::nullopt;
    }
    return std::int64_t{index} + 1 + insn.imm;
}

std::optional<Refusal> find_functions(Program& program) {
    return find_functions(program.insns, program.functions);
}

std::optional<Refusal> find_functions(std::span<const Insn> insns,
                                      std::vector<Function>& functions) {
    const auto size = static_cast<std::int64_t>(insns.size());
    if (size == 0) {
        functions.clear();
        return std::nullopt;  // check_structure() says what is wrong
    }
    std::set<std::uint32_t> starts{0};
    for (std::uint32_t i = 0; i < insns.size(); ++i) {
        const auto target = function_target(insns[i], i);
        if (!target) {
            continue;
        }
        if (*target < 0 || *target >= size) {
            return refuse(i, "call to invalid destination");
        }
        starts.insert(static_cast<std::uint32_t>(*target));
        if (starts.size() > kFunctionsMax) {
            return Refusal{E2BIG, i, "too many subprograms"};
        }
    }
    std::vector<Function> found;
    for (auto at = starts.begin(); at != starts.end(); ++at) {
        const auto after = std::next(at);
        Function function;
        function.first = *at;
        function.end = after != starts.end() ? *after : static_cast<std::uint32_t>(size);
        for (const Function& known : functions) {
            if (known.first == function.first) {
                function.name = known.name;
                function.btf_type = known.btf_type;
            }
        }
        found.push_back(std::move(function));
    }
    functions = std::move(found);
    return std::nullopt;
}

std::uint32_t function_of(std::span<const Function> functions, std::uint32_t insn) {
    const auto after =
        std::upper_bound(functions.begin(), functions.end(), insn,
                         [](std::uint32_t at, const Function& f) { return at < f.first; });
    return static_cast<std::uint32_t>(after - functions.begin()) - 1;
}

Successors successors(const Insn& insn, std::uint32_t index) {
    Successors result;
    const std::int64_t next = std::int64_t{index} + (insn.code == op::kLdImm64 ? 2 : 1);
    const std::uint8_t cls = op::insn_class(insn.code);
    if (cls != op::kJmp && cls != op::kJmp32) {
        result.target[result.count++] = next;
        return result;
    }
    switch (op::operation(insn.code)) {
        case op::kExit:
            return result;
        case op::kCall:
            result.target[result.count++] = next;
            return result;
        case op::kJa:
            result.target[result.count++] =
                next + (cls == op::kJmp ? std::int64_t{insn.off} : std::int64_t{insn.imm});
            return result;
        default:
            result.target[result.count++] = next;
            result.target[result.count++] = next + insn.off;
            return result;
    }
}

std::optional<Refusal> check_structure(const Program& program) {
    if (program.insns.empty() || program.insns.size() > 1'000'000) {
        return Refusal{E2BIG, 0,
                       fmt::format("{} instructions, must be 1 to 1000000", program.insns.size())};
    }
    std::vector<Function> functions = program.functions;
    if (functions.empty()) {
        if (auto refusal = find_functions(program.insns, functions)) {
            return refusal;
        }
    }
    for (const Function& function : functions) {
        if (auto refusal = check_jumps(program, function)) {
            return refusal;
        }
    }
    if (auto refusal = check_opcodes(program)) {
        return refusal;
    }
    return check_reachable(program);
}

std::optional<Refusal> check_reserved_fields(const Insn& insn, std::uint32_t index) {
    std::optional<Refusal> refusal;
    switch (op::insn_class(insn.code)) {
        case op::kAlu:
        case op::kAlu64:
            refusal = check_alu_fields(insn, index);
            break;
        case op::kJmp:
        case op::kJmp32:
            refusal = check_jump_fields(insn, index);
            break;
        case op::kLd:
            if (insn.code == op::kLdImm64 && insn.off != 0) {
                refusal = refuse(index, "BPF_LD_IMM64 uses reserved fields");
            }
            break;
        case op::kSt:
            if (insn.src != 0) {
                refusal = refuse(index, "BPF_ST uses reserved fields");
            }
            break;
        case op::kStx:
            refusal = check_store_fields(insn, index);
            break;
        default:
            break;
    }
    if (refusal) {
        return refusal;
    }
    if (insn.dst > 10 || (insn.src > 10 && insn.code != op::kLdImm64)) {
        return refuse(index, "R{} is invalid", unsigned{insn.dst > 10 ? insn.dst : insn.src});
    }
    return std::nullopt;
}

const char* unserved_form(const Insn& insn) {
    const bool casts_address = insn.code == (op::kAlu64 | op::kX | op::kMov) && insn.off == 1;
    return casts_address ? "address-space cast" : nullptr;
}

}  // namespace crema::ebpf
