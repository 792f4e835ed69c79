// SPDX-License-Identifier: BSD-3-Clause
//
// Calls of kernel functions: what may be called at all, arguments by the types and names of their
// parameters, and what comes back. Iterators are in iterators.cpp.
#include <cerrno>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

using kfuncs::ParamKind;
using kfuncs::Role;

bool is_kfunc_call(const Insn& insn) {
    return is_call(insn) && insn.src == op::kPseudoKfunc;
}

/// What a register is in messages about kernel functions.
std::string name_of_base(kfuncs::Base base) {
    switch (base) {
        case kfuncs::Base::nothing:
            return "UNKNOWN ";
        case kfuncs::Base::u16:
            return "INT unsigned short";
        case kfuncs::Base::u64:
            return "INT unsigned long long";
        case kfuncs::Base::rss_hash_type:
            return "ENUM xdp_rss_hash_type";
        default:
            return "INT unsigned int";
    }
}

bool is_kernel_pointer(RegType type) {
    return type == RegType::sock_common || type == RegType::socket || type == RegType::xdp_sock ||
           type == RegType::kernel_object || type == RegType::map_ptr;
}

}  // namespace

/// Kernel functions that the program names, whether it gets there or not.
std::optional<Refusal> Machine::check_kfuncs() const {
    for (std::uint32_t i = 0; i < program_.insns.size(); ++i) {
        const Insn& insn = program_.insns[i];
        if (insn.code == op::kLdImm64) {
            ++i;
            continue;
        }
        if (!is_kfunc_call(insn)) {
            continue;
        }
        const auto refuse = [&](int code, std::string reason) {
            return Refusal{code, i, std::move(reason)};
        };
        if (!program_.gpl_compatible) {
            return refuse(EINVAL, "cannot call kernel function from non-GPL compatible program");
        }
        if (insn.off != 0) {
            constexpr const char* kThen = "; failed to find BTF for kernel function";
            const char* why =
                insn.off < 0 ? "negative offset disallowed for kernel module function call"
                : program_.has_fd_array ? "BTF fd for kfunc is not a module BTF"
                                        : "kfunc offset > 0 without fd_array is invalid";
            const bool no_array = insn.off > 0 && !program_.has_fd_array;
            return refuse(no_array ? EPROTO : EINVAL, std::string(why) + kThen);
        }
        if (insn.imm == 0) {
            continue;  // a missing weak one: see check_missing_kfuncs()
        }
        const kfuncs::Function* function = kfuncs::find(insn.imm);
        if (function == nullptr) {
            return refuse(EINVAL, fmt::format("kernel btf_id {} is not a function", insn.imm));
        }
        if (function->role == Role::device_metadata && program_.bound_ifindex == 0) {
            return refuse(EINVAL, "metadata kfuncs require device-bound program");
        }
    }
    return std::nullopt;
}

/// Externs that the loader did not find may be called where the program does not get.
std::optional<Refusal> Machine::check_missing_kfuncs() const {
    for (std::uint32_t i = 0; i < program_.insns.size(); ++i) {
        const Insn& insn = program_.insns[i];
        if (proof_.insns[i].reachable && is_kfunc_call(insn) && insn.imm == 0) {
            return Refusal{EINVAL, i,
                           "invalid kernel function call not eliminated in verifier pass"};
        }
        i += insn.code == op::kLdImm64 ? 1 : 0;
    }
    return std::nullopt;
}

Status Machine::check_kfunc_dynptr(KfuncCall& call, std::uint32_t index) {
    using helpers::DynptrKind;
    const Reg& reg = cur_.regs[index + 1];
    if (reg.type != RegType::stack && reg.type != RegType::dynptr) {
        return fail(EINVAL, "arg#{} expected pointer to stack or const struct bpf_dynptr", index);
    }
    helpers::Arg arg{.kind = helpers::ArgKind::dynptr};
    if (kfuncs::kind_of(*call.function, index) == ParamKind::new_dynptr) {
        const bool clones = call.function->role == Role::dynptr_clone;
        return clones ? clone_dynptr(call.dynptr, index + 1)
                      : make_dynptr(DynptrKind::xdp, index + 1);
    }
    if (auto ok = check_dynptr(call.memory, arg, index + 1); !ok) {
        return ok;
    }
    call.dynptr = reg.type == RegType::dynptr ? reg : *dynptr_at(reg);
    return {};
}

/// Memory of the type's size that the function may read and write, or null.
Status Machine::check_kfunc_memory(KfuncCall& call, std::uint32_t index) {
    const kfuncs::Base base = call.function->params[index].type.base;
    const Reg& reg = cur_.regs[index + 1];
    if (is_kernel_pointer(reg.type)) {
        return fail(EINVAL, "kernel function {} args#{} pointer type {} is not supported",
                    call.function->name, index, name_of_base(base));
    }
    if (base == kfuncs::Base::nothing) {
        return fail(EINVAL, "arg#{} pointer type {} must point to scalar, or struct with scalar",
                    index, name_of_base(base));
    }
    return check_passed_memory(index + 1, kfuncs::size_of(base));
}

/// Memory with its size in the next argument.
Status Machine::check_kfunc_buffer(KfuncCall& call, std::uint32_t index) {
    const std::uint32_t regno = index + 1;
    const kfuncs::Parameter& size_param = call.function->params[index + 1];
    if (!cur_.regs[regno + 1].is_scalar()) {
        return check_kfunc_memory(call, index);
    }
    const bool absent =
        cur_.regs[regno].is_zero() && call.function->params[index].ends_with("__opt");
    for (const helpers::Use use : {helpers::Use::read, helpers::Use::update}) {
        const helpers::Arg memory{.kind = helpers::ArgKind::memory, .use = use};
        if (absent) {
            break;
        }
        if (auto ok = check_size(call.memory, memory, regno + 1, true); !ok) {
            return fail(ok.error().code,
                        "{}; arg#{} arg#{} memory, len pair leads to invalid memory access",
                        ok.error().message, index, index + 1);
        }
    }
    if (!size_param.ends_with("__szk")) {
        return {};
    }
    const Scalar& size = cur_.regs[regno + 1].s;
    if (!size.is_const()) {
        return fail(EINVAL, "R{} must be a known constant", regno + 1);
    }
    mark_reg_precise(regno + 1);
    call.constant = size.bits.value;
    return {};
}

Status Machine::check_kfunc_pointer(KfuncCall& call, std::uint32_t index) {
    const std::uint32_t regno = index + 1;
    const Reg& reg = cur_.regs[regno];
    if (call.function->trusted_args && (reg.is_zero() || reg.or_null)) {
        return fail(EACCES, "Possibly NULL pointer passed to trusted arg{}", index);
    }
    const bool has_base_only =
        reg.type == RegType::ctx || reg.type == RegType::dynptr || is_kernel_pointer(reg.type);
    if (has_base_only) {
        if (auto ok = check_unmodified(regno); !ok) {
            return ok;
        }
    }
    switch (kfuncs::kind_of(*call.function, index)) {
        case ParamKind::context:
            return reg.type == RegType::ctx
                       ? Status{}
                       : fail(EINVAL, "arg#{} expected pointer to ctx, but got {}", index,
                              type_name(reg));
        case ParamKind::dynptr:
        case ParamKind::new_dynptr:
            return check_kfunc_dynptr(call, index);
        case ParamKind::iterator:
            return check_iterator(call, index);
        case ParamKind::memory_and_size:
            return check_kfunc_buffer(call, index);
        default:
            return check_kfunc_memory(call, index);
    }
}

Status Machine::check_kfunc_argument(KfuncCall& call, std::uint32_t index) {
    const std::uint32_t regno = index + 1;
    switch (kfuncs::kind_of(*call.function, index)) {
        case ParamKind::ignored:
            return {};
        case ParamKind::number:
        case ParamKind::constant:
            if (!cur_.regs[regno].is_scalar()) {
                return fail(EINVAL, "R{} is not a scalar", regno);
            }
            if (kfuncs::kind_of(*call.function, index) == ParamKind::number) {
                return {};
            }
            if (!cur_.regs[regno].s.is_const()) {
                return fail(EINVAL, "R{} must be a known constant", regno);
            }
            mark_reg_precise(regno);
            call.constant = cur_.regs[regno].s.bits.value;
            return {};
        default:
            return check_kfunc_pointer(call, index);
    }
}

/// Regions whose ends must meet.
Status Machine::do_region(const kfuncs::Function& function) {
    Held& held = cur_.held;
    switch (function.role) {
        case Role::rcu_lock:
            if (held.rcu) {
                return fail(EINVAL, "nested rcu read lock (kernel function {})", function.name);
            }
            held.rcu = true;
            return {};
        case Role::rcu_unlock:
            if (!held.rcu) {
                return fail(EINVAL, "unmatched rcu read unlock (kernel function {})",
                            function.name);
            }
            held.rcu = false;
            return {};
        case Role::preempt_disable:
            ++held.preempt_off;
            return {};
        case Role::preempt_enable:
            if (held.preempt_off == 0) {
                return fail(EINVAL, "unmatched attempt to enable preemption (kernel function {})",
                            function.name);
            }
            --held.preempt_off;
            return {};
        default:
            return {};
    }
}

Reg Machine::kfunc_result(const KfuncCall& call) {
    const kfuncs::Function& function = *call.function;
    if (!function.returns.is_pointer) {
        return function.returns.base == kfuncs::Base::nothing ? Reg{}
                                                              : Reg::scalar(Scalar::unknown());
    }
    Reg result = Reg::pointer(RegType::memory);
    result.read_only = function.role != Role::dynptr_slice_rdwr;
    if (function.role == Role::iterator_next) {
        result.size = kfuncs::size_of(function.returns.base);
        result.ref = iterator_at(cur_, call.iterator, function.params[0].type.base)->ref;
    } else {
        result.size = static_cast<std::uint32_t>(call.constant);
        result.dynptr = call.dynptr.id;
        // A dynptr that a caller passed may be one of the frame.
        const helpers::DynptrKind kind = call.dynptr.dynptr_kind;
        result.dynptr_kind = kind == helpers::DynptrKind::any ? helpers::DynptrKind::xdp : kind;
    }
    if (function.may_return_null) {
        result.or_null = true;
        result.id = ++ids_;
    }
    return result;
}

Status Machine::do_kfunc_call(const Insn& insn) {
    const kfuncs::Function* function = kfuncs::find(insn.imm);
    if (cur_.held.lock.is_held && (function == nullptr || !function->under_lock)) {
        return fail(EINVAL, "function calls are not allowed while holding a lock");
    }
    if (function == nullptr) {
        return {};  // number 0, see check_kfuncs()
    }
    KfuncCall call;
    call.function = function;
    for (std::uint32_t i = 0; i < function->param_count(); ++i) {
        if (auto ok = check_kfunc_argument(call, i); !ok) {
            return ok;
        }
        // The size goes with the memory before it.
        i += kfuncs::kind_of(*function, i) == ParamKind::memory_and_size ? 1 : 0;
    }
    if (auto ok = do_region(*function); !ok) {
        return ok;
    }
    const Reg result = kfunc_result(call);
    for (std::uint32_t i = 1; i <= 5; ++i) {
        cur_.regs[i] = Reg{};
    }
    cur_.regs[0] = result;
    if (function->moves_packet) {
        forget_packet_pointers();
    }
    return function->role == Role::iterator_next ? do_iterator_next(call) : Status{};
}

}  // namespace crema::ebpf::verifier
