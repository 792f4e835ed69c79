// SPDX-License-Identifier: BSD-3-Clause
//
// See census.h.
#include "tests/fuzz/census.h"

#include <bitset>
#include <fmt/format.h>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/btf.h"
#include "lib/ebpf/program/structure.h"

namespace crema::test::fuzz {
namespace {

namespace op = ebpf::op;
using ebpf::Insn;

enum Form : std::uint8_t {
    branches,
    back_edges,
    may_goto,
    functions,
    global_functions,
    callbacks,
    atomics,
    fetching_atomics,
    ordered_accesses,
    extending_moves,
    extending_loads,
    signed_divisions,
    byte_swaps,
    long_jumps,
    forms_end,
};

constexpr const char* kFormNames[] = {
    "branches",
    "back edges",
    "may_goto",
    "functions",
    "global functions",
    "callbacks",
    "atomics",
    "fetching atomics",
    "ordered accesses",
    "sign-extending moves",
    "sign-extending loads",
    "signed divisions",
    "byte swaps",
    "long jumps",
};
static_assert(std::size(kFormNames) == forms_end);

using Forms = std::bitset<forms_end>;

void note_arithmetic(const Insn& insn, Forms& forms) {
    const std::uint8_t operation = op::operation(insn.code);
    if (operation == op::kMov && op::is_reg_source(insn.code) && insn.off != 0) {
        forms.set(extending_moves);
    }
    if ((operation == op::kDiv || operation == op::kMod) && insn.off == op::kSigned) {
        forms.set(signed_divisions);
    }
    if (operation == op::kEnd) {
        forms.set(byte_swaps);
    }
}

void note_jump(const Insn& insn, Forms& forms) {
    const bool is_long = insn.code == (op::kJmp32 | op::kJa);
    if (insn.code == op::kMayGoto) {
        forms.set(may_goto);
    } else if (is_long) {
        forms.set(long_jumps);
    } else if (ebpf::is_call(insn)) {
        if (insn.src == op::kPseudoCall) {
            forms.set(functions);
        }
        return;
    } else if (ebpf::is_conditional_jump(insn)) {
        forms.set(branches);
    }
    if (!ebpf::is_exit(insn) && (is_long ? insn.imm : insn.off) < 0) {
        forms.set(back_edges);
    }
}

void note_atomic(const Insn& insn, Forms& forms) {
    if (insn.imm == op::kLoadAcquire || insn.imm == op::kStoreRelease) {
        forms.set(ordered_accesses);
    } else {
        forms.set((insn.imm & op::kFetch) != 0 ? fetching_atomics : atomics);
    }
}

void note(const Insn& insn, Forms& forms) {
    switch (op::insn_class(insn.code)) {
        case op::kAlu:
        case op::kAlu64:
            note_arithmetic(insn, forms);
            break;
        case op::kJmp:
        case op::kJmp32:
            note_jump(insn, forms);
            break;
        case op::kLdx:
            if (op::mode(insn.code) == op::kMemSx) {
                forms.set(extending_loads);
            }
            break;
        case op::kStx:
            if (op::mode(insn.code) == op::kAtomic) {
                note_atomic(insn, forms);
            }
            break;
        default:
            break;
    }
}

bool has_global_function(const ebpf::Program& program) {
    for (std::size_t i = 1; i < program.functions.size() && program.btf != nullptr; ++i) {
        const auto type = program.btf->type(program.functions[i].btf_type);
        if (type && type->kind == ebpf::BtfKind::function && type->vlen == ebpf::kBtfGlobal) {
            return true;
        }
    }
    return false;
}

std::string type_name(std::size_t type) {
    using ebpf::maps::MapType;
    switch (static_cast<MapType>(type)) {
        case MapType::hash:
            return "hash";
        case MapType::array:
            return "array";
        case MapType::prog_array:
            return "prog_array";
        case MapType::percpu_hash:
            return "percpu_hash";
        case MapType::percpu_array:
            return "percpu_array";
        case MapType::lru_hash:
            return "lru_hash";
        case MapType::lpm_trie:
            return "lpm_trie";
        case MapType::array_of_maps:
            return "array_of_maps";
        case MapType::hash_of_maps:
            return "hash_of_maps";
        case MapType::devmap:
            return "devmap";
        case MapType::queue:
            return "queue";
        case MapType::stack:
            return "stack";
        case MapType::ringbuf:
            return "ringbuf";
        default:
            return fmt::format("type {}", type);
    }
}

}  // namespace

void Census::add(const ebpf::Program& program) {
    Forms forms;
    std::bitset<kHelpers> helpers;
    std::bitset<kMapTypes> types;
    for (std::size_t at = 0; at < program.insns.size(); ++at) {
        const Insn& insn = program.insns[at];
        if (insn.code != op::kLdImm64) {
            note(insn, forms);
            if (ebpf::is_call(insn) && insn.src == op::kHelperCall) {
                helpers.set(static_cast<std::size_t>(insn.imm) % kHelpers);
            }
            continue;
        }
        if (insn.src == op::kPseudoFunc) {
            forms.set(callbacks);
        } else if (insn.src == op::kPseudoMap || insn.src == op::kPseudoMapValue) {
            const auto& map = program.maps[static_cast<std::size_t>(insn.imm)];
            types.set(static_cast<std::size_t>(map->spec().type) % kMapTypes);
        }
        ++at;
    }
    forms.set(global_functions, has_global_function(program));
    for (std::size_t i = 0; i < forms.size(); ++i) {
        forms_[i] += forms.test(i) ? 1 : 0;
    }
    for (std::size_t i = 0; i < helpers.size(); ++i) {
        helpers_[i] += helpers.test(i) ? 1 : 0;
    }
    for (std::size_t i = 0; i < types.size(); ++i) {
        map_types_[i] += types.test(i) ? 1 : 0;
    }
}

std::map<std::string, std::uint64_t> Census::counts() const {
    std::map<std::string, std::uint64_t> all;
    const auto put = [&all](const std::string& name, std::uint64_t count) {
        if (count != 0) {
            all[name] = count;
        }
    };
    for (std::size_t i = 0; i < forms_end; ++i) {
        put(kFormNames[i], forms_[i]);
    }
    for (std::size_t i = 0; i < kHelpers; ++i) {
        put(fmt::format("bpf_{}", ebpf::helpers::name_of(static_cast<std::uint32_t>(i))),
            helpers_[i]);
    }
    for (std::size_t i = 0; i < kMapTypes; ++i) {
        put("map " + type_name(i), map_types_[i]);
    }
    return all;
}

}  // namespace crema::test::fuzz
