// SPDX-License-Identifier: BSD-3-Clause
//
// docs/lowering.md lists what lowering makes of every opcode. This test makes the same list by
// lowering each form and compares, so that the page cannot go stale. With CREMA_WRITE_DOCS set it
// writes the list into the page instead.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/program/disassemble.h"
#include "lib/ebpf/program/structure.h"
#include "tests/support/asm.h"
#include "tests/support/opcode_forms.h"

namespace crema::test {
namespace {

constexpr const char* kBegin = "<!-- begin: made by lowering_opcode_table_test -->\n";
constexpr const char* kEnd = "<!-- end -->\n";
constexpr const char* kAgainstKernel = "`LoweringOpcodes.EveryFormDoesWhatTheKernelDoes`";

// What one opcode can mean: the fields that change it.
std::string meaning(const Insn& one) {
    const bool is_signed = ebpf::is_signed_form(one);
    const std::int32_t atomic = ebpf::is_atomic(one) ? one.imm : 0;
    const bool is_swap =
        op::insn_class(one.code) >= op::kAlu && op::operation(one.code) == op::kEnd &&
        (op::insn_class(one.code) == op::kAlu || op::insn_class(one.code) == op::kAlu64);
    return std::to_string(one.code) + "/" + std::to_string(is_signed ? one.off : 0) + "/" +
           std::to_string(atomic) + "/" + std::to_string(is_swap ? one.imm : 0);
}

Result<ebpf::lowering::Lowered> lowered_alone(const std::vector<Insn>& insns) {
    // All registers are read afterwards, so that nothing is dead and temporaries cost.
    std::vector<Insn> all = insns;
    for (int reg = 0; reg <= 9; reg++) {
        all.push_back(store(op::kDw, 10, -16, reg));
    }
    all.push_back(exit_insn());
    const ebpf::Program program = program_of(all);
    ebpf::verifier::Proof proof;
    proof.stack_bytes = 16;
    proof.insns.resize(all.size());
    for (auto& facts : proof.insns) {
        facts.reachable = true;
    }
    return ebpf::lowering::lower(program, proof);
}

std::string text_of_slot(const ebpf::lowering::LoweredFunction& function, std::uint32_t slot) {
    std::string text;
    for (std::size_t at = 0; at < function.insns.size(); at++) {
        const bool wide = function.insns[at].code == op::kLdImm64;
        if (function.origins[at] == slot) {
            const bool calls = function.insns[at].code == (op::kJmp | op::kCall);
            text += text.empty() ? "" : "; ";
            text += calls ? "call native"
                          : ebpf::disassemble(function.insns[at],
                                              wide ? function.insns[at + 1].imm : 0);
        }
        at += wide ? 1 : 0;
    }
    return text.empty() ? "nothing" : text;
}

std::string escaped(std::string text) {
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) {
        text.insert(at, "\\");
    }
    return text;
}

std::string row(const Insn& one, const std::string& what, const std::string& test) {
    char code[8];
    (void)std::snprintf(code, sizeof code, "0x%02x", one.code);
    return std::string("| ") + code + " | `" + escaped(ebpf::disassemble(one)) + "` | `" +
           escaped(what) + "` | " + test + " |\n";
}

std::string make_table(std::set<std::uint8_t>* listed) {
    std::map<std::uint8_t, std::vector<Insn>> by_code;
    std::set<std::string> known;
    for (const OpcodeForm& form : opcode_forms()) {
        if (known.insert(meaning(form.insn)).second) {
            by_code[form.insn.code].push_back(form.insn);
        }
    }
    by_code[op::kLdImm64] = {ld_imm64(1, 0x1122334455667788)[0]};
    by_code[op::kMayGoto] = {insn(op::kMayGoto, 0, 0, 1, 0)};
    by_code[op::kJmp | op::kExit] = {exit_insn()};
    by_code[op::kJmp | op::kCall] = {call(5)};  // ktime_get_ns: no arguments, no context
    std::string table = "| opcode | instruction | becomes | test |\n| --- | --- | --- | --- |\n";
    for (const auto& [code, forms] : by_code) {
        for (const Insn& form : forms) {
            std::vector<Insn> insns = {form};
            std::string test = kAgainstKernel;
            if (code == op::kLdImm64) {
                insns = ld_imm64(1, 0x1122334455667788);
                test = "`LoweringRandomConformance.AgreesWithTheKernel`";
            } else if (code == op::kMayGoto) {
                test = "`LowerMayGoto.FallsThroughAsOftenAsTheKernel`";
            } else if (code == (op::kJmp | op::kCall)) {
                test = "`LoweringRandomConformance.SeveralFunctionsAgreeWithTheKernel`";
            }
            if (ebpf::is_conditional_jump(form)) {
                insns.push_back(mov_k(0, 0));  // what it jumps over
            }
            const auto lowered = lowered_alone(insns);
            EXPECT_TRUE(lowered) << ebpf::disassemble(form) << ": "
                                 << (lowered ? "" : lowered.error().message);
            if (lowered) {
                const std::string what = code == (op::kJmp | op::kExit)
                                             ? "goto the only exit"
                                             : text_of_slot(lowered->functions[0], 0);
                table += row(form, what, test);
                listed->insert(code);
            }
        }
    }
    return table;
}

std::string page_path() {
    return std::string(CREMA_SOURCE_DIR) + "/docs/lowering.md";
}

TEST(OpcodeTable, DocsListWhatLoweringMakesOfEveryOpcode) {
    std::set<std::uint8_t> listed;
    const std::string table = make_table(&listed);
    std::ifstream in(page_path());
    ASSERT_TRUE(in) << page_path();
    std::stringstream page_in;
    page_in << in.rdbuf();
    const std::string page = page_in.str();
    const std::size_t begin = page.find(kBegin);
    const std::size_t end = page.find(kEnd);
    ASSERT_TRUE(begin != std::string::npos && end != std::string::npos && begin < end);
    const std::size_t from = begin + std::string(kBegin).size();
    if (std::getenv("CREMA_WRITE_DOCS") != nullptr) {
        std::ofstream out(page_path());
        out << page.substr(0, from) << "\n" << table << "\n" << page.substr(end);
        return;
    }
    EXPECT_EQ(page.substr(from, end - from), "\n" + table + "\n")
        << "run this test with CREMA_WRITE_DOCS=1 and look at what changed";
}

// Of the 256 opcodes, every one that no row names is refused, in any shape that its fields allow.
TEST(OpcodeTable, OpcodesThatAreNotListedAreRefused) {
    std::set<std::uint8_t> listed;
    (void)make_table(&listed);
    int refused = 0;
    for (int code = 0; code < 256; code++) {
        if (listed.count(static_cast<std::uint8_t>(code)) != 0) {
            continue;
        }
        for (const std::int32_t imm : {0, 1, 16, 0x40, 0xe1}) {
            for (const int off : {0, 1, 8}) {
                for (const int src : {0, 2}) {
                    const auto lowered =
                        lowered_alone({insn(code, 1, src, off, imm), mov_k(0, 0), mov_k(0, 0)});
                    EXPECT_FALSE(lowered) << "opcode " << code;
                }
            }
        }
        refused++;
    }
    std::printf("  %zu opcodes have rules, %d are refused\n", listed.size(), refused);
}

}  // namespace
}  // namespace crema::test
