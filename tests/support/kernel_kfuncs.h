// SPDX-License-Identifier: BSD-3-Clause
//
// Calls of kernel functions carry type numbers of ours; the running kernel has its own. It is asked
// (/sys/kernel/btf/vmlinux) once, and only when a program has such a call.
#pragma once

#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/check.h"
#include "lib/ebpf/kfuncs/kernel_btf.h"
#include "lib/ebpf/kfuncs/kfuncs.h"
#include "lib/ebpf/program/btf_layout.h"
#include "lib/ebpf/program/instruction.h"

namespace crema::test {

using KernelNumbers = std::map<std::string, std::int32_t>;

/// Type numbers of served functions in the running kernel, by a plain walk over its records.
[[nodiscard]] inline KernelNumbers read_kernel_numbers() {
    // By this spelling it is the kernel's file for everybody.
    std::ifstream file("/sys/kernel/btf/./vmlinux", std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    const auto word = [&](std::size_t at) {
        std::uint32_t value = 0;
        std::memcpy(&value, bytes.data() + at, sizeof(value));
        return value;
    };
    KernelNumbers numbers;
    constexpr std::size_t kHeaderBytes = 24;
    if (bytes.size() < kHeaderBytes) {
        return numbers;
    }
    const std::size_t header = word(4);
    const std::size_t types = header + word(8);
    const std::size_t end = types + word(12);
    const char* const strings = bytes.data() + header + word(16);
    std::int32_t id = 1;
    for (std::size_t at = types; at < end; ++id) {
        const ebpf::BtfType type = ebpf::btf_layout::head(word(at), word(at + 4), word(at + 8));
        const std::string_view name = strings + type.name;
        if (type.kind == ebpf::BtfKind::function && ebpf::kfuncs::find(name) != nullptr) {
            numbers.emplace(name, id);
        }
        at += ebpf::btf_layout::kHeadBytes + ebpf::btf_layout::extra_words(type) * 4;
    }
    return numbers;
}

/// A call of the kernel function of that name, which must be one that is served.
[[nodiscard]] inline ebpf::Insn call_kfunc(const std::string& name) {
    const ebpf::kfuncs::Function* const function = ebpf::kfuncs::find(name);
    CREMA_CHECK(function != nullptr);
    ebpf::Insn insn{};
    insn.code = ebpf::op::kJmp | ebpf::op::kCall;
    insn.src = ebpf::op::kPseudoKfunc;
    insn.imm = ebpf::kfuncs::btf_id_of(*function);
    return insn;
}

/// Makes such calls, and loads of addresses, name the same functions of the running kernel. A
/// function that it has not gets the number of a type that is none.
inline void name_kernel_functions(std::span<ebpf::Insn> insns) {
    constexpr std::int32_t kNoFunction = 1;  // the first type of a kernel is a number
    bool second_half = false;                // of an LD_IMM64
    for (ebpf::Insn& insn : insns) {
        const bool loads = insn.code == ebpf::op::kLdImm64 && !second_half;
        second_half = loads;
        const bool calls =
            insn.code == (ebpf::op::kJmp | ebpf::op::kCall) && insn.src == ebpf::op::kPseudoKfunc;
        const bool names = calls || (loads && insn.src == ebpf::op::kPseudoBtfId);
        const char* const name = names ? ebpf::kfuncs::name_of(insn.imm) : nullptr;
        if (name == nullptr) {
            continue;
        }
        static const KernelNumbers numbers = read_kernel_numbers();
        const auto found = numbers.find(name);
        insn.imm = found != numbers.end() ? found->second : kNoFunction;
    }
}

}  // namespace crema::test
