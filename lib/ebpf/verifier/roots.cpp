// SPDX-License-Identifier: BSD-3-Clause
//
// What is walked, one after the other: the program, then what it registered to run later, then
// global functions that something walked calls. And what is known of functions before any walk.
#include <algorithm>
#include <cerrno>

#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

constexpr std::int32_t kTailCall = 12;

bool is_helper_call(const Insn& insn) {
    return is_call(insn) && insn.src == op::kHelperCall;
}

/// LD_ABS or LD_IND, a read of a socket buffer.
bool is_ld_abs(const Insn& insn) {
    return op::insn_class(insn.code) == op::kLd &&
           (op::mode(insn.code) == op::kAbs || op::mode(insn.code) == op::kInd);
}

}  // namespace

/// tail_calls of each function itself; moves_packet also of what it calls.
void Machine::find_effects() {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> calls;
    for (std::uint32_t i = 0; i < program_.insns.size(); ++i) {
        const Insn& insn = program_.insns[i];
        FunctionFacts& facts = proof_.functions[function_of(functions_, i)];
        if (is_helper_call(insn)) {
            const auto* helper = helpers::find(static_cast<std::uint32_t>(insn.imm));
            facts.tail_calls = facts.tail_calls || insn.imm == kTailCall;
            facts.moves_packet = facts.moves_packet || insn.imm == kTailCall ||
                                 (helper != nullptr && helper->moves_packet);
        } else if (is_call(insn) && insn.src == op::kPseudoKfunc) {
            const auto* kfunc = kfuncs::find(insn.imm);
            facts.moves_packet = facts.moves_packet || (kfunc != nullptr && kfunc->moves_packet);
        } else if (const auto target = function_target(insn, i)) {
            calls.emplace_back(function_of(functions_, i),
                               function_of(functions_, static_cast<std::uint32_t>(*target)));
        }
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (const auto& [caller, callee] : calls) {
            if (proof_.functions[callee].moves_packet && !proof_.functions[caller].moves_packet) {
                proof_.functions[caller].moves_packet = true;
                changed = true;
            }
        }
    }
}

std::optional<Refusal> Machine::check_functions() const {
    if (program_.is_extension && !program_.may_move_packet && proof_.functions[0].moves_packet) {
        return Refusal{EINVAL, 0, "Extension program changes packet data, while original does not"};
    }
    for (std::uint32_t n = 1; n < functions_.size(); ++n) {
        const bool reads_skb = std::any_of(program_.insns.begin() + functions_[n].first,
                                           program_.insns.begin() + functions_[n].end,
                                           [](const Insn& insn) { return is_ld_abs(insn); });
        if (reads_skb && functions_[n].btf_type == 0) {
            return Refusal{EINVAL, functions_[n].first,
                           "LD_ABS is not allowed in subprogs without BTF"};
        }
        if (reads_skb && !returns_number(n)) {
            return Refusal{EINVAL, functions_[n].first,
                           "LD_ABS is only allowed in functions that return 'int'."};
        }
        if (proof_.functions[n].tail_calls && functions_[n].btf_type == 0) {
            return Refusal{EINVAL, functions_[n].first,
                           "tail_call is not allowed in subprogs without BTF"};
        }
        if (proof_.functions[n].tail_calls && !returns_number(n)) {
            return Refusal{EINVAL, functions_[n].first,
                           "tail_call is only allowed in functions that return 'int'."};
        }
    }
    return std::nullopt;
}

Status Machine::walk_roots() {
    Root program{.function = 0, .args = {}, .is_async = false};
    program.args[0] = Reg::pointer(RegType::ctx);
    if (program_.is_extension) {
        const auto args = global_entry(0);
        if (!args) {
            return tl::unexpected<Error>(located(args.error().code, 0, args.error().message));
        }
        program.args = *args;
        proof_.starts_with_context = program.args[0].type == RegType::ctx;
    }
    if (auto ok = explore(program); !ok) {
        return ok;
    }
    for (std::uint32_t n = 1; n < functions_.size();) {
        if (!roots_.empty()) {
            const Root root = roots_.back();
            roots_.pop_back();
            walked_async_.push_back(root);
            if (auto ok = explore(root); !ok) {
                return ok;
            }
            continue;
        }
        if (!called_[n] || proof_.functions[n].global) {
            ++n;
            continue;
        }
        if (auto ok = walk_global(n); !ok) {
            return ok;
        }
        n = 1;  // it may call one that was passed
    }
    return {};
}

Status Machine::walk_global(std::uint32_t function) {
    proof_.functions[function].global = true;
    insn_ = functions_[function].first;
    if (logging()) {
        log_text(fmt::format("Validating {}() func#{}...\n", functions_[function].name, function));
    }
    const auto args = global_entry(function);
    if (!args) {
        return tl::unexpected<Error>(located(args.error().code, insn_, args.error().message));
    }
    if (auto ok = explore({.function = function, .args = *args, .is_async = false}); !ok) {
        return ok;
    }
    if (logging()) {
        log_text(fmt::format("Func#{} ('{}') is safe for any args that match its prototype\n",
                             function, functions_[function].name));
    }
    return {};
}

/// A state at the start of a root's function.
void Machine::start(const Root& root) {
    cur_ = State{};
    std::copy(root.args.begin(), root.args.end(), cur_.regs.begin() + 1);
    cur_.regs[kFramePointer] = Reg::pointer(RegType::stack);
    cur_.function = root.function;
    cur_.is_async = root.is_async;
    cur_.in_callback = root.is_async;
    cur_.returns_max = 0;
    cur_.slots_set[0] = ~std::uint64_t{0};
    insn_ = functions_[root.function].first;
    from_ = insn_;
    path_starts_ = true;
    path_ended_ = false;
}

}  // namespace crema::ebpf::verifier
