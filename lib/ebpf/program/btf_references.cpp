// SPDX-License-Identifier: BSD-3-Clause
//
// The second pass of BtfChecker: what types refer to, and what they measure.
#include <algorithm>

#include "lib/ebpf/program/btf_checker.h"
#include "lib/ebpf/program/btf_layout.h"

namespace crema::ebpf {

namespace {

using namespace btf_layout;  // NOLINT(google-build-using-namespace): the other half of this class

constexpr std::uint32_t kNestingMax = 32;

bool has_size(BtfKind kind) {
    return kind == BtfKind::integer || kind == BtfKind::structure || kind == BtfKind::union_of ||
           kind == BtfKind::enumeration || kind == BtfKind::enumeration64 ||
           kind == BtfKind::floating || kind == BtfKind::data_section;
}

/// Kinds that nothing but a declaration refers to.
bool is_declaration(BtfKind kind) {
    return kind == BtfKind::variable || kind == BtfKind::data_section || kind == BtfKind::decl_tag;
}

}  // namespace

/// Pointers, qualifiers, names and tags lead to something else in the end.
Status BtfChecker::follow_pointers(std::uint32_t id) {
    std::vector<std::uint32_t> path;
    while (exists(id)) {
        const BtfKind kind = type(id).kind;
        if ((kind != BtfKind::pointer && !is_modifier(kind)) || chain_[id] == Seen::done) {
            break;
        }
        if (chain_[id] == Seen::open) {
            return fail(EEXIST, "BTF type {}: loop detected", id);
        }
        if (path.size() >= kNestingMax) {
            return fail(E2BIG, "BTF type {}: nested more than {} deep", id, kNestingMax);
        }
        chain_[id] = Seen::open;
        path.push_back(id);
        id = type(id).size_or_type;
    }
    for (const std::uint32_t passed : path) {
        chain_[passed] = Seen::done;
    }
    return {};
}

/// An integer of 1, 2, 4, 8 or 16 whole bytes, or no integer at all.
bool BtfChecker::is_plain(std::uint32_t id) const {
    const std::uint32_t bare = btf_.bare(id);
    const BtfType head = type(bare);
    if (head.kind != BtfKind::integer) {
        return true;
    }
    const std::uint32_t word = btf_.word(bare, 3);
    const std::uint32_t bits = integer_bits(word);
    return integer_offset(word) == 0 && bits >= 8 && (bits & (bits - 1)) == 0;
}

Status BtfChecker::settle_array(std::uint32_t id, std::uint32_t depth) {
    const BtfArray array = *btf_.array(id);
    for (const std::uint32_t part : {array.index, array.element}) {
        if (auto ok = settle_size(part, depth + 1); !ok) {
            return ok;
        }
    }
    if (btf_.bare_type(array.index).kind != BtfKind::integer || !is_plain(array.index) ||
        is_declaration(type(array.index).kind)) {
        return wrong(id, "array is indexed by no integer");
    }
    const auto element = btf_.size_of(array.element);
    if (!element || !is_plain(array.element) || is_declaration(type(array.element).kind)) {
        return wrong(id, "array of something without size, or with odd bits");
    }
    const std::uint64_t size = std::uint64_t{*element} * array.count;
    if (size >= kNoSize) {
        return wrong(id, "array is too large");
    }
    btf_.size_[id] = static_cast<std::uint32_t>(size);
    return {};
}

const char* BtfChecker::check_member(const BtfType& parent, const BtfMember& member) const {
    const auto size = btf_.size_of(member.type);
    if (!size || is_declaration(type(member.type).kind)) {
        return "member of something without size";
    }
    const BtfType held = btf_.bare_type(member.type);
    std::uint64_t bits = std::uint64_t{*size} * 8;
    if (member.bit_size != 0) {
        const bool number = held.kind == BtfKind::integer || held.kind == BtfKind::enumeration ||
                            held.kind == BtfKind::enumeration64;
        if (!number || member.bit_size > bits) {
            return "bit field of no number, or wider than it";
        }
        bits = member.bit_size;
    } else if (held.kind == BtfKind::integer) {
        // A number of fewer bits than its bytes lies like a bit field.
        const std::uint32_t word = btf_.word(btf_.bare(member.type), 3);
        bits = std::uint64_t{integer_offset(word)} + integer_bits(word);
    } else if (member.bit_offset % 8 != 0) {
        return "member begins inside a byte";
    }
    return member.bit_offset + bits <= std::uint64_t{parent.size_or_type} * 8
               ? nullptr
               : "member reaches beyond its struct";
}

Status BtfChecker::settle_struct(std::uint32_t id, std::uint32_t depth) {
    const BtfType head = type(id);
    for (const BtfMember& member : btf_.members(id)) {
        if (auto ok = settle_size(member.type, depth + 1); !ok) {
            return ok;
        }
        if (const char* what = check_member(head, member); what != nullptr) {
            return wrong(id, what);
        }
    }
    return {};
}

/// Sizes of `id` and of all that it holds by value, and what it is without its names; what holds
/// itself has none.
Status BtfChecker::settle_size(std::uint32_t id, std::uint32_t depth) {
    if (!exists(id)) {
        return fail(EINVAL, "BTF type {} does not exist", id);
    }
    if (sized_[id] == Seen::done) {
        return {};
    }
    if (sized_[id] == Seen::open) {
        return fail(EEXIST, "BTF type {}: loop detected", id);
    }
    if (depth >= kNestingMax) {
        return fail(E2BIG, "BTF type {}: nested more than {} deep", id, kNestingMax);
    }
    sized_[id] = Seen::open;
    const BtfType head = type(id);
    Status ok;
    if (has_size(head.kind)) {
        btf_.size_[id] = head.size_or_type;
    }
    if (is_modifier(head.kind)) {
        ok = settle_size(head.size_or_type, depth + 1);
        if (ok) {
            btf_.size_[id] = btf_.size_[head.size_or_type];
            btf_.bare_[id] = btf_.bare_[head.size_or_type];
        }
    } else if (head.kind == BtfKind::pointer) {
        btf_.size_[id] = kPointerBytes;
    } else if (head.kind == BtfKind::array) {
        ok = settle_array(id, depth);
    } else if (head.kind == BtfKind::structure || head.kind == BtfKind::union_of) {
        ok = settle_struct(id, depth);
    }
    sized_[id] = Seen::done;
    return ok;
}

Status BtfChecker::check_variables(std::uint32_t id) const {
    for (const BtfSectionVariable& variable : btf_.section_variables(id)) {
        if (!exists(variable.type) || type(variable.type).kind != BtfKind::variable) {
            return wrong(id, "section of something else than variables");
        }
        const auto size = btf_.size_of(btf_.referenced(variable.type));
        if (!size || *size > variable.size) {
            return wrong(id, "variable is larger than its place");
        }
    }
    return {};
}

Status BtfChecker::check_proto(std::uint32_t id) const {
    const std::vector<BtfParam> params = btf_.params(id);
    const std::uint32_t result = type(id).size_or_type;
    const auto is_value = [&](std::uint32_t of) {
        return btf_.size_of(of).has_value() && !is_declaration(type(of).kind);
    };
    if (result != 0 && !is_value(result)) {
        return wrong(id, "function returns something without size");
    }
    for (std::size_t i = 0; i < params.size(); ++i) {
        const bool open_end = i + 1 == params.size() && params[i].type == 0;
        if (open_end ? !params[i].name.empty() : !is_value(params[i].type)) {
            return wrong(id, "parameter of a type without size");
        }
        if (btf_.word(id, 3 + static_cast<std::uint32_t>(i) * 2) >= btf_.strings_.size() ||
            (!params[i].name.empty() && !is_btf_identifier(params[i].name))) {
            return wrong(id, "parameter's name is no identifier");
        }
    }
    return {};
}

Status BtfChecker::check_function(std::uint32_t id) const {
    const std::uint32_t proto = type(id).size_or_type;
    if (!exists(proto) || type(proto).kind != BtfKind::function_proto) {
        return wrong(id, "function without prototype");
    }
    for (const BtfParam& param : btf_.params(proto)) {
        if (param.name.empty() && param.type != 0) {
            return wrong(id, "function's parameter without name");
        }
    }
    return {};
}

Status BtfChecker::check_tag(std::uint32_t id) const {
    const BtfType target = type(type(id).size_or_type);
    const bool composite = target.kind == BtfKind::structure || target.kind == BtfKind::union_of;
    const auto component = static_cast<std::int32_t>(btf_.word(id, 3));
    if (!composite && target.kind != BtfKind::function && target.kind != BtfKind::variable &&
        target.kind != BtfKind::type_name) {
        return wrong(id, "tag of something that has none");
    }
    if (component == -1) {
        return {};
    }
    std::uint32_t components = composite ? target.vlen : 0;
    if (target.kind == BtfKind::function) {
        components = exists(target.size_or_type) ? type(target.size_or_type).vlen : 0;
    }
    return static_cast<std::uint32_t>(component) < components ? Status{}
                                                              : wrong(id, "component of a tag");
}

/// What `id` refers to exists and is of a kind that may stand there.
Status BtfChecker::check_references(std::uint32_t id) const {
    const BtfType head = type(id);
    const bool reference =
        is_modifier(head.kind) || head.kind == BtfKind::pointer || head.kind == BtfKind::variable;
    if ((reference || head.kind == BtfKind::decl_tag) && !exists(head.size_or_type)) {
        return wrong(id, "refers to a type that does not exist");
    }
    if (reference && (is_declaration(type(head.size_or_type).kind) ||
                      btf_.bare_type(head.size_or_type).kind == BtfKind::function)) {
        return wrong(id, "refers to a declaration");
    }
    switch (head.kind) {
        case BtfKind::variable:
            return btf_.size_of(head.size_or_type) ? Status{} : wrong(id, "variable without size");
        case BtfKind::data_section:
            return check_variables(id);
        case BtfKind::function:
            return check_function(id);
        case BtfKind::function_proto:
            return check_proto(id);
        case BtfKind::decl_tag:
            return check_tag(id);
        default:
            return {};
    }
}

}  // namespace crema::ebpf
