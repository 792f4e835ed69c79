// SPDX-License-Identifier: BSD-3-Clause
//
// Reading types of a checked blob (btf_check.cpp has seen every record).
#include "lib/ebpf/program/btf.h"

#include <algorithm>
#include <cstring>

#include "lib/ebpf/program/btf_layout.h"

namespace crema::ebpf {

using btf_layout::kHeadBytes;
using btf_layout::kNoSize;

namespace {

// Many records may name one long string, and each looks at it: what is longer than anything with a
// meaning is cut.
constexpr std::size_t kStringBytesMax = 4096;

}  // namespace

std::uint32_t Btf::word(std::uint32_t id, std::uint32_t index) const {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes_.data() + at_[id] + index * sizeof(value), sizeof(value));
    return value;
}

std::optional<BtfType> Btf::type(std::uint32_t id) const {
    if (id >= count()) {
        return std::nullopt;
    }
    return id == 0 ? BtfType{} : btf_layout::head(word(id, 0), word(id, 1), word(id, 2));
}

std::string_view Btf::string_at(std::uint32_t offset) const {
    if (offset >= strings_.size()) {
        return {};
    }
    const std::size_t room = std::min(strings_.size() - offset, kStringBytesMax);
    return {strings_.data() + offset, strnlen(strings_.data() + offset, room)};
}

std::string_view Btf::name_of(std::uint32_t id) const {
    const auto found = type(id);
    return found ? string_at(found->name) : std::string_view();
}

std::uint32_t Btf::bare(std::uint32_t id) const {
    return id < count() ? bare_[id] : id;
}

BtfType Btf::bare_type(std::uint32_t id) const {
    return type(bare(id)).value_or(BtfType{});
}

std::uint32_t Btf::referenced(std::uint32_t id) const {
    const auto found = type(id);
    return found && btf_layout::refers(found->kind) ? found->size_or_type : 0;
}

std::optional<std::uint32_t> Btf::size_of(std::uint32_t id) const {
    if (id >= count() || size_[id] == kNoSize) {
        return std::nullopt;
    }
    return size_[id];
}

std::optional<BtfArray> Btf::array(std::uint32_t id) const {
    const auto found = type(id);
    if (!found || found->kind != BtfKind::array) {
        return std::nullopt;
    }
    return BtfArray{.element = word(id, 3), .index = word(id, 4), .count = word(id, 5)};
}

std::vector<BtfMember> Btf::members(std::uint32_t id) const {
    const auto found = type(id);
    std::vector<BtfMember> result;
    if (!found || (found->kind != BtfKind::structure && found->kind != BtfKind::union_of)) {
        return result;
    }
    for (std::uint32_t i = 0; i < found->vlen; ++i) {
        const std::uint32_t position = word(id, 5 + i * 3);
        result.push_back({.name = string_at(word(id, 3 + i * 3)),
                          .type = word(id, 4 + i * 3),
                          .bit_offset = btf_layout::bit_offset(*found, position),
                          .bit_size = btf_layout::bit_size(*found, position)});
    }
    return result;
}

std::vector<BtfParam> Btf::params(std::uint32_t id) const {
    const auto found = type(id);
    std::vector<BtfParam> result;
    if (!found || found->kind != BtfKind::function_proto) {
        return result;
    }
    for (std::uint32_t i = 0; i < found->vlen; ++i) {
        result.push_back({.name = string_at(word(id, 3 + i * 2)), .type = word(id, 4 + i * 2)});
    }
    return result;
}

std::vector<BtfSectionVariable> Btf::section_variables(std::uint32_t id) const {
    const auto found = type(id);
    std::vector<BtfSectionVariable> result;
    if (!found || found->kind != BtfKind::data_section) {
        return result;
    }
    for (std::uint32_t i = 0; i < found->vlen; ++i) {
        result.push_back({.type = word(id, 3 + i * 3),
                          .offset = word(id, 4 + i * 3),
                          .size = word(id, 5 + i * 3)});
    }
    return result;
}

std::uint32_t Btf::integer_encoding(std::uint32_t id) const {
    const auto found = type(id);
    return found && found->kind == BtfKind::integer ? btf_layout::encoding(word(id, 3)) : 0;
}

std::vector<std::string_view> Btf::decl_tags(std::uint32_t id, std::int32_t component) const {
    std::vector<std::string_view> result;
    const auto before = [&](std::uint32_t tag, std::uint32_t of) { return word(tag, 2) < of; };
    for (auto tag = std::lower_bound(tags_.begin(), tags_.end(), id, before);
         tag != tags_.end() && word(*tag, 2) == id; ++tag) {
        if (static_cast<std::int32_t>(word(*tag, 3)) == component) {
            result.push_back(string_at(word(*tag, 0)));
        }
    }
    return result;
}

std::uint32_t Btf::find(BtfKind kind, std::string_view name) const {
    for (std::uint32_t id = 1; id < count(); ++id) {
        if (type(id)->kind == kind && name_of(id) == name) {
            return id;
        }
    }
    return 0;
}

}  // namespace crema::ebpf
