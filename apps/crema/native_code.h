// SPDX-License-Identifier: BSD-3-Clause
//
// Machine code as text, and which of it stands for which lowered instruction. DPDK's JIT reports no
// such map. It is found by translating the same instructions a second time with a marker behind
// each: what stands between two markers is one instruction's code. The real code is then followed
// along it, every instruction compared; only jump distances and addresses of functions may differ.
// Where that does not work out, there is no map, and nothing is guessed. The second translation is
// never run.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/lowering/lower.h"

namespace crema::command {

struct NativeInsn {
    std::uint32_t offset = 0;  // bytes from the start of the function
    std::vector<std::uint8_t> bytes;
    std::string text;
};

/// ENOTSUP: no disassembler for this processor.
[[nodiscard]] Result<std::vector<NativeInsn>> disassemble_native(
    std::span<const std::uint8_t> code);

/// By lowered slot: index of its first instruction in `code`, and behind the last slot the index of
/// the epilogue's. Slots that have no code of their own (second halves, moves to themselves) begin
/// where the next one begins. None: could not be established.
[[nodiscard]] std::optional<std::vector<std::uint32_t>> find_native_starts(
    const ebpf::lowering::LoweredFunction& lowered, const std::vector<NativeInsn>& code);

}  // namespace crema::command
