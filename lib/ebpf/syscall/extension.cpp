// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/extension.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include "lib/ebpf/program/btf.h"

namespace crema::ebpf::syscall {
namespace {

/// A function type with the BTF it is in.
struct Prototype {
    const Btf& btf;
    std::uint32_t function;

    [[nodiscard]] std::string name() const { return std::string(btf.name_of(function)); }

    [[nodiscard]] std::uint32_t type() const { return btf.referenced(function); }

    [[nodiscard]] bool is_global() const {
        const auto head = btf.type(function);
        return head && head->vlen == kBtfGlobal;
    }

    [[nodiscard]] BtfType result() const { return btf.bare_type(btf.referenced(type())); }
};

const char* kind_name(BtfKind kind) {
    static constexpr const char* kNames[] = {
        "UNKNOWN", "INT",     "PTR",      "ARRAY",    "STRUCT",   "UNION", "ENUM",
        "FWD",     "TYPEDEF", "VOLATILE", "CONST",    "RESTRICT", "FUNC",  "FUNC_PROTO",
        "VAR",     "DATASEC", "FLOAT",    "DECL_TAG", "TYPE_TAG", "ENUM64"};
    return kNames[static_cast<std::size_t>(kind)];
}

bool same_head(const BtfType& a, const BtfType& b) {
    return a.kind == b.kind && a.flag == b.flag && a.vlen == b.vlen;
}

bool has_size(BtfKind kind) {
    return kind == BtfKind::integer || kind == BtfKind::structure || kind == BtfKind::union_of ||
           kind == BtfKind::enumeration || kind == BtfKind::enumeration64 ||
           kind == BtfKind::data_section || kind == BtfKind::floating;
}

bool is_number(BtfKind kind) {
    return kind == BtfKind::integer || kind == BtfKind::enumeration ||
           kind == BtfKind::enumeration64;
}

/// Only numbers and pointers to structures with one name are compared further.
Status check_argument(const Prototype& own,
                      const Prototype& other,
                      std::size_t index,
                      std::uint32_t own_type,
                      std::uint32_t other_type) {
    const BtfType a = own.btf.bare_type(own_type);
    const BtfType b = other.btf.bare_type(other_type);
    if (!same_head(a, b)) {
        return fail(EINVAL, "arg{} in {}() is {} while {}() has {}", index, own.name(),
                    kind_name(a.kind), other.name(), kind_name(b.kind));
    }
    if (has_size(a.kind) && a.size_or_type != b.size_or_type) {
        return fail(EINVAL, "arg{} in {}() has size {} while {}() has {}", index, own.name(),
                    a.size_or_type, other.name(), b.size_or_type);
    }
    if (is_number(a.kind)) {
        return {};
    }
    if (a.kind != BtfKind::pointer) {
        return fail(EINVAL, "arg{} in {}() has unrecognized type", index, own.name());
    }
    const std::uint32_t own_pointee = own.btf.bare(a.size_or_type);
    const std::uint32_t other_pointee = other.btf.bare(b.size_or_type);
    for (const auto& [prototype, pointee] :
         {std::pair(&own, own_pointee), std::pair(&other, other_pointee)}) {
        const BtfKind kind = prototype->btf.bare_type(pointee).kind;
        if (kind != BtfKind::structure && kind != BtfKind::union_of) {
            return fail(EINVAL, "arg{} in {}() is not a pointer to context", index,
                        prototype->name());
        }
    }
    const std::string_view own_name = own.btf.name_of(own_pointee);
    const std::string_view other_name = other.btf.name_of(other_pointee);
    if (own_name != other_name) {
        return fail(EINVAL, "arg{} {}(struct {} *) doesn't match {}(struct {} *)", index,
                    own.name(), own_name, other.name(), other_name);
    }
    return {};
}

Status check_same_prototype(const Prototype& own, const Prototype& other) {
    for (const Prototype* each : {&own, &other}) {
        if (!each->is_global()) {
            return fail(EINVAL, "{}() is not a global function", each->name());
        }
    }
    const auto own_args = own.btf.params(own.type());
    const auto other_args = other.btf.params(other.type());
    if (own_args.size() != other_args.size()) {
        return fail(EINVAL, "{}() has {} args while {}() has {} args", own.name(), own_args.size(),
                    other.name(), other_args.size());
    }
    if (!same_head(own.result(), other.result())) {
        return fail(EINVAL, "Return type {} of {}() doesn't match type {} of {}()",
                    kind_name(own.result().kind), own.name(), kind_name(other.result().kind),
                    other.name());
    }
    for (std::size_t i = 0; i < own_args.size(); ++i) {
        if (auto same = check_argument(own, other, i, own_args[i].type, other_args[i].type);
            !same) {
            return same;
        }
    }
    return {};
}

/// Index of the function with that type; nothing: there is none.
std::optional<std::uint32_t> function_of_type(const Program& program, std::uint32_t btf_type) {
    const auto found =
        std::find_if(program.functions.begin(), program.functions.end(),
                     [btf_type](const Function& one) { return one.btf_type == btf_type; });
    return found != program.functions.end()
               ? std::optional(static_cast<std::uint32_t>(found - program.functions.begin()))
               : std::nullopt;
}

}  // namespace

Result<ReplacedFunction> find_replaced(std::shared_ptr<const LoadedProgram> target,
                                       std::uint32_t btf_type,
                                       const Program& extension) {
    if (btf_type == 0) {
        return fail(EINVAL, "Tracing programs must provide btf_id");
    }
    if (target == nullptr) {
        return fail(EINVAL, "Cannot replace kernel functions");
    }
    const Program& program = target->program;
    if (program.btf == nullptr) {
        return fail(EINVAL,
                    "FENTRY/FEXIT program can only be attached to another program annotated with "
                    "BTF");
    }
    const Btf& btf = *program.btf;
    const auto head = btf.type(btf_type);
    if (!head) {
        return fail(EINVAL, "attach_btf_id {} is invalid", btf_type);
    }
    if (btf.name_of(btf_type).empty()) {
        return fail(EINVAL, "attach_btf_id {} doesn't have a name", btf_type);
    }
    if (extension.bound_ifindex != 0 && extension.bound_ifindex != program.bound_ifindex) {
        return fail(EINVAL, "Target program bound device mismatch");
    }
    const auto function = function_of_type(program, btf_type);
    if (!function) {
        return fail(EINVAL, "Subprog {} doesn't exist", btf.name_of(btf_type));
    }
    if (program.is_extension) {
        return fail(EINVAL, "Cannot recursively attach");
    }
    if (head->kind != BtfKind::function) {
        return fail(EINVAL, "attach_btf_id {} is not a function", btf_type);
    }
    const std::uint32_t own_type =
        extension.functions.empty() ? 0 : extension.functions.front().btf_type;
    if (extension.btf == nullptr || own_type == 0) {
        return fail(EINVAL, "Program extension requires BTF");
    }
    if (const Status same = check_same_prototype({*extension.btf, own_type}, {btf, btf_type});
        !same) {
        return forward_error(same);
    }
    return ReplacedFunction{
        .program = std::move(target), .btf_type = btf_type, .function = *function};
}

Status check_arguments(const LoadedProgram& target,
                       std::uint32_t function,
                       const LoadedProgram& extension) {
    using Kind = verifier::GlobalArgument::Kind;
    const bool both = function < target.facts.size() && target.facts[function].replaceable &&
                      !extension.facts.empty() && extension.facts[0].replaceable;
    if (!both) {
        return fail(EINVAL, "Cannot replace static functions");
    }
    const auto& given = target.facts[function].arguments;
    const auto& wanted = extension.facts[0].arguments;
    if (wanted.size() > given.size()) {
        return fail(EINVAL, "the extension takes {} arguments, it would get {}", wanted.size(),
                    given.size());
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const bool same = wanted[i].kind == given[i].kind;
        const bool enough =
            wanted[i].kind != Kind::memory ||
            (wanted[i].bytes <= given[i].bytes && (wanted[i].nullable || !given[i].nullable));
        if (!same || !enough) {
            return fail(EINVAL,
                        "arg#{} of the extension is declared as another size or kind of memory "
                        "than that of the function",
                        i);
        }
    }
    return {};
}

}  // namespace crema::ebpf::syscall
