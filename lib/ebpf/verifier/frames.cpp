// SPDX-License-Identifier: BSD-3-Clause
//
// Functions of the program. A call of a static function is walked with the caller's registers and
// stack at hand, as if its instructions stood at the call: a new frame goes in, its result comes
// out. R6..R9 stay with the caller. What helpers call is in callbacks.cpp.
#include <algorithm>
#include <cerrno>

#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

Status Machine::do_function_call(const Insn& insn) {
    const auto target = static_cast<std::uint32_t>(*function_target(insn, insn_));
    const std::uint32_t function = function_of(functions_, target);
    proof_.insns[insn_].function = static_cast<std::int32_t>(function);
    if (is_global(function)) {
        return do_global_call(function);
    }
    std::array<Reg, 5> args;
    std::copy_n(cur_.regs.begin() + 1, args.size(), args.begin());
    if (auto ok = enter(function, args, Flow::enters); !ok) {
        return ok;
    }
    if (logging()) {
        const std::string callee = describe_frame(cur_, cur_.depth(), program_);
        log_text(fmt::format("\ncaller:\n {}\ncallee:\n {}\n{}: {}\n",
                             describe_frame(cur_, cur_.depth() - 1, program_), callee, next_,
                             callee));
    }
    return {};
}

/// Suspends the frame being run and starts `function` with R1..R5 = args.
Status Machine::enter(std::uint32_t function, const std::array<Reg, 5>& args, Flow flow) {
    if (cur_.depth() + 1 >= kFramesMax) {
        return fail(E2BIG, "the call stack of {} frames is too deep", cur_.depth() + 2);
    }
    record_step(flow);
    if (flow == Flow::enters) {
        for (std::uint32_t i = 0; i <= 5; ++i) {
            cur_.regs[i] = Reg{};
        }
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
    cur_.is_callback = flow == Flow::enters_callback;
    cur_.in_callback = in_callback || cur_.is_callback;
    cur_.slots_set[cur_.depth()] = ~std::uint64_t{0};  // nothing older can be read
    next_ = functions_[function].first;
    return {};
}

/// Back to the caller: behind the call with `result` in R0, or to the helper that called.
void Machine::leave(const Reg& result) {
    const bool from_callback = cur_.is_callback;
    next_ = from_callback ? cur_.call_site : cur_.call_site + 1;
    record_step(from_callback ? Flow::leaves_callback : Flow::leaves);
    const Shared<Frame> caller = std::move(cur_.callers.back());
    cur_.callers.pop_back();
    static_cast<Frame&>(cur_) = *caller;
    if (!from_callback) {
        cur_.regs[0] = result;
    }
}

/// The end of what was verified on its own: the program, or a function that others run.
Status Machine::do_last_exit() {
    const Reg& result = cur_.regs[0];
    path_ended_ = true;
    if (auto ok = check_nothing_held("BPF_EXIT instruction in main prog", true); !ok) {
        return ok;
    }
    if (cur_.is_async) {
        if (!result.is_scalar()) {
            return fail(EINVAL,
                        "At async callback return the register R0 is not a known value ({})",
                        type_name(result));
        }
        return check_callback_result("At async callback return");
    }
    if (cur_.function != 0 && !result.is_scalar()) {
        return fail(EINVAL, "At subprogram exit the register R0 is not a scalar value ({})",
                    type_name(result));
    }
    return {};
}

/// A tail call that succeeds ends the function it stands in: the program that was jumped to returns
/// to the caller, with a number and with the packet where it left it. That is a path of its own;
/// the one at hand goes on as if the call had failed.
Status Machine::do_tail_call() {
    if (cur_.depth() == 0) {
        return {};
    }
    if (cur_.in_callback) {
        return fail(EINVAL, "tail_call is not allowed in a callback");
    }
    const State here = cur_;
    const std::uint32_t after = next_;
    forget_packet_pointers();
    leave(Reg::scalar(Scalar::unknown()));
    if (auto ok = fork(std::move(cur_), next_); !ok) {
        return ok;
    }
    cur_ = here;
    next_ = after;
    step_recorded_ = false;
    return {};
}

Status Machine::do_exit() {
    if (cur_.depth() == 0) {
        return do_last_exit();
    }
    const Reg result = cur_.regs[0];
    if (result.type == RegType::stack) {
        return fail(EINVAL, "cannot return stack pointer to the caller");
    }
    if (cur_.is_callback) {
        if (!result.is_scalar()) {
            return fail(EACCES, "R0 not a scalar value");
        }
        if (auto ok = check_callback_result("At callback return"); !ok) {
            return ok;
        }
    }
    const bool from_callback = cur_.is_callback;
    const std::string callee =
        logging() ? describe_frame(cur_, cur_.depth(), program_) : std::string();
    leave(result);
    if (logging()) {
        log_text(fmt::format("\nreturning from callee:\n {}\nto caller at {}:\n {}\n", callee,
                             next_, describe_frame(cur_, cur_.depth(), program_)));
    }
    if (from_callback) {
        widen_since_last_turn(cur_, next_, cur_.parent);
    }
    return {};
}

}  // namespace crema::ebpf::verifier
