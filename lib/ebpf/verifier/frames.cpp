// SPDX-License-Identifier: BSD-3-Clause
//
// Functions of the program. A call of a static function is walked with the caller's registers and
// stack at hand, as if its instructions stood at the call: a new frame goes in, its result comes
// out. R6..R9 stay with the caller.
#include <algorithm>
#include <cerrno>

#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

Status Machine::do_function_call(const Insn& insn) {
    const auto target = static_cast<std::uint32_t>(*function_target(insn, insn_));
    const std::uint32_t function = function_of(functions_, target);
    proof_.insns[insn_].function = static_cast<std::int32_t>(function);
    std::array<Reg, 5> args;
    std::copy_n(cur_.regs.begin() + 1, args.size(), args.begin());
    return enter(function, args);
}

/// Suspends the frame being run and starts `function` with R1..R5 = args.
Status Machine::enter(std::uint32_t function, std::array<Reg, 5> args) {
    if (cur_.depth() + 1 >= kFramesMax) {
        return fail(E2BIG, "the call stack of {} frames is too deep", cur_.depth() + 2);
    }
    record_step(Flow::enters);
    for (std::uint32_t i = 0; i <= 5; ++i) {
        cur_.regs[i] = Reg{};
    }
    Shared<Frame> caller;
    caller.edit() = std::move(static_cast<Frame&>(cur_));
    const bool in_callback = caller->in_callback;
    cur_.callers.push_back(std::move(caller));
    static_cast<Frame&>(cur_) = Frame{};
    std::copy(args.begin(), args.end(), cur_.regs.begin() + 1);
    cur_.regs[kFramePointer] = Reg::pointer(RegType::stack);
    cur_.regs[kFramePointer].frame = static_cast<std::uint8_t>(cur_.depth());
    cur_.function = function;
    cur_.call_site = insn_;
    cur_.in_callback = in_callback;
    cur_.slots_set[cur_.depth()] = ~std::uint64_t{0};  // nothing older can be read
    next_ = functions_[function].first;
    return {};
}

/// Back to the caller, which finds `result` in R0.
void Machine::leave(Reg result) {
    next_ = cur_.call_site + 1;
    const Shared<Frame> caller = std::move(cur_.callers.back());
    cur_.callers.pop_back();
    static_cast<Frame&>(cur_) = *caller;
    cur_.regs[0] = result;
}

Status Machine::do_exit() {
    if (cur_.depth() == 0) {
        path_ended_ = true;
        return check_nothing_held("BPF_EXIT instruction in main prog", true);
    }
    const Reg result = cur_.regs[0];
    if (result.type == RegType::stack) {
        return fail(EINVAL, "cannot return stack pointer to the caller");
    }
    record_step(Flow::leaves);
    leave(result);
    return {};
}

}  // namespace crema::ebpf::verifier
