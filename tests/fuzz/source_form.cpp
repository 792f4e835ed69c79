// SPDX-License-Identifier: BSD-3-Clause
//
// A program as somebody would write it in a test.
#include <fmt/format.h>
#include <string>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/program/disassemble.h"
#include "lib/ebpf/program/structure.h"
#include "tests/fuzz/shrink.h"
#include "tests/support/asm.h"

namespace crema::test::fuzz {
namespace {

const char* size_name(std::uint8_t code) {
    static constexpr const char* kNames[] = {"op::kW", "op::kH", "op::kB", "op::kDw"};
    return kNames[op::size_field(code) >> 3U];
}

const char* alu_name(std::uint8_t code) {
    static constexpr const char* kNames[] = {
        "op::kAdd", "op::kSub", "op::kMul", "op::kDiv", "op::kOr",  "op::kAnd", "op::kLsh",
        "op::kRsh", "op::kNeg", "op::kMod", "op::kXor", "op::kMov", "op::kArsh"};
    const unsigned at = op::operation(code) >> 4U;
    return at < std::size(kNames) ? kNames[at] : nullptr;
}

const char* jump_name(std::uint8_t code) {
    static constexpr const char* kNames[] = {
        "op::kJa",   "op::kJeq",  "op::kJgt",  "op::kJge", "op::kJset", "op::kJne",  "op::kJsgt",
        "op::kJsge", "op::kCall", "op::kExit", "op::kJlt", "op::kJle",  "op::kJslt", "op::kJsle"};
    const unsigned at = op::operation(code) >> 4U;
    return at < std::size(kNames) ? kNames[at] : nullptr;
}

std::string plain(const Insn& i) {
    return fmt::format("insn({:#04x}, {}, {}, {}, {})", i.code, unsigned{i.dst}, unsigned{i.src},
                       i.off, i.imm);
}

std::string constant(const Insn& i, std::int32_t high) {
    switch (i.src) {
        case 0:
            return fmt::format("ld_imm64({}, {:#x}ULL)", unsigned{i.dst},
                               std::uint64_t{static_cast<std::uint32_t>(high)} << 32U |
                                   static_cast<std::uint32_t>(i.imm));
        case op::kPseudoMap:
            return fmt::format("ld_map({}, {})", unsigned{i.dst}, i.imm);
        case op::kPseudoMapValue:
            return fmt::format("ld_map_value({}, {}, {})", unsigned{i.dst}, i.imm, high);
        default:
            return fmt::format("{}, insn(0, 0, 0, 0, {})", plain(i), high);
    }
}

std::string arithmetic(const Insn& i) {
    const bool narrow = op::insn_class(i.code) == op::kAlu;
    const char* const name = alu_name(i.code);
    if (name == nullptr || i.off != 0 || op::operation(i.code) == op::kNeg) {
        return plain(i);
    }
    if (op::is_reg_source(i.code)) {
        return fmt::format("alu{}({}, {}, {})", narrow ? "32" : "", name, unsigned{i.dst},
                           unsigned{i.src});
    }
    return fmt::format("alu{}_k({}, {}, {})", narrow ? "32" : "", name, unsigned{i.dst}, i.imm);
}

std::string jump_form(const Insn& i) {
    const bool narrow = op::insn_class(i.code) == op::kJmp32;
    if (i.code == (op::kJmp | op::kJa)) {
        return fmt::format("go({})", i.off);
    }
    if (ebpf::is_exit(i)) {
        return "exit_insn()";
    }
    if (ebpf::is_call(i) && i.src == op::kHelperCall) {
        return fmt::format("call({})", i.imm);
    }
    const char* const name = jump_name(i.code);
    if (!ebpf::is_conditional_jump(i) || name == nullptr) {
        return plain(i);
    }
    if (op::is_reg_source(i.code)) {
        return fmt::format("jump{}({}, {}, {}, {})", narrow ? "32" : "", name, unsigned{i.dst},
                           unsigned{i.src}, i.off);
    }
    return fmt::format("jump{}_k({}, {}, {}, {})", narrow ? "32" : "", name, unsigned{i.dst}, i.imm,
                       i.off);
}

std::string one(const Insn& i, std::int32_t high) {
    if (i.code == op::kLdImm64) {
        return constant(i, high);
    }
    switch (op::insn_class(i.code)) {
        case op::kAlu:
        case op::kAlu64:
            return arithmetic(i);
        case op::kJmp:
        case op::kJmp32:
            return jump_form(i);
        case op::kLdx:
            return op::mode(i.code) != op::kMem
                       ? plain(i)
                       : fmt::format("load({}, {}, {}, {})", size_name(i.code), unsigned{i.dst},
                                     unsigned{i.src}, i.off);
        case op::kSt:
            return op::mode(i.code) != op::kMem
                       ? plain(i)
                       : fmt::format("store_k({}, {}, {}, {})", size_name(i.code), unsigned{i.dst},
                                     i.off, i.imm);
        case op::kStx:
            return op::mode(i.code) != op::kMem
                       ? plain(i)
                       : fmt::format("store({}, {}, {}, {})", size_name(i.code), unsigned{i.dst},
                                     i.off, unsigned{i.src});
        default:
            return plain(i);
    }
}

}  // namespace

std::string source_form(const Case& shown, const Judgement& judgement) {
    std::string text = fmt::format("// {}: {}\nconst Code code = {{\n", name_of(judgement.finding),
                                   judgement.text);
    const auto& insns = shown.program.insns;
    for (std::size_t at = 0; at < insns.size(); ++at) {
        const bool wide = insns[at].code == op::kLdImm64 && at + 1 < insns.size();
        const std::int32_t high = wide ? insns[at + 1].imm : 0;
        text += fmt::format("    {:<44} // {}: {}\n", one(insns[at], high) + ",", at,
                            ebpf::disassemble(insns[at], high, ebpf::helpers::name_of));
        at += wide ? 1 : 0;
    }
    text += "};\n";
    for (const Packet& packet : shown.packets) {
        text +=
            fmt::format("const std::vector<std::uint8_t> packet = {{  // {} bytes", packet.size());
        std::size_t end = packet.size();
        while (end > 0 && packet[end - 1] == 0) {
            --end;
        }
        for (std::size_t at = 0; at < end; ++at) {
            text += fmt::format("{}{:#04x},", at % 16 == 0 ? "\n    " : " ", packet[at]);
        }
        text += fmt::format("}};\npacket.resize({});\n", packet.size());
    }
    return text;
}

}  // namespace crema::test::fuzz
