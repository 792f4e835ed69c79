// SPDX-License-Identifier: BSD-3-Clause
//
// A program on all its levels: source lines, BPF, lowered BPF, machine code, each piece under the
// instruction it stands for. Made anew from the program that was loaded; what runs is not touched.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/crema/native_code.h"
#include "lib/base/result.h"
#include "lib/ebpf/program/program.h"

namespace crema::command {

struct LoweredLine {
    std::uint32_t slot = 0;
    std::uint32_t count = 1;  // of equal ones in a row (padding)
    std::string text;
    std::vector<NativeInsn> native;  // empty without a map
};

struct BpfLine {
    std::uint32_t slot = 0;
    std::string text;
    const ebpf::SourceLine* source = nullptr;  // where a new source line begins
    bool reachable = true;
    std::vector<LoweredLine> lowered;
};

struct FunctionListing {
    std::string name;
    std::uint32_t first = 0;  // slots [first, end)
    std::uint32_t end = 0;
    std::vector<BpfLine> lines{};
    // The rest is there for accepted programs only; nothing of a function that is never called.
    std::uint32_t lowered_insns = 0;
    std::uint32_t native_bytes = 0;
    std::vector<LoweredLine> around{};  // stands for no instruction: padding, frame, the one exit
    std::vector<NativeInsn> prologue{};
    std::vector<NativeInsn> unmapped{};  // all machine code, when it could not be mapped
};

struct Listing {
    std::vector<FunctionListing> functions;
    std::uint32_t stack_bytes = 0;
};

/// judged_safe: false: only BPF, without marks. The error is of lowering or the disassembler.
[[nodiscard]] Result<Listing> make_listing(const ebpf::Program& program, bool judged_safe);

}  // namespace crema::command
