// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's table of verifier cases as emit_cases.c wrote it. A case is instructions with
// places for map descriptors, and what the kernel of those selftests says to them when a
// privileged user loads them as the type that the case names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/program/instruction.h"

namespace crema::test {

struct TableCase {
    struct MapUse {
        std::string kind;               // which map (case_maps.h)
        std::vector<std::uint32_t> at;  // instructions that load its address
    };

    struct KfuncUse {
        std::string name;
        std::uint32_t at = 0;
    };

    struct FunctionType {
        std::uint32_t insn = 0;
        std::uint32_t type = 0;
    };

    std::string file;
    std::string name;
    std::uint32_t type = 0;    // BPF_PROG_TYPE_*; 0: any, loaded as a socket filter
    std::uint32_t attach = 0;  // expected_attach_type
    bool strict_alignment = false;
    bool any_alignment = false;
    std::uint32_t load_flags = 0;  // more BPF_F_* of PROG_LOAD
    bool accepted = false;
    std::string reason;  // parts of the log, in order, separated by tabs; only when refused
    std::vector<MapUse> maps;
    std::vector<KfuncUse> kfuncs;
    std::vector<std::uint8_t> btf_types;
    std::vector<std::uint8_t> btf_strings;
    std::vector<FunctionType> functions;
    std::vector<ebpf::Insn> insns;

    [[nodiscard]] std::string full_name() const { return file + ": " + name; }
};

[[nodiscard]] Result<std::vector<TableCase>> read_cases(const std::string& path);

}  // namespace crema::test
