// SPDX-License-Identifier: BSD-3-Clause
//
// See function_types.h. One blob serves all programs.
#include "tests/fuzz/function_types.h"

#include <algorithm>
#include <fmt/format.h>

#include "lib/base/check.h"
#include "lib/ebpf/program/btf.h"
#include "lib/ebpf/program/structure.h"
#include "tests/support/asm.h"
#include "tests/support/btf_writer.h"

namespace crema::test::fuzz {
namespace {

struct Types {
    std::shared_ptr<const ebpf::Btf> btf;
    std::uint32_t entry = 0;
    std::uint32_t callee = 0;
    std::vector<std::uint32_t> globals;  // by shape
};

/// A pointer to memory of that size: an array of words in a structure.
std::uint32_t memory_type(BtfWriter& writer, std::uint32_t word, int bytes) {
    const auto words = static_cast<std::uint32_t>(bytes) / 8;
    const std::uint32_t array = writer.array(word, word, words);
    const std::uint32_t memory = writer.structure(
        fmt::format("memory{}", bytes), static_cast<std::uint32_t>(bytes), {{"words", array, 0}});
    return writer.reference(ebpf::BtfKind::pointer, "", memory);
}

Types make_types() {
    BtfWriter writer;
    const std::uint32_t integer = writer.integer("int", 4);
    const std::uint32_t word = writer.integer("long", 8);
    const std::uint32_t nothing = writer.reference(ebpf::BtfKind::pointer, "", 0);
    const std::uint32_t xdp =
        writer.structure("xdp_md", 8, {{"data", integer, 0}, {"data_end", integer, 32}});
    const std::uint32_t context = writer.reference(ebpf::BtfKind::pointer, "", xdp);
    Types all;
    all.entry =
        writer.function("entry", writer.proto(integer, {{"ctx", nothing}}), ebpf::kBtfGlobal);
    all.callee = writer.function("callee", writer.proto(integer, {}), ebpf::kBtfStatic);
    for (const Signature& shape : global_shapes()) {
        std::vector<BtfWriter::Param> params;
        for (const Holding& argument : shape) {
            const std::uint32_t type = argument.kind == Kind::context ? context
                                       : argument.kind == Kind::map_value
                                           ? memory_type(writer, word, argument.bytes)
                                           : word;
            params.push_back({fmt::format("argument{}", params.size()), type});
        }
        all.globals.push_back(writer.function(fmt::format("global{}", all.globals.size()),
                                              writer.proto(integer, params), ebpf::kBtfGlobal));
    }
    auto btf = ebpf::Btf::parse(writer.bytes());
    CREMA_CHECK(btf.has_value());
    all.btf = *btf;
    return all;
}

const Types& types() {
    static const Types made = make_types();
    return made;
}

/// Callbacks must be known as static functions, and a function that tail-calls returns int.
bool needs_types(const ebpf::Program& program) {
    for (std::size_t at = 0; at < program.insns.size(); ++at) {
        const Insn& insn = program.insns[at];
        const bool tail_call = ebpf::is_call(insn) && insn.src == op::kHelperCall &&
                               insn.imm == kTailCall && program.functions.size() > 1;
        if (tail_call || (insn.code == op::kLdImm64 && insn.src == op::kPseudoFunc)) {
            return true;
        }
        at += insn.code == op::kLdImm64 ? 1 : 0;
    }
    return false;
}

}  // namespace

const std::vector<Signature>& global_shapes() {
    constexpr Holding kNumber{Kind::number, 0};
    constexpr Holding kContext{Kind::context, 0};
    static const std::vector<Signature> shapes = {
        {},
        {kNumber},
        {kContext},
        {kContext, kNumber},
        {kNumber, kNumber, kNumber},
        {{Kind::map_value, 8}},
        {kContext, {Kind::map_value, 16}, kNumber},
        {kNumber, {Kind::map_value, 24}, {Kind::map_value, 8}},
    };
    return shapes;
}

std::uint32_t global_type(const Signature& shape) {
    const auto found = std::find(global_shapes().begin(), global_shapes().end(), shape);
    CREMA_CHECK(found != global_shapes().end());
    return types().globals[static_cast<std::size_t>(found - global_shapes().begin())];
}

void add_function_types(ebpf::Program& program) {
    const std::vector<ebpf::Function> known = std::exchange(program.functions, {});
    program.btf = nullptr;
    if (ebpf::find_functions(program).has_value()) {
        return;
    }
    const bool same = known.size() == program.functions.size();
    const bool has_global =
        same && std::any_of(known.begin(), known.end(), [](const auto& f) {
            return f.btf_type != 0 && f.btf_type != types().entry && f.btf_type != types().callee;
        });
    if (!has_global && !needs_types(program)) {
        return;
    }
    for (std::size_t i = 0; i < program.functions.size(); ++i) {
        ebpf::Function& function = program.functions[i];
        const std::uint32_t type = same ? known[i].btf_type : 0;
        function.btf_type = i == 0 ? types().entry : type != 0 ? type : types().callee;
        function.name = types().btf->name_of(function.btf_type);
    }
    program.btf = types().btf;
}

}  // namespace crema::test::fuzz
