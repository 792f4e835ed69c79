// SPDX-License-Identifier: BSD-3-Clause
//
// How many of a campaign's programs contain what: forms of the instruction set, helpers, types of
// maps. A campaign that never makes a thing proves nothing about it; the record says so.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "lib/ebpf/program/program.h"

namespace crema::test::fuzz {

class Census {
  public:
    /// program: with functions and types, as it was judged.
    void add(const ebpf::Program& program);

    /// Number of programs by name of what they contain; what none contains is missing.
    [[nodiscard]] std::map<std::string, std::uint64_t> counts() const;

  private:
    static constexpr std::size_t kForms = 16, kHelpers = 256, kMapTypes = 40;

    std::array<std::uint64_t, kForms> forms_{};
    std::array<std::uint64_t, kHelpers> helpers_{};
    std::array<std::uint64_t, kMapTypes> map_types_{};
};

}  // namespace crema::test::fuzz
