// SPDX-License-Identifier: BSD-3-Clause
//
// Program and proof to Image. Everything that this room cannot run is found here, so that the
// machine needs no branch for it.
#include "lib/ebpf/interpreter/image.h"

#include <cerrno>

#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/interpreter/machine.h"
#include "lib/ebpf/kfuncs/kfuncs.h"
#include "lib/ebpf/program/disassemble.h"

namespace crema::ebpf::interpreter {
namespace {

constexpr std::uint32_t kTailCallHelper = 12;

}  // namespace

Result<std::unique_ptr<const Image>> Image::prepare(const Program& program,
                                                    const verifier::Proof* proof) {
    if (proof != nullptr && proof->insns.size() != program.insns.size()) {
        return fail(EINVAL, "program {}: {} instructions with a proof of {}", program.name,
                    program.insns.size(), proof->insns.size());
    }
    std::unique_ptr<Image> image(new Image);
    image->steps_.reserve(program.insns.size());
    for (const Insn& insn : program.insns) {
        image->steps_.push_back({.insn = insn, .operand = 0});
    }
    for (std::uint32_t slot = 0; slot < program.insns.size(); ++slot) {
        const Insn& insn = program.insns[slot];
        const auto missing = image->resolve(program, slot, proof);
        if (!missing) {
            return forward_error(missing);
        }
        if (*missing != nullptr) {
            if (proof != nullptr && proof->insns[slot].reachable) {
                return fail(ENOTSUP, "program {}: instruction {} ({}): {} cannot be interpreted",
                            program.name, slot,
                            disassemble(insn, 0, helpers::name_of, kfuncs::name_of), *missing);
            }
            image->steps_[slot].insn.code = kUnserved;
        }
        slot += insn.code == op::kLdImm64 ? 1 : 0;
    }
    return std::unique_ptr<const Image>(std::move(image));
}

/// What is missing to run the instruction, or null.
Result<const char*> Image::resolve(const Program& program,
                                   std::uint32_t slot,
                                   const verifier::Proof* proof) {
    const Insn& insn = program.insns[slot];
    if (insn.code == op::kLdImm64) {
        if (slot + 1 == program.insns.size()) {
            return "half of a constant";
        }
        return resolve_constant(program, slot);
    }
    if (insn.code == (op::kJmp | op::kCall)) {
        return resolve_call(program, slot, proof);
    }
    return serves(insn) ? nullptr : "an instruction of this form";
}

Result<const char*> Image::resolve_constant(const Program& program, std::uint32_t slot) {
    const Insn& insn = program.insns[slot];
    const std::int32_t high = program.insns[slot + 1].imm;
    std::uint64_t& value = steps_[slot].operand;
    const auto map = [&]() -> const maps::Map* {
        const auto index = static_cast<std::uint32_t>(insn.imm);
        return index < program.maps.size() ? program.maps[index].get() : nullptr;
    };
    switch (insn.src) {
        case 0:
            value = std::uint64_t{static_cast<std::uint32_t>(high)} << 32 |
                    static_cast<std::uint32_t>(insn.imm);
            return nullptr;
        case op::kPseudoMap:
            if (map() == nullptr) {
                return "a map that the program does not have";
            }
            value = helpers::map_argument(*map());
            return nullptr;
        case op::kPseudoMapValue: {
            if (map() == nullptr || map()->layout().base == nullptr) {
                return "the value of a map without values in one place";
            }
            value = reinterpret_cast<std::uintptr_t>(map()->layout().base) +
                    static_cast<std::uint32_t>(high);
            direct_values_.push_back(map());
            return nullptr;
        }
        case op::kPseudoBtfId: {
            const kfuncs::Function* const function = high == 0 ? kfuncs::find(insn.imm) : nullptr;
            if (function == nullptr) {
                return "an address of the kernel";
            }
            value = reinterpret_cast<std::uintptr_t>(function->native);
            return nullptr;
        }
        case op::kPseudoFunc: {
            const std::int64_t first = std::int64_t{slot} + 1 + insn.imm;
            if (first < 0 || first >= static_cast<std::int64_t>(program.insns.size())) {
                return "a function outside of the program";
            }
            for (const Callback& held : callbacks_) {
                if (held.first_slot() == first) {
                    value = held.address();
                    return nullptr;
                }
            }
            auto taken = Callback::take(*this, static_cast<std::uint32_t>(first));
            if (!taken) {
                return fail(taken.error().code, "program {}: instruction {}: {}", program.name,
                            slot, taken.error().message);
            }
            value = taken->address();
            callbacks_.push_back(std::move(*taken));
            return nullptr;
        }
        default:
            return "an address of the kernel";
    }
}

const char* Image::resolve_function_call(const Program& program,
                                         std::uint32_t slot,
                                         const verifier::Proof* proof) {
    const std::int64_t first = std::int64_t{slot} + 1 + program.insns[slot].imm;
    if (first < 0 || first >= static_cast<std::int64_t>(program.insns.size())) {
        return "a function outside of the program";
    }
    Step& step = steps_[slot];
    step.insn.code = kCallFunction;
    if (proof != nullptr && proof->insns[slot].function >= 0) {
        const auto function = static_cast<std::uint32_t>(proof->insns[slot].function);
        if (function < proof->functions.size() && proof->functions[function].global) {
            auto& gate = gates_[function];
            if (gate == nullptr) {
                gate = std::make_unique<Gate>(nullptr);
            }
            step.insn.code = kCallReplaceable;
            step.operand = reinterpret_cast<std::uintptr_t>(gate.get());
        }
    }
    return nullptr;
}

void Image::replace(std::uint32_t function, const Image* other) const {
    if (const auto gate = gates_.find(function); gate != gates_.end()) {
        gate->second->store(other, std::memory_order_release);
    }
}

const char* Image::resolve_call(const Program& program,
                                std::uint32_t slot,
                                const verifier::Proof* proof) {
    const Insn& insn = program.insns[slot];
    Step& step = steps_[slot];
    if (insn.src == op::kPseudoCall) {
        return resolve_function_call(program, slot, proof);
    }
    if (insn.src == op::kPseudoKfunc) {
        const kfuncs::Function* const function = kfuncs::find(insn.imm);
        if (function == nullptr) {
            return "a kernel function that is not there";
        }
        step.operand = reinterpret_cast<std::uintptr_t>(function->native);
        step.insn.code = kCallKfunc;
        return nullptr;
    }
    const auto id = static_cast<std::uint32_t>(insn.imm);
    if (id == kTailCallHelper) {
        step.insn.code = kTailCall;
        tail_calls_ = true;
        return nullptr;
    }
    const helpers::Prototype* const prototype = helpers::find(id);
    if (prototype == nullptr) {
        return "a helper that XDP has not";
    }
    helpers::Native native = prototype->native;
    if (proof != nullptr && proof->insns[slot].map >= 0) {
        const auto map = static_cast<std::size_t>(proof->insns[slot].map);
        native = helpers::native_for(id, program.maps[map]->spec().type);
    }
    if (native == nullptr && proof != nullptr) {
        return "a helper without a native function";
    }
    step.operand = reinterpret_cast<std::uintptr_t>(native);
    step.insn.code = prototype->wants_context ? kCallWithContext : kCallHelper;
    return nullptr;
}

}  // namespace crema::ebpf::interpreter
