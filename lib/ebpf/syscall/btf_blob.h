// SPDX-License-Identifier: BSD-3-Clause
//
// A BTF blob as BTF_LOAD hands it over, and the two things this room reads from it: its strings and
// the source lines of a program. Types are kept, not interpreted: libbpf has resolved them before.
// Every offset in it is input and checked before use.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/program/program.h"

namespace crema::ebpf::syscall {

class BtfBlob {
  public:
    /// EINVAL when the header or a section bound is wrong, E2BIG above 16 MiB.
    [[nodiscard]] static Result<std::shared_ptr<const BtfBlob>> parse(
        std::vector<std::uint8_t> bytes);

    /// Unique in this process, > 0.
    [[nodiscard]] std::uint32_t id() const { return id_; }

    [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

    /// Empty when `offset` is outside the string section or the string does not end in it.
    [[nodiscard]] std::string string_at(std::uint32_t offset) const;

  private:
    std::uint32_t id_ = 0;
    std::vector<std::uint8_t> bytes_;
    std::span<const char> strings_;  // into bytes_
};

/// One line_info record of PROG_LOAD (struct bpf_line_info).
struct LineRecord {
    std::uint32_t insn;
    std::uint32_t file_name;  // string offsets
    std::uint32_t line_text;
    std::uint32_t line_and_column;  // line << 10 | column
};

static_assert(sizeof(LineRecord) == 16);

/// Source lines of a program of `insns` instructions. Records that do not ascend or lie outside
/// the program are left out: line info serves messages, it decides nothing.
[[nodiscard]] std::vector<SourceLine> source_lines(const BtfBlob& btf,
                                                   std::span<const LineRecord> records,
                                                   std::size_t insns);

}  // namespace crema::ebpf::syscall
