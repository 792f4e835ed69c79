// SPDX-License-Identifier: BSD-3-Clause
//
// Global functions: verified once, from what their BTF prototype says of the arguments, and assumed
// valid where they are called. A caller's arguments are checked against the prototype; the result
// is a number of which nothing is known.
#include <algorithm>
#include <cerrno>

#include "lib/ebpf/program/btf.h"
#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

constexpr std::size_t kArgumentsMax = 5;

bool is_number(BtfKind kind) {
    return kind == BtfKind::integer || kind == BtfKind::enumeration ||
           kind == BtfKind::enumeration64;
}

/// "arg:ctx" on parameter `index` of the function of BTF id `function`.
bool has_tag(const Btf& btf, std::uint32_t function, std::size_t index, std::string_view tag) {
    const auto tags = btf.decl_tags(function, static_cast<std::int32_t>(index));
    return std::any_of(tags.begin(), tags.end(), [&](std::string_view text) {
        return text.starts_with("arg:") && text.substr(4) == tag;
    });
}

bool is_context(const Btf& btf, std::uint32_t pointee) {
    const std::uint32_t bare = btf.bare(pointee);
    return btf.bare_type(bare).kind == BtfKind::structure && btf.name_of(bare) == "xdp_md";
}

}  // namespace

bool Machine::is_global(std::uint32_t function) const {
    const Function& f = functions_[function];
    if (function == 0 || program_.btf == nullptr || f.btf_type == 0) {
        return false;
    }
    const auto type = program_.btf->type(f.btf_type);
    return type && type->kind == BtfKind::function && type->vlen == kBtfGlobal;
}

/// By its type; one without is taken for one that does.
bool Machine::returns_number(std::uint32_t function) const {
    const std::uint32_t type = functions_[function].btf_type;
    if (program_.btf == nullptr || type == 0) {
        return true;
    }
    const Btf& btf = *program_.btf;
    return is_number(btf.bare_type(btf.referenced(btf.referenced(type))).kind);
}

Result<GlobalArgument> Machine::global_argument(std::uint32_t function,
                                                std::size_t index,
                                                std::uint32_t type) const {
    const Btf& btf = *program_.btf;
    const Function& f = functions_[function];
    const auto tagged = [&](std::string_view tag) { return has_tag(btf, f.btf_type, index, tag); };
    for (const char* tag : {"trusted", "nullable", "arena", "untrusted"}) {
        if (tagged(tag)) {
            return fail(ENOTSUP, "arg#{} of global function {}() is tagged {}, not served yet",
                        index, f.name, tag);
        }
    }
    const std::uint32_t bare = btf.bare(type);
    const BtfType head = btf.bare_type(bare);
    if (is_number(head.kind)) {
        return GlobalArgument{};
    }
    if (head.kind != BtfKind::pointer) {
        return fail(EINVAL, "Arg#{} type in {}() is not supported yet.", index, f.name);
    }
    const std::uint32_t pointee = btf.referenced(bare);
    if (tagged("ctx") || is_context(btf, pointee)) {
        return GlobalArgument{.kind = GlobalArgument::Kind::ctx};
    }
    if (btf.name_of(btf.bare(pointee)) == "bpf_dynptr") {
        return fail(ENOTSUP, "arg#{} of global function {}() is a dynptr, not served yet", index,
                    f.name);
    }
    const auto bytes = btf.size_of(pointee);
    if (!bytes) {
        return fail(EINVAL, "arg#{} reference type('{}') size cannot be determined", index,
                    btf.name_of(btf.bare(pointee)));
    }
    return GlobalArgument{
        .kind = GlobalArgument::Kind::memory, .bytes = *bytes, .nullable = !tagged("nonnull")};
}

Result<std::vector<GlobalArgument>> Machine::global_prototype(std::uint32_t function) const {
    const Btf& btf = *program_.btf;
    const Function& f = functions_[function];
    const std::uint32_t prototype = btf.referenced(f.btf_type);
    const std::vector<BtfParam> params = btf.params(prototype);
    if (params.size() > kArgumentsMax) {
        return fail(EINVAL, "Global function {}() with {} > {} args. Buggy compiler.", f.name,
                    params.size(), kArgumentsMax);
    }
    if (!returns_number(function)) {
        return fail(EINVAL, "Global function {}() doesn't return scalar. Only those are supported.",
                    f.name);
    }
    std::vector<GlobalArgument> args;
    for (std::size_t i = 0; i < params.size(); ++i) {
        const auto arg = global_argument(function, i, params[i].type);
        if (!arg) {
            return forward_error(arg);
        }
        args.push_back(*arg);
    }
    return args;
}

/// Memory handed to a function that may read and write all of it.
Status Machine::check_passed_memory(std::uint32_t regno, std::uint32_t bytes) {
    const Reg reg = cur_.regs[regno];
    if (reg.is_zero()) {
        mark_reg_precise(regno);
        return {};
    }
    // Judged as if it were there; whether it may be missing is the callee's question.
    cur_.regs[regno].or_null = false;
    Call call;
    Status ok = check_memory(call, regno, bytes, Direction::read, false, false);
    if (ok) {
        ok = check_memory(call, regno, bytes, Direction::write, false, false);
    }
    cur_.regs[regno].or_null = reg.or_null;
    return ok;
}

Status Machine::check_global_argument(std::uint32_t index, const GlobalArgument& arg) {
    const std::uint32_t regno = index + 1;
    const Reg& reg = cur_.regs[regno];
    switch (arg.kind) {
        case GlobalArgument::Kind::number:
            return reg.is_scalar() ? Status{} : fail(EINVAL, "R{} is not a scalar", regno);
        case GlobalArgument::Kind::ctx:
            if (reg.type != RegType::ctx) {
                return fail(EINVAL, "arg#{} expects pointer to ctx", index);
            }
            return check_unmodified(regno);
        default:
            break;
    }
    if (auto ok = check_passed_memory(regno, arg.bytes); !ok) {
        return ok;
    }
    if (!arg.nullable && (reg.or_null || reg.is_zero())) {
        return fail(EINVAL, "arg#{} is expected to be non-NULL", index);
    }
    return {};
}

Status Machine::do_global_call(std::uint32_t function) {
    const std::string& name = functions_[function].name;
    const auto prototype = global_prototype(function);
    if (!prototype) {
        return forward_error(prototype);
    }
    for (std::uint32_t i = 0; i < prototype->size(); ++i) {
        if (auto ok = check_global_argument(i, (*prototype)[i]); !ok) {
            return fail(ok.error().code, "{}; Caller passes invalid args into func#{} ('{}')",
                        ok.error().message, function, name);
        }
    }
    if (logging()) {
        log_text(fmt::format("\nFunc#{} ('{}') is global and assumed valid.\n", function, name));
    }
    called_[function] = true;
    if (proof_.functions[function].moves_packet) {
        forget_packet_pointers();
    }
    for (std::uint32_t i = 1; i <= 5; ++i) {
        cur_.regs[i] = Reg{};
    }
    cur_.regs[0] = Reg::scalar(Scalar::unknown());
    return {};
}

/// R1..R5 of a global function that is verified on its own.
Result<std::array<Reg, 5>> Machine::global_entry(std::uint32_t function) {
    const auto prototype = global_prototype(function);
    if (!prototype) {
        return forward_error(prototype);
    }
    std::array<Reg, 5> args;
    for (std::size_t i = 0; i < prototype->size(); ++i) {
        const GlobalArgument& arg = (*prototype)[i];
        switch (arg.kind) {
            case GlobalArgument::Kind::number:
                args[i] = Reg::scalar(Scalar::unknown());
                break;
            case GlobalArgument::Kind::ctx:
                args[i] = Reg::pointer(RegType::ctx);
                break;
            case GlobalArgument::Kind::memory:
                args[i] = Reg::pointer(RegType::memory);
                args[i].or_null = arg.nullable;
                args[i].size = arg.bytes;
                args[i].id = arg.nullable ? ++ids_ : 0;
                break;
        }
    }
    return args;
}

}  // namespace crema::ebpf::verifier
