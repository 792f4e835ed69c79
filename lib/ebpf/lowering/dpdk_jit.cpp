// SPDX-License-Identifier: BSD-3-Clause
//
// librte_bpf's load function with its validator replaced. The validator is where DPDK decides
// whether a program may run and how large its frame is; our proof has decided the first, lowering
// knows the second. The stand-in serves only the load that this thread has in progress; a program
// of anybody else through our copy of librte_bpf is refused.
// <rte_bpf.h> and <linux/bpf.h> define the same names: this file includes no kernel header.
// Sources: rte_bpf.h, and the layout of struct rte_bpf in DPDK 21.11 to 26.03, checked before use.
#include "lib/ebpf/lowering/dpdk_jit.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <rte_bpf.h>
#include <rte_errno.h>
#include <rte_version.h>

static_assert(RTE_VERSION < RTE_VERSION_NUM(26, 3, 0, 0),
              "later versions give the validator other arguments");

// Internal to librte_bpf; no header has it.
struct rte_bpf {
    rte_bpf_prm prm;
    rte_bpf_jit jit;
    std::size_t sz;
    std::uint32_t stack_sz;
};

static_assert(sizeof(void*) != 8 || (offsetof(rte_bpf, sz) == 72 &&
                                     offsetof(rte_bpf, stack_sz) == 80 && sizeof(rte_bpf) == 88));
static_assert(sizeof(ebpf_insn) == sizeof(crema::ebpf::Insn));

namespace {

struct PendingLoad {
    std::uint32_t insns = 0;  // 0: none
    std::uint32_t symbols = 0;
    std::uint32_t stack_bytes = 0;
};

thread_local PendingLoad t_pending;

// Does the object look as the layout above says it must for the load in progress?
bool is_pending_load(const rte_bpf& bpf) {
    const std::size_t bytes = sizeof(rte_bpf) + t_pending.symbols * sizeof(rte_bpf_xsym) +
                              t_pending.insns * sizeof(ebpf_insn);
    return t_pending.insns != 0 && bpf.prm.nb_ins == t_pending.insns &&
           bpf.prm.nb_xsym == t_pending.symbols && bpf.jit.func == nullptr && bpf.jit.sz == 0 &&
           bpf.sz == bytes;
}

int accept_pending_load(rte_bpf* bpf) {
    if (!is_pending_load(*bpf)) {
        return -ENOTSUP;
    }
    bpf->stack_sz = t_pending.stack_bytes;
    return 0;
}

}  // namespace

// The linker sends librte_bpf's calls of its validator here (--wrap). Names: up to 22.11,
// since 23.03.
// NOLINTBEGIN(bugprone-reserved-identifier): the names are the linker's.
extern "C" {
[[gnu::visibility("hidden")]] int __wrap_bpf_validate(rte_bpf* bpf) {
    return accept_pending_load(bpf);
}

[[gnu::visibility("hidden")]] int __wrap___rte_bpf_validate(rte_bpf* bpf) {
    return accept_pending_load(bpf);
}
}

// NOLINTEND(bugprone-reserved-identifier)

namespace crema::ebpf::lowering {

namespace {

struct Destroy {
    void operator()(rte_bpf* handle) const { rte_bpf_destroy(handle); }
};

Result<CodeMemory> compile_function(const std::vector<Insn>& insns,
                                    const std::vector<std::uint64_t>& natives,
                                    std::uint32_t stack_bytes,
                                    std::size_t* bytes) {
    std::vector<rte_bpf_xsym> symbols(natives.size());
    for (std::size_t i = 0; i < symbols.size(); i++) {
        symbols[i].name = "native";
        symbols[i].type = RTE_BPF_XTYPE_FUNC;
        symbols[i].func.val = reinterpret_cast<helpers::Native>(natives[i]);
    }
    rte_bpf_prm prm{};
    prm.ins = reinterpret_cast<const ebpf_insn*>(insns.data());
    prm.nb_ins = static_cast<std::uint32_t>(insns.size());
    prm.xsym = symbols.data();
    prm.nb_xsym = static_cast<std::uint32_t>(symbols.size());
    prm.prog_arg.type = RTE_BPF_ARG_RAW;
    prm.prog_arg.size = sizeof(std::uint64_t);

    t_pending = {prm.nb_ins, prm.nb_xsym, stack_bytes};
    const std::unique_ptr<rte_bpf, Destroy> handle(rte_bpf_load(&prm));
    t_pending = {};
    if (handle == nullptr) {
        return fail(rte_errno != 0 ? rte_errno : EINVAL,
                    "librte_bpf refuses the lowered function of {} instructions: errno {}",
                    insns.size(), rte_errno);
    }
    // A handle comes back also when the JIT failed.
    rte_bpf_jit jit{};
    if (rte_bpf_get_jit(handle.get(), &jit) != 0 || jit.func == nullptr) {
        return fail(ENOMEM,
                    "DPDK's JIT made no code of {} instructions: no executable memory, or a "
                    "policy forbids it",
                    insns.size());
    }
    *bytes = jit.sz;
    return CodeMemory::place({reinterpret_cast<const std::uint8_t*>(jit.func), jit.sz});
}

}  // namespace

void Code::replace(std::uint32_t function, std::uint64_t address) const {
    for (const Function& each : functions_) {
        if (each.function == function && each.gate >= 0) {
            gates_.lead(static_cast<std::size_t>(each.gate), address != 0 ? address : each.address);
        }
    }
}

Result<Code> compile(const Lowered& lowered) {
    if constexpr (!kHasJit) {
        return fail(
            ENOTSUP,
            "no lowering rules for this architecture's JIT: only x86-64 and arm64 have them");
    }
    Code code;
    code.addresses_ = std::make_unique<std::uint64_t[]>(lowered.functions.size());
    code.memory_.reserve(lowered.functions.size());  // nothing may fail between load and here
    code.functions_.reserve(lowered.functions.size());
    auto gates = Gates::make(static_cast<std::size_t>(
        std::count_if(lowered.functions.begin(), lowered.functions.end(),
                      [](const LoweredFunction& function) { return function.is_replaceable; })));
    if (!gates) {
        return forward_error(gates);
    }
    code.gates_ = std::move(*gates);
    std::size_t gates_used = 0;
    for (std::size_t f = 0; f < lowered.functions.size(); f++) {
        const LoweredFunction& function = lowered.functions[f];
        std::vector<Insn> insns = function.insns;
        for (const AddressOf& address : function.addresses) {
            const auto place = reinterpret_cast<std::uintptr_t>(&code.addresses_[address.function]);
            insns[address.insn].imm = static_cast<std::int32_t>(place);
            insns[address.insn + 1].imm = static_cast<std::int32_t>(place >> 32U);
        }
        std::vector<std::uint64_t> natives;
        for (const helpers::Native native : function.natives) {
            natives.push_back(reinterpret_cast<std::uintptr_t>(native));
        }
        for (const Callee& callee : function.callees) {
            const Code::Function& called = code.functions_[callee.function];
            natives[callee.native] =
                called.gate >= 0 ? code.gates_.address(static_cast<std::size_t>(called.gate))
                                 : called.address;
        }
        std::size_t bytes = 0;
        auto compiled = compile_function(insns, natives, function.stack_bytes, &bytes);
        if (!compiled) {
            return forward_error(compiled);
        }
        code.memory_.push_back(std::move(*compiled));
        const std::uint64_t address = code.memory_.back().address();
        // The one argument of the first function is passed as a pointer either way.
        code.functions_.push_back(
            {.address = address, .bytes = bytes, .function = function.function});
        if (function.is_replaceable) {
            code.gates_.lead(gates_used, address);
            code.functions_.back().gate = static_cast<std::int32_t>(gates_used++);
        }
        code.addresses_[f] = address;
        code.bytes_ += bytes;
    }
    return code;
}

}  // namespace crema::ebpf::lowering
