// SPDX-License-Identifier: BSD-3-Clause
//
// Btf::parse: everything a blob has to be before anybody reads types from it, in two passes. The
// first one walks the records (form of each kind, names, vlen); the second one follows references
// (they exist, end, and everything that needs a size has one). Same verdicts as the kernel's
// BTF_LOAD (BtfOracle in tests/conformance).
#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <limits>

#include "lib/ebpf/program/btf_layout.h"

namespace crema::ebpf {

namespace {

using namespace btf_layout;  // NOLINT(google-build-using-namespace): the other half of this class

/// Layout of struct btf_header, the part that every version has.
struct Header {
    std::uint16_t magic;
    std::uint8_t version;
    std::uint8_t flags;
    std::uint32_t hdr_len;
    std::uint32_t type_off;  // both relative to the end of the header
    std::uint32_t type_len;
    std::uint32_t str_off;
    std::uint32_t str_len;
};

static_assert(sizeof(Header) == 24);

constexpr std::uint16_t kMagic = 0xeb9f;
constexpr std::size_t kBytesMax = std::size_t{16} << 20;
constexpr std::uint32_t kTypesMax = 1U << 20, kNestingMax = 32;
constexpr std::uint32_t kIntegerBitsMax = 128;
constexpr std::size_t kNameBytesMax = 511;

std::atomic<std::uint32_t> next_id{1};

bool is_identifier(std::string_view name) {
    const auto letter = [](char c) {
        return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
    };
    return !name.empty() && name.size() <= kNameBytesMax && letter(name[0]) &&
           std::all_of(name.begin(), name.end(), [&](char c) {
               return letter(c) || std::isdigit(static_cast<unsigned char>(c)) != 0;
           });
}

bool is_printable(std::string_view name) {
    return !name.empty() && name.size() <= kNameBytesMax &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return std::isprint(static_cast<unsigned char>(c)) != 0; });
}

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

class BtfChecker {
  public:
    explicit BtfChecker(Btf& btf) : btf_(btf) {}

    [[nodiscard]] Status run(std::uint32_t type_start, std::uint32_t type_bytes);

  private:
    enum class Seen : std::uint8_t { no, open, done };

    [[nodiscard]] tl::unexpected<Error> wrong(std::uint32_t id, const char* what) const {
        return fail(EINVAL, "BTF type {}: {}", id, what);
    }

    [[nodiscard]] BtfType type(std::uint32_t id) const { return *btf_.type(id); }

    [[nodiscard]] bool exists(std::uint32_t id) const { return id < btf_.count(); }

    // the records
    [[nodiscard]] Status find_records(std::uint32_t start, std::uint32_t bytes);
    [[nodiscard]] Status check_record(std::uint32_t id) const;
    [[nodiscard]] const char* check_name(const BtfType& type) const;
    [[nodiscard]] const char* check_form(std::uint32_t id, const BtfType& type) const;
    [[nodiscard]] const char* check_integer(std::uint32_t id, const BtfType& type) const;
    [[nodiscard]] const char* check_struct(std::uint32_t id, const BtfType& type) const;
    [[nodiscard]] const char* check_values(std::uint32_t id, const BtfType& type) const;
    [[nodiscard]] const char* check_section(std::uint32_t id, const BtfType& type) const;

    // the references
    [[nodiscard]] Status check_references(std::uint32_t id) const;
    [[nodiscard]] Status follow_pointers(std::uint32_t id);
    [[nodiscard]] Status settle_size(std::uint32_t id, std::uint32_t depth);
    [[nodiscard]] bool is_plain(std::uint32_t id) const;
    [[nodiscard]] Status settle_array(std::uint32_t id, std::uint32_t depth);
    [[nodiscard]] Status settle_struct(std::uint32_t id, std::uint32_t depth);
    [[nodiscard]] const char* check_member(const BtfType& parent, const BtfMember& member) const;
    [[nodiscard]] Status check_variables(std::uint32_t id) const;
    [[nodiscard]] Status check_function(std::uint32_t id) const;
    [[nodiscard]] Status check_proto(std::uint32_t id) const;
    [[nodiscard]] Status check_tag(std::uint32_t id) const;

    Btf& btf_;
    std::vector<Seen> chain_;
    std::vector<Seen> sized_;
};

Status BtfChecker::find_records(std::uint32_t start, std::uint32_t bytes) {
    btf_.at_.push_back(0);
    for (std::uint32_t at = start; at < start + bytes;) {
        const auto id = static_cast<std::uint32_t>(btf_.at_.size());
        if (id >= kTypesMax) {
            return fail(E2BIG, "BTF of more than {} types", kTypesMax - 1);
        }
        if (start + bytes - at < kHeadBytes) {
            return wrong(id, "record is cut off");
        }
        btf_.at_.push_back(at);
        const std::uint32_t info = btf_.word(id, 1);
        if ((info & kReservedInfo) != 0) {
            return wrong(id, "reserved bits are set");
        }
        const BtfType head = type(id);
        if (head.kind == BtfKind::nothing || head.kind > BtfKind::enumeration64) {
            return wrong(id, "unknown kind");
        }
        const std::uint64_t size = kHeadBytes + std::uint64_t{extra_words(head)} * 4;
        if (size > start + bytes - at) {
            return wrong(id, "record is cut off");
        }
        at += static_cast<std::uint32_t>(size);
    }
    return {};
}

const char* BtfChecker::check_name(const BtfType& type) const {
    if (type.name >= btf_.strings_.size()) {
        return "name outside the strings";
    }
    const std::string_view name = btf_.string_at(type.name);
    switch (type.kind) {
        case BtfKind::structure:
        case BtfKind::union_of:
        case BtfKind::enumeration:
        case BtfKind::enumeration64:
            return type.name == 0 || is_identifier(name) ? nullptr : "name is no identifier";
        case BtfKind::forward:
        case BtfKind::type_name:
        case BtfKind::function:
        case BtfKind::variable:
            return is_identifier(name) ? nullptr : "name is no identifier";
        case BtfKind::data_section:
            return is_printable(name) ? nullptr : "name is no section's";
        case BtfKind::decl_tag:
        case BtfKind::type_tag:
            return name.empty() ? "tag without text" : nullptr;
        case BtfKind::integer:
        case BtfKind::floating:
            return nullptr;
        default:
            return type.name == 0 ? nullptr : "name where there is none";
    }
}

const char* BtfChecker::check_integer(std::uint32_t id, const BtfType& type) const {
    const std::uint32_t word = btf_.word(id, 3);
    const std::uint32_t bits = integer_bits(word) + integer_offset(word);
    if ((word & 0xf000'0000U) != 0) {
        return "reserved bits of the integer are set";
    }
    if (bits > kIntegerBitsMax || (bits + 7) / 8 > type.size_or_type) {
        return "integer has more bits than its size";
    }
    const std::uint32_t form = encoding(word);
    return (form & (form - 1)) == 0 && form <= 4 ? nullptr : "integer of unknown encoding";
}

const char* BtfChecker::check_struct(std::uint32_t id, const BtfType& type) const {
    std::uint32_t last = 0;
    for (std::uint32_t i = 0; i < type.vlen; ++i) {
        const std::uint32_t name = btf_.word(id, 3 + i * 3);
        if (name >= btf_.strings_.size() || (name != 0 && !is_identifier(btf_.string_at(name)))) {
            return "member's name is no identifier";
        }
        if (btf_.word(id, 4 + i * 3) == 0) {
            return "member without type";
        }
        const std::uint32_t at = bit_offset(type, btf_.word(id, 5 + i * 3));
        if (type.kind == BtfKind::union_of && at != 0) {
            return "member of a union has an offset";
        }
        if (at < last) {
            return "members do not ascend";
        }
        if ((std::uint64_t{at} + 7) / 8 > type.size_or_type) {
            return "member begins behind its struct";
        }
        last = at;
    }
    return nullptr;
}

const char* BtfChecker::check_values(std::uint32_t id, const BtfType& type) const {
    const std::uint32_t size = type.size_or_type;
    if (size == 0 || size > 8 || (size & (size - 1)) != 0) {
        return "enumeration of odd size";
    }
    const std::uint32_t words = type.kind == BtfKind::enumeration ? 2 : 3;
    for (std::uint32_t i = 0; i < type.vlen; ++i) {
        const std::uint32_t name = btf_.word(id, 3 + i * words);
        if (name >= btf_.strings_.size() || !is_identifier(btf_.string_at(name))) {
            return "value's name is no identifier";
        }
    }
    return nullptr;
}

const char* BtfChecker::check_section(std::uint32_t id, const BtfType& type) const {
    if (type.size_or_type == 0) {
        return "section of size 0";
    }
    std::uint64_t end = 0;
    for (std::uint32_t i = 0; i < type.vlen; ++i) {
        const std::uint32_t offset = btf_.word(id, 4 + i * 3);
        const std::uint32_t size = btf_.word(id, 5 + i * 3);
        if (btf_.word(id, 3 + i * 3) == 0) {
            return "variable without type";
        }
        if (offset < end || size == 0) {
            return "variables of a section overlap";
        }
        end = std::uint64_t{offset} + size;
        if (end > type.size_or_type) {
            return "variable reaches beyond its section";
        }
    }
    return nullptr;
}

/// What the head and the words behind it may say for the kind.
const char* BtfChecker::check_form(std::uint32_t id, const BtfType& type) const {
    const bool plain = type.vlen == 0 && !type.flag;
    const std::uint32_t size = type.size_or_type;
    switch (type.kind) {
        case BtfKind::integer:
            return plain ? check_integer(id, type) : "flags of an integer";
        case BtfKind::structure:
        case BtfKind::union_of:
            return check_struct(id, type);
        case BtfKind::enumeration:
        case BtfKind::enumeration64:
            return check_values(id, type);
        case BtfKind::array:
            if (!plain || size != 0) {
                return "flags of an array";
            }
            return btf_.word(id, 3) != 0 && btf_.word(id, 4) != 0 ? nullptr : "array without type";
        case BtfKind::forward:
            return type.vlen == 0 && size == 0 ? nullptr : "flags of a forward declaration";
        case BtfKind::type_tag:
            return type.vlen == 0 ? nullptr : "flags of a tag";
        case BtfKind::decl_tag:
            if (type.vlen != 0) {
                return "flags of a tag";
            }
            return static_cast<std::int32_t>(btf_.word(id, 3)) >= -1 ? nullptr
                                                                     : "component of a tag";
        case BtfKind::function:
            return type.vlen <= kBtfGlobal && !type.flag ? nullptr : "linkage of a function";
        case BtfKind::function_proto:
            return type.flag ? "flags of a function prototype" : nullptr;
        case BtfKind::variable:
            return plain && size != 0 && btf_.word(id, 3) <= 1 ? nullptr : "form of a variable";
        case BtfKind::data_section:
            return type.flag ? "flags of a section" : check_section(id, type);
        case BtfKind::floating:
            return plain && (size == 2 || size == 4 || size == 8 || size == 12 || size == 16)
                       ? nullptr
                       : "form of a floating point number";
        default:
            return plain ? nullptr : "flags of a reference";
    }
}

Status BtfChecker::check_record(std::uint32_t id) const {
    const BtfType head = type(id);
    if (const char* what = check_name(head); what != nullptr) {
        return wrong(id, what);
    }
    if (const char* what = check_form(id, head); what != nullptr) {
        return wrong(id, what);
    }
    return {};
}

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

/// Sizes of `id` and of all that it holds by value; what holds itself has none.
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
            (!params[i].name.empty() && !is_identifier(params[i].name))) {
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

Status BtfChecker::run(std::uint32_t type_start, std::uint32_t type_bytes) {
    if (auto found = find_records(type_start, type_bytes); !found) {
        return found;
    }
    const std::uint32_t count = btf_.count();
    for (std::uint32_t id = 1; id < count; ++id) {
        if (auto ok = check_record(id); !ok) {
            return ok;
        }
    }
    btf_.size_.assign(count, kNoSize);
    chain_.assign(count, Seen::no);
    sized_.assign(count, Seen::no);
    for (std::uint32_t id = 1; id < count; ++id) {
        if (auto ok = follow_pointers(id); !ok) {
            return ok;
        }
        if (auto ok = settle_size(id, 0); !ok) {
            return ok;
        }
    }
    for (std::uint32_t id = 1; id < count; ++id) {
        if (auto ok = check_references(id); !ok) {
            return ok;
        }
        if (type(id).kind == BtfKind::decl_tag) {
            btf_.tags_.push_back(id);
        }
    }
    std::stable_sort(btf_.tags_.begin(), btf_.tags_.end(), [&](std::uint32_t a, std::uint32_t b) {
        return type(a).size_or_type < type(b).size_or_type;
    });
    return {};
}

Result<std::shared_ptr<const Btf>> Btf::parse(std::vector<std::uint8_t> bytes) {
    if (bytes.size() > kBytesMax) {
        return fail(E2BIG, "BTF of {} bytes: at most {}", bytes.size(), kBytesMax);
    }
    Header header{};
    if (bytes.size() < sizeof(header)) {
        return fail(EINVAL, "BTF of {} bytes: shorter than its header", bytes.size());
    }
    std::memcpy(&header, bytes.data(), sizeof(header));
    if (header.magic != kMagic || header.version != 1 || header.flags != 0) {
        return fail(EINVAL, "BTF magic {:#x} version {} flags {:#x}: not native BTF version 1",
                    header.magic, header.version, header.flags);
    }
    const std::uint64_t size = bytes.size();
    const std::uint64_t types = std::uint64_t{header.hdr_len} + header.type_off;
    const std::uint64_t strings = std::uint64_t{header.hdr_len} + header.str_off;
    if (header.hdr_len < sizeof(header) || header.hdr_len > size ||
        types + header.type_len != strings || strings + header.str_len != size) {
        return fail(EINVAL, "BTF header, types and strings do not fill its {} bytes", size);
    }
    if (std::any_of(bytes.begin() + sizeof(header), bytes.begin() + header.hdr_len,
                    [](std::uint8_t byte) { return byte != 0; })) {
        return fail(E2BIG, "BTF header of {} bytes has fields that are not known", header.hdr_len);
    }
    if (header.type_off % 4 != 0 || header.type_len == 0) {
        return fail(EINVAL, "BTF without types, or with unaligned ones");
    }
    const char* text = reinterpret_cast<const char*>(bytes.data()) + strings;
    if (header.str_len == 0 || text[0] != 0 || text[header.str_len - 1] != 0) {
        return fail(EINVAL, "BTF string section does not start and end with an empty string");
    }
    auto btf = std::make_shared<Btf>();
    btf->id_ = next_id.fetch_add(1, std::memory_order_relaxed);
    btf->bytes_ = std::move(bytes);
    btf->strings_ = {text, header.str_len};  // a moved vector keeps its memory
    if (auto ok = BtfChecker(*btf).run(static_cast<std::uint32_t>(types), header.type_len); !ok) {
        return forward_error(ok);
    }
    return btf;
}

}  // namespace crema::ebpf
