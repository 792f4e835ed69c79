// SPDX-License-Identifier: BSD-3-Clause
//
// Everything a blob has to be before anybody reads types from it, in two passes: btf_check.cpp
// walks the records (form of each kind, names), btf_references.cpp follows references (they exist,
// end, and everything that needs a size has one). Same verdicts as the kernel's BTF_LOAD (BtfOracle
// in tests/conformance).
#pragma once

#include <cerrno>
#include <cstdint>
#include <string_view>
#include <vector>

#include "lib/ebpf/program/btf.h"

namespace crema::ebpf {

/// A name as C has them, or with dots.
[[nodiscard]] bool is_btf_identifier(std::string_view name);

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
    [[nodiscard]] const char* check_array(std::uint32_t id, const BtfType& type) const;
    [[nodiscard]] const char* check_decl_tag(std::uint32_t id, const BtfType& type) const;
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

}  // namespace crema::ebpf
