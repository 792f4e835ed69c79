// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/listing.h"

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/kfuncs/kfuncs.h"
#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/disassemble.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::command {
namespace {

using ebpf::Insn;
using ebpf::Program;
using ebpf::lowering::kNoOrigin;
using ebpf::lowering::LoweredFunction;

std::int32_t upper_half(const std::vector<Insn>& insns, std::size_t slot) {
    return slot + 1 < insns.size() ? insns[slot + 1].imm : 0;
}

std::string text_of(const std::vector<Insn>& insns, std::size_t slot) {
    return fmt::format("({:02x}) {}", insns[slot].code,
                       ebpf::disassemble(insns[slot], upper_half(insns, slot),
                                         ebpf::helpers::name_of, ebpf::kfuncs::name_of));
}

/// With the names of the map or function that the instruction refers to by number.
std::string bpf_text(const Program& program, std::size_t slot) {
    std::string text = text_of(program.insns, slot);
    const Insn& insn = program.insns[slot];
    const bool is_map = insn.code == ebpf::op::kLdImm64 &&
                        (insn.src == ebpf::op::kPseudoMap || insn.src == ebpf::op::kPseudoMapValue);
    if (is_map && static_cast<std::size_t>(insn.imm) < program.maps.size()) {
        text += " ; map " + program.maps[static_cast<std::size_t>(insn.imm)]->spec().name;
    }
    const bool is_function =
        (insn.code == (ebpf::op::kJmp | ebpf::op::kCall) && insn.src == ebpf::op::kPseudoCall) ||
        (insn.code == ebpf::op::kLdImm64 && insn.src == ebpf::op::kPseudoFunc);
    if (is_function) {
        const std::int64_t target = static_cast<std::int64_t>(slot) + 1 + insn.imm;
        for (const ebpf::Function& function : program.functions) {
            text += function.first == target ? " ; function " + function.name : "";
        }
    }
    return text;
}

/// A lowered call names the helper that its origin calls; its own number is one of ours.
std::string lowered_text(const Program& program, const LoweredFunction& lowered, std::size_t slot) {
    const Insn& insn = lowered.insns[slot];
    const std::uint32_t origin = lowered.origins[slot];
    if (insn.code != (ebpf::op::kJmp | ebpf::op::kCall)) {
        return text_of(lowered.insns, slot);
    }
    const bool of_helper = origin != kNoOrigin && origin < program.insns.size() &&
                           program.insns[origin].code == insn.code &&
                           program.insns[origin].src == ebpf::op::kHelperCall;
    return fmt::format(
        "({:02x}) call native {}{}", insn.code, insn.imm,
        of_helper ? fmt::format(" ; bpf_{}", ebpf::helpers::name_of(static_cast<std::uint32_t>(
                                                 program.insns[origin].imm)))
                  : "");
}

std::vector<FunctionListing> bpf_listing(const Program& program) {
    std::vector<FunctionListing> functions;
    for (const ebpf::Function& function : program.functions) {
        functions.push_back(
            {.name = function.name, .first = function.first, .end = function.end, .lines = {}});
    }
    if (functions.empty()) {
        functions.push_back({.name = program.name,
                             .first = 0,
                             .end = static_cast<std::uint32_t>(program.insns.size()),
                             .lines = {}});
    }
    auto source = program.lines.begin();
    for (FunctionListing& function : functions) {
        for (std::uint32_t slot = function.first; slot < function.end; ++slot) {
            BpfLine line{.slot = slot, .text = bpf_text(program, slot), .lowered = {}};
            for (; source != program.lines.end() && source->insn <= slot; ++source) {
                line.source = &*source;
            }
            function.lines.push_back(std::move(line));
            slot += program.insns[slot].code == ebpf::op::kLdImm64 ? 1 : 0;
        }
    }
    return functions;
}

/// By slot from `first` on; null for the second halves of wide instructions.
std::vector<BpfLine*> lines_by_slot(FunctionListing& function) {
    std::vector<BpfLine*> lines(function.end - function.first, nullptr);
    for (BpfLine& line : function.lines) {
        lines[line.slot - function.first] = &line;
    }
    return lines;
}

/// The function of the program that a lowered one stands for.
FunctionListing* function_of(Listing& listing, const LoweredFunction& lowered) {
    const auto origin = std::find_if(lowered.origins.begin(), lowered.origins.end(),
                                     [](std::uint32_t slot) { return slot != kNoOrigin; });
    if (origin == lowered.origins.end()) {
        return listing.functions.size() == 1 ? &listing.functions.front() : nullptr;
    }
    const auto found = std::find_if(listing.functions.begin(), listing.functions.end(),
                                    [slot = *origin](const FunctionListing& function) {
                                        return slot >= function.first && slot < function.end;
                                    });
    return found != listing.functions.end() ? &*found : nullptr;
}

/// Lines of the padding in front are all alike.
void add_around(FunctionListing& function, LoweredLine line) {
    if (!function.around.empty()) {
        LoweredLine& last = function.around.back();
        if (last.text == line.text && last.slot + last.count == line.slot) {
            ++last.count;
            std::move(line.native.begin(), line.native.end(), std::back_inserter(last.native));
            return;
        }
    }
    function.around.push_back(std::move(line));
}

void add_lowered(FunctionListing& function,
                 const Program& program,
                 const LoweredFunction& lowered,
                 std::vector<NativeInsn> code) {
    const auto starts = find_native_starts(lowered, code);
    const auto lines = lines_by_slot(function);
    function.lowered_insns = static_cast<std::uint32_t>(lowered.insns.size());
    for (std::uint32_t slot = 0; slot < lowered.insns.size(); ++slot) {
        LoweredLine line{.slot = slot, .text = lowered_text(program, lowered, slot), .native = {}};
        const std::uint32_t width = lowered.insns[slot].code == ebpf::op::kLdImm64 ? 2 : 1;
        if (starts) {
            const auto end = std::min<std::size_t>(slot + width, lowered.insns.size());
            line.native.assign(code.begin() + (*starts)[slot], code.begin() + (*starts)[end]);
        }
        // kNoOrigin is beyond every function.
        const std::size_t from = std::size_t{lowered.origins[slot]} - function.first;
        BpfLine* const origin = from < lines.size() ? lines[from] : nullptr;
        if (origin != nullptr) {
            origin->lowered.push_back(std::move(line));
        } else {
            add_around(function, std::move(line));
        }
        slot += width - 1;
    }
    if (starts) {
        function.prologue.assign(code.begin(), code.begin() + starts->front());
    } else {
        function.unmapped = std::move(code);
    }
}

}  // namespace

Result<Listing> make_listing(const Program& program, bool judged_safe) {
    Listing listing;
    listing.functions = bpf_listing(program);
    if (!judged_safe) {
        return listing;
    }
    const auto proof = ebpf::verifier::verify(program, {});
    if (!proof) {
        return forward_error(proof);
    }
    for (FunctionListing& function : listing.functions) {
        for (BpfLine& line : function.lines) {
            line.reachable = proof->insns[line.slot].reachable;
        }
    }
    const auto lowered = ebpf::lowering::lower(program, *proof);
    if (!lowered) {
        return forward_error(lowered);
    }
    const auto compiled = ebpf::lowering::compile(*lowered);
    if (!compiled) {
        return forward_error(compiled);
    }
    listing.stack_bytes = proof->stack_bytes;
    for (std::size_t f = 0; f < lowered->functions.size(); ++f) {
        const auto& native = compiled->functions()[f];
        auto code = disassemble_native(
            {reinterpret_cast<const std::uint8_t*>(native.address), native.bytes});
        if (!code) {
            return forward_error(code);
        }
        FunctionListing* const function = function_of(listing, lowered->functions[f]);
        if (function == nullptr) {
            return fail(EINVAL, "lowered function {} stands for none of the program's", f);
        }
        function->native_bytes = static_cast<std::uint32_t>(native.bytes);
        add_lowered(*function, program, lowered->functions[f], std::move(*code));
    }
    return listing;
}

}  // namespace crema::command
