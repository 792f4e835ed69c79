// SPDX-License-Identifier: BSD-3-Clause
//
// Btf::parse and the first pass of BtfChecker: the blob's sections, and the form of each record.
#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <numeric>

#include "lib/ebpf/program/btf_checker.h"
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
constexpr std::uint32_t kTypesMax = 1U << 20;
constexpr std::uint32_t kIntegerBitsMax = 128;
constexpr std::size_t kNameBytesMax = 511;

std::atomic<std::uint32_t> next_id{1};

bool is_printable(std::string_view name) {
    return !name.empty() && name.size() <= kNameBytesMax &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return std::isprint(static_cast<unsigned char>(c)) != 0; });
}

}  // namespace

bool is_btf_identifier(std::string_view name) {
    const auto letter = [](char c) {
        return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
    };
    return !name.empty() && name.size() <= kNameBytesMax && letter(name[0]) &&
           std::all_of(name.begin(), name.end(), [&](char c) {
               return letter(c) || std::isdigit(static_cast<unsigned char>(c)) != 0;
           });
}

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
            return type.name == 0 || is_btf_identifier(name) ? nullptr : "name is no identifier";
        case BtfKind::forward:
        case BtfKind::type_name:
        case BtfKind::function:
        case BtfKind::variable:
            return is_btf_identifier(name) ? nullptr : "name is no identifier";
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
        if (name >= btf_.strings_.size() ||
            (name != 0 && !is_btf_identifier(btf_.string_at(name)))) {
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
        if (name >= btf_.strings_.size() || !is_btf_identifier(btf_.string_at(name))) {
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

const char* BtfChecker::check_array(std::uint32_t id, const BtfType& type) const {
    if (type.vlen != 0 || type.flag || type.size_or_type != 0) {
        return "flags of an array";
    }
    return btf_.word(id, 3) != 0 && btf_.word(id, 4) != 0 ? nullptr : "array without type";
}

const char* BtfChecker::check_decl_tag(std::uint32_t id, const BtfType& type) const {
    if (type.vlen != 0) {
        return "flags of a tag";
    }
    return static_cast<std::int32_t>(btf_.word(id, 3)) >= -1 ? nullptr : "component of a tag";
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
            return check_array(id, type);
        case BtfKind::forward:
            return type.vlen == 0 && size == 0 ? nullptr : "flags of a forward declaration";
        case BtfKind::type_tag:
            return type.vlen == 0 ? nullptr : "flags of a tag";
        case BtfKind::decl_tag:
            return check_decl_tag(id, type);
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
    btf_.bare_.resize(count);
    std::iota(btf_.bare_.begin(), btf_.bare_.end(), 0U);
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
