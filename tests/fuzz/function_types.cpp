// SPDX-License-Identifier: BSD-3-Clause
//
// See function_types.h. One blob serves all programs: an entry function and a static one.
#include "tests/fuzz/function_types.h"

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
};

const Types& types() {
    static const Types made = [] {
        constexpr std::uint32_t kStatic = 0;
        constexpr std::uint32_t kGlobal = 1;
        BtfWriter writer;
        const std::uint32_t integer = writer.integer("int", 4);
        const std::uint32_t pointer = writer.reference(ebpf::BtfKind::pointer, "", 0);
        Types all;
        all.entry = writer.function("entry", writer.proto(integer, {{"ctx", pointer}}), kGlobal);
        all.callee = writer.function("callee", writer.proto(integer, {}), kStatic);
        auto btf = ebpf::Btf::parse(writer.bytes());
        CREMA_CHECK(btf.has_value());
        all.btf = *btf;
        return all;
    }();
    return made;
}

bool takes_address(const ebpf::Program& program) {
    for (std::size_t at = 0; at < program.insns.size(); ++at) {
        if (program.insns[at].code == op::kLdImm64) {
            if (program.insns[at].src == op::kPseudoFunc) {
                return true;
            }
            ++at;
        }
    }
    return false;
}

}  // namespace

void add_function_types(ebpf::Program& program) {
    program.functions.clear();
    program.btf = nullptr;
    if (!takes_address(program) || ebpf::find_functions(program).has_value()) {
        return;
    }
    for (std::size_t i = 0; i < program.functions.size(); ++i) {
        program.functions[i].name = i == 0 ? "entry" : "callee";
        program.functions[i].btf_type = i == 0 ? types().entry : types().callee;
    }
    program.btf = types().btf;
}

}  // namespace crema::test::fuzz
