// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/native_code.h"

#include <algorithm>
#include <capstone/capstone.h>
#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/emit.h"

namespace crema::command {
namespace {

using ebpf::Insn;
using ebpf::lowering::Lowered;
using ebpf::lowering::LoweredFunction;

/// Constants of this form stand in front of each lowered slot; the low half is the slot's number.
constexpr std::uint64_t kMarker = 0x7e57c0de00000000;
constexpr std::int32_t kAddressHigh = 0x7fff;

bool is_wide(const Insn& insn) {
    return insn.code == ebpf::op::kLdImm64;
}

bool is_jump(const Insn& insn) {
    const std::uint8_t cls = ebpf::op::insn_class(insn.code);
    const std::uint8_t operation = ebpf::op::operation(insn.code);
    return (cls == ebpf::op::kJmp || cls == ebpf::op::kJmp32) && operation != ebpf::op::kCall &&
           operation != ebpf::op::kExit;
}

std::uint64_t never_called(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    return 0;
}

/// The same instructions, a marker in front of each. None: a jump becomes too long.
std::optional<Lowered> with_markers(const LoweredFunction& lowered) {
    const std::size_t slots = lowered.insns.size();
    std::vector<std::int64_t> marker_at(slots + 1);  // by slot, in the marked program
    std::int64_t next = 0;
    for (std::size_t slot = 0; slot < slots; ++slot) {
        marker_at[slot] = next;
        if (is_wide(lowered.insns[slot]) && slot + 1 < slots) {
            marker_at[++slot] = next;  // nothing jumps there
            ++next;
        }
        next += 3;
    }
    marker_at[slots] = next;

    LoweredFunction marked;
    marked.natives = lowered.natives;
    // It is never run: any address stands for the machine code of another function.
    std::replace(marked.natives.begin(), marked.natives.end(), ebpf::helpers::Native{nullptr},
                 &never_called);
    marked.stack_bytes = lowered.stack_bytes;
    const auto mark = [&marked](std::size_t slot) {
        marked.insns.push_back(ebpf::lowering::make_insn(ebpf::op::kLdImm64, 0, 0, 0,
                                                         static_cast<std::int32_t>(slot)));
        marked.insns.push_back(
            ebpf::lowering::make_insn(0, 0, 0, 0, static_cast<std::int32_t>(kMarker >> 32U)));
    };
    std::vector<Insn> insns = lowered.insns;
    for (const ebpf::lowering::AddressOf& address : lowered.addresses) {
        insns[address.insn + 1].imm = kAddressHigh;  // needs all 64 bits, as the real one does
    }
    for (std::size_t slot = 0; slot < slots; ++slot) {
        mark(slot);
        Insn insn = insns[slot];
        if (is_jump(insn)) {
            const std::int64_t target = static_cast<std::int64_t>(slot) + 1 + insn.off;
            if (target < 0 || target > static_cast<std::int64_t>(slots)) {
                return std::nullopt;
            }
            const std::int64_t distance = marker_at[static_cast<std::size_t>(target)] -
                                          static_cast<std::int64_t>(marked.insns.size()) - 1;
            if (distance < INT16_MIN || distance > INT16_MAX) {
                return std::nullopt;
            }
            insn.off = static_cast<std::int16_t>(distance);
        }
        marked.insns.push_back(insn);
        if (is_wide(insn) && slot + 1 < slots) {
            marked.insns.push_back(insns[++slot]);
        }
    }
    Lowered program;
    program.functions.push_back(std::move(marked));
    return program;
}

/// The slot that this instruction is the marker of, or -1.
std::int64_t marked_slot(const NativeInsn& insn) {
    // REX.W, opcode, 64-bit constant of x86-64. arm64 makes a constant in up to four instructions,
    // which are not looked for: there is no map there.
    constexpr std::size_t kBytes = 10;
    if (insn.bytes.size() != kBytes || insn.bytes[0] != 0x48 || insn.bytes[1] != 0xb8) {
        return -1;
    }
    std::uint64_t constant = 0;
    std::memcpy(&constant, &insn.bytes[2], sizeof(constant));
    return (constant ^ kMarker) <= UINT32_MAX ? static_cast<std::int64_t>(constant ^ kMarker) : -1;
}

bool is_native_jump(const NativeInsn& insn) {
    return insn.text.starts_with('j');
}

std::string_view mnemonic(const NativeInsn& insn) {
    return std::string_view(insn.text).substr(0, insn.text.find(' '));
}

bool is_constant_of_64_bits(const NativeInsn& insn) {
    return mnemonic(insn) == "movabs";
}

/// with_address: the slot holds the address of one of our functions, which differs.
bool is_same(const NativeInsn& a, const NativeInsn& b, bool with_address) {
    if (a.bytes == b.bytes || (is_native_jump(a) && mnemonic(a) == mnemonic(b))) {
        return true;
    }
    return with_address && is_constant_of_64_bits(a) && is_constant_of_64_bits(b) &&
           std::equal(a.bytes.begin(), a.bytes.begin() + 2, b.bytes.begin());
}

/// By slot: calls of our functions and loads of their addresses.
std::vector<bool> slots_with_address(const LoweredFunction& lowered) {
    std::vector<bool> found(lowered.insns.size(), false);
    for (const ebpf::lowering::AddressOf& address : lowered.addresses) {
        found[address.insn] = true;
    }
    for (std::size_t slot = 0; slot < found.size(); ++slot) {
        const Insn& insn = lowered.insns[slot];
        const auto native = static_cast<std::size_t>(insn.imm);
        found[slot] =
            found[slot] || (insn.code == (ebpf::op::kJmp | ebpf::op::kCall) &&
                            native < lowered.natives.size() && lowered.natives[native] == nullptr);
        slot += is_wide(insn) ? 1 : 0;
    }
    return found;
}

}  // namespace

Result<std::vector<NativeInsn>> disassemble_native(std::span<const std::uint8_t> code) {
#if defined(__x86_64__)
    constexpr cs_arch kArchitecture = CS_ARCH_X86;
    constexpr cs_mode kMode = CS_MODE_64;
#elif defined(__aarch64__)
    constexpr cs_arch kArchitecture = CS_ARCH_ARM64;
    constexpr cs_mode kMode = CS_MODE_LITTLE_ENDIAN;
#else
    constexpr cs_arch kArchitecture = CS_ARCH_MAX;  // none
    constexpr cs_mode kMode = CS_MODE_LITTLE_ENDIAN;
#endif
    csh handle = 0;
    if (cs_open(kArchitecture, kMode, &handle) != CS_ERR_OK) {
        return fail(ENOTSUP, "libcapstone has no disassembler for this processor");
    }
    std::vector<NativeInsn> insns;
    cs_insn* const one = cs_malloc(handle);
    const std::uint8_t* at = code.data();
    std::size_t left = code.size();
    std::uint64_t offset = 0;
    while (one != nullptr && left > 0 && cs_disasm_iter(handle, &at, &left, &offset, one)) {
        const std::string operands = one->op_str;
        insns.push_back({.offset = static_cast<std::uint32_t>(one->address),
                         .bytes = {one->bytes, one->bytes + one->size},
                         .text = one->mnemonic + (operands.empty() ? "" : " " + operands)});
    }
    cs_free(one, 1);
    cs_close(&handle);
    if (left != 0) {
        return fail(EINVAL, "byte {} of {} begins no instruction", code.size() - left, code.size());
    }
    return insns;
}

std::optional<std::vector<std::uint32_t>> find_native_starts(const LoweredFunction& lowered,
                                                             const std::vector<NativeInsn>& code) {
    const auto marked = with_markers(lowered);
    if (!marked) {
        return std::nullopt;
    }
    const auto compiled = ebpf::lowering::compile(*marked);
    if (!compiled) {
        return std::nullopt;
    }
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(compiled->entry());
    const auto with_marks = disassemble_native({bytes, compiled->bytes()});
    if (!with_marks) {
        return std::nullopt;
    }
    const std::vector<bool> with_address = slots_with_address(lowered);
    std::vector<std::uint32_t> starts;
    std::size_t at = 0;  // in `code`
    for (const NativeInsn& insn : *with_marks) {
        const auto next_slot = static_cast<std::int64_t>(starts.size());
        const std::int64_t slot = marked_slot(insn);
        if (slot >= next_slot && static_cast<std::size_t>(slot) < lowered.insns.size()) {
            starts.resize(static_cast<std::size_t>(slot) + 1, static_cast<std::uint32_t>(at));
            continue;
        }
        const bool may_differ = !starts.empty() && with_address[starts.size() - 1];
        if (at == code.size() || !is_same(insn, code[at], may_differ)) {
            return std::nullopt;
        }
        ++at;
    }
    if (at != code.size() || starts.size() > lowered.insns.size()) {
        return std::nullopt;
    }
    starts.resize(lowered.insns.size() + 1, static_cast<std::uint32_t>(at));
    return starts;
}

}  // namespace crema::command
