// SPDX-License-Identifier: BSD-3-Clause
//
// BTF: the types of a program, its functions and its maps, as BTF_LOAD hands them over. parse()
// checks all of a hostile blob once (bounds, names, references, cycles, sizes); every accessor
// checks its type id and index again and answers with nothing for one that does not exist.
// Kernel limits: 16 MiB, 2^20 types, nesting 32.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"

namespace crema::ebpf {

enum class BtfKind : std::uint8_t {
    nothing,  // type 0: void
    integer,
    pointer,
    array,
    structure,
    union_of,
    enumeration,
    forward,
    type_name,  // typedef
    is_volatile,
    is_const,
    is_restrict,
    function,
    function_proto,
    variable,
    data_section,
    floating,
    decl_tag,
    type_tag,
    enumeration64,
};

/// The common head of a type record.
struct BtfType {
    BtfKind kind = BtfKind::nothing;
    bool flag = false;       // kind_flag
    std::uint32_t vlen = 0;  // members, parameters, values; linkage of a function
    std::uint32_t name = 0;  // string offset
    std::uint32_t size_or_type = 0;
};

struct BtfArray {
    std::uint32_t element = 0;
    std::uint32_t index = 0;
    std::uint32_t count = 0;
};

struct BtfMember {
    std::string_view name;
    std::uint32_t type = 0;
    std::uint32_t bit_offset = 0;
    std::uint32_t bit_size = 0;  // of a bit field, else 0
};

struct BtfParam {
    std::string_view name;
    std::uint32_t type = 0;  // 0 as the last one: more arguments follow
};

/// A variable of a data section.
struct BtfSectionVariable {
    std::uint32_t type = 0;  // BtfKind::variable
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
};

/// Linkage of functions (BtfType::vlen).
inline constexpr std::uint32_t kBtfStatic = 0, kBtfGlobal = 1, kBtfExtern = 2;

class Btf {
  public:
    /// Errors carry the kernel's errno and say which type is wrong.
    [[nodiscard]] static Result<std::shared_ptr<const Btf>> parse(std::vector<std::uint8_t> bytes);

    /// Unique in this process, > 0.
    [[nodiscard]] std::uint32_t id() const { return id_; }

    [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

    /// Types are 0 (void) to count() - 1.
    [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(at_.size()); }

    [[nodiscard]] std::optional<BtfType> type(std::uint32_t id) const;

    /// Empty when `offset` is outside the string section; at most 4096 characters.
    [[nodiscard]] std::string_view string_at(std::uint32_t offset) const;
    [[nodiscard]] std::string_view name_of(std::uint32_t id) const;

    /// `id` without typedefs, qualifiers and type tags.
    [[nodiscard]] std::uint32_t bare(std::uint32_t id) const;
    /// Head of bare(id); BtfKind::nothing for one that does not exist.
    [[nodiscard]] BtfType bare_type(std::uint32_t id) const;
    /// What a pointer, typedef, qualifier, tag, variable or function refers to, else 0.
    [[nodiscard]] std::uint32_t referenced(std::uint32_t id) const;
    /// Bytes of an object of that type; nothing for void, functions and forward declarations.
    [[nodiscard]] std::optional<std::uint32_t> size_of(std::uint32_t id) const;

    [[nodiscard]] std::optional<BtfArray> array(std::uint32_t id) const;
    /// Of a structure or union; empty for everything else.
    [[nodiscard]] std::vector<BtfMember> members(std::uint32_t id) const;
    /// Of a function prototype.
    [[nodiscard]] std::vector<BtfParam> params(std::uint32_t id) const;
    [[nodiscard]] std::vector<BtfSectionVariable> section_variables(std::uint32_t id) const;
    /// BTF_KIND_INT: signed, char, bool bits of its encoding.
    [[nodiscard]] std::uint32_t integer_encoding(std::uint32_t id) const;

    /// Texts of the declaration tags of a type (component -1) or of its member or parameter.
    [[nodiscard]] std::vector<std::string_view> decl_tags(std::uint32_t id,
                                                          std::int32_t component) const;
    /// First type of that kind and name, or 0.
    [[nodiscard]] std::uint32_t find(BtfKind kind, std::string_view name) const;

  private:
    friend class BtfChecker;

    [[nodiscard]] std::uint32_t word(std::uint32_t id, std::uint32_t index) const;

    std::uint32_t id_ = 0;
    std::vector<std::uint8_t> bytes_;
    std::span<const char> strings_;    // into bytes_
    std::vector<std::uint32_t> at_;    // byte offset of each type's record in bytes_; [0] unused
    std::vector<std::uint32_t> size_;  // of each type, kNoSize without
    std::vector<std::uint32_t> bare_;  // of each type: bare()
    std::vector<std::uint32_t> tags_;  // types of kind decl_tag, ordered by what they tag
};

}  // namespace crema::ebpf
