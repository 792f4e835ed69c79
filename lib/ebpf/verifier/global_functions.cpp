// SPDX-License-Identifier: BSD-3-Clause
//
// Global functions: verified once, from what their BTF prototype says of the arguments, and assumed
// valid where they are called. A caller's arguments are checked against the prototype; the result
// is a number of which nothing is known.
#include <algorithm>
#include <array>
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

/// What "arg:..." says of parameter `index` of the function of BTF id `function`: "ctx", ...
std::vector<std::string_view> argument_tags(const Btf& btf,
                                            std::uint32_t function,
                                            std::size_t index) {
    constexpr std::string_view kPrefix = "arg:";
    std::vector<std::string_view> tags;
    for (const std::string_view text : btf.decl_tags(function, static_cast<std::int32_t>(index))) {
        if (text.starts_with(kPrefix)) {
            tags.push_back(text.substr(kPrefix.size()));
        }
    }
    return tags;
}

/// A tag that no kernel knows, or null.
const std::string_view* unknown_tag(const std::vector<std::string_view>& tags) {
    constexpr std::array<std::string_view, 6> kKnown = {"ctx",     "trusted",  "untrusted",
                                                        "nonnull", "nullable", "arena"};
    const auto found = std::find_if(tags.begin(), tags.end(), [&](std::string_view tag) {
        return std::find(kKnown.begin(), kKnown.end(), tag) == kKnown.end();
    });
    return found != tags.end() ? &*found : nullptr;
}

bool is_context(const Btf& btf, std::uint32_t pointee) {
    const std::uint32_t bare = btf.bare(pointee);
    return btf.bare_type(bare).kind == BtfKind::structure && btf.name_of(bare) == "xdp_md";
}

const char* kind_text(BtfKind kind) {
    switch (kind) {
        case BtfKind::structure:
            return "STRUCT";
        case BtfKind::union_of:
            return "UNION";
        case BtfKind::forward:
            return "FWD";
        case BtfKind::function_proto:
            return "FUNC_PROTO";
        case BtfKind::integer:
            return "INT";
        case BtfKind::pointer:
            return "PTR";
        case BtfKind::array:
            return "ARRAY";
        case BtfKind::floating:
            return "FLOAT";
        default:
            return "UNKNOWN";
    }
}

/// "STRUCT thing", as the kernel's messages call a type.
std::string kind_and_name(const Btf& btf, std::uint32_t type) {
    const std::uint32_t bare = btf.bare(type);
    return fmt::format("{} {}", kind_text(btf.bare_type(bare).kind), btf.name_of(bare));
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
    const std::vector<std::string_view> tags = argument_tags(btf, f.btf_type, index);
    const auto tagged = [&](std::string_view tag) {
        return std::find(tags.begin(), tags.end(), tag) != tags.end();
    };
    if (const std::string_view* tag = unknown_tag(tags); tag != nullptr) {
        return fail(EOPNOTSUPP, "arg#{} has unsupported set of tags", index);
    }
    const std::uint32_t bare = btf.bare(type);
    const BtfType head = btf.bare_type(bare);
    if (is_number(head.kind)) {
        return tags.empty()
                   ? Result<GlobalArgument>(GlobalArgument{})
                   : fail(EINVAL, "arg#{} has pointer tag, but is not a pointer type", index);
    }
    if (head.kind != BtfKind::pointer) {
        return fail(EINVAL, "Arg#{} type {} in {}() is not supported yet.", index,
                    kind_text(head.kind), f.name);
    }
    const std::uint32_t pointee = btf.referenced(bare);
    const bool ctx = tagged("ctx") || is_context(btf, pointee);
    const bool dynptr = !ctx && btf.name_of(btf.bare(pointee)) == "bpf_dynptr";
    const auto others = [&](std::string_view allowed) {
        return std::any_of(tags.begin(), tags.end(),
                           [&](std::string_view tag) { return tag != allowed; });
    };
    const auto wrong_tags = fail(EINVAL, "arg#{} has invalid combination of tags", index);
    if (ctx) {
        return others("ctx") ? Result<GlobalArgument>(wrong_tags)
                             : GlobalArgument{.kind = GlobalArgument::Kind::ctx};
    }
    if (dynptr) {
        return others("") ? Result<GlobalArgument>(wrong_tags)
                          : GlobalArgument{.kind = GlobalArgument::Kind::dynptr};
    }
    if (tagged("arena")) {
        return others("arena") ? Result<GlobalArgument>(wrong_tags)
                               : GlobalArgument{.kind = GlobalArgument::Kind::arena};
    }
    if (tagged("trusted") || tagged("untrusted")) {
        // Structures of the kernel, of which there are none.
        return is_number(btf.bare_type(pointee).kind)
                   ? fail(ENOTSUP, "arg#{} of global function {}() is tagged untrusted, not served",
                          index, f.name)
                   : fail(ENOENT, "arg#{} reference type('{}') has no matches", index,
                          kind_and_name(btf, pointee));
    }
    if (tagged("nullable")) {
        return wrong_tags;  // memory may be null anyway
    }
    const auto bytes = btf.size_of(pointee);
    if (!bytes) {
        return fail(EINVAL, "arg#{} reference type('{}') size cannot be determined: {}", index,
                    kind_and_name(btf, pointee), -EINVAL);
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

/// The first function gets the context of the run, whatever its types say; that of an extension
/// what its types say.
void Machine::note_prototype(std::uint32_t function) {
    FunctionFacts& facts = proof_.functions[function];
    if (function == 0 && !program_.is_extension) {
        facts.replaceable = true;
        facts.arguments = {{.kind = GlobalArgument::Kind::ctx}};
        return;
    }
    if (function != 0 && !is_global(function)) {
        return;
    }
    if (auto prototype = global_prototype(function)) {
        facts.replaceable = true;
        facts.arguments = std::move(*prototype);
    }
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
        case GlobalArgument::Kind::dynptr: {
            if (reg.type == RegType::dynptr) {
                if (auto ok = check_unmodified(regno); !ok) {
                    return ok;
                }
            } else if (reg.type != RegType::stack) {
                return fail(EINVAL, "arg#{} expected pointer to stack or const struct bpf_dynptr",
                            index);
            }
            Call call;
            return check_dynptr(call, {.kind = helpers::ArgKind::dynptr}, regno);
        }
        case GlobalArgument::Kind::arena:
            return reg.is_scalar()
                       ? Status{}
                       : fail(EINVAL, "R{} is not a pointer to arena or scalar.", regno);
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
    if (cur_.held.lock.is_held) {
        return fail(EINVAL, "global function calls are not allowed while holding a lock");
    }
    const auto invalid = [&](const Error& why) {
        return fail(why.code, "{}; Caller passes invalid args into func#{} ('{}')", why.message,
                    function, name);
    };
    const auto prototype = global_prototype(function);
    if (!prototype) {
        return invalid(prototype.error());
    }
    for (std::uint32_t i = 0; i < prototype->size(); ++i) {
        if (auto ok = check_global_argument(i, (*prototype)[i]); !ok) {
            return invalid(ok.error());
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
            case GlobalArgument::Kind::arena:
                args[i] = Reg::scalar(Scalar::unknown());
                break;
            case GlobalArgument::Kind::ctx:
                args[i] = Reg::pointer(RegType::ctx);
                break;
            case GlobalArgument::Kind::dynptr:
                args[i] = Reg::pointer(RegType::dynptr);
                args[i].id = ++ids_;
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
