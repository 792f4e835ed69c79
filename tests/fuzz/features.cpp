// SPDX-License-Identifier: BSD-3-Clause
//
// One small program per feature, put to verifier, lowering and JIT, or to verifier and interpreter.
#include "tests/fuzz/features.h"

#include <algorithm>
#include <initializer_list>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/interpreter/image.h"
#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/fuzz/function_types.h"
#include "tests/fuzz/stage_maps.h"
#include "tests/support/asm.h"

namespace crema::test::fuzz {
namespace {

using ebpf::maps::MapType;

bool is_served(const Code& code, Way way) {
    ebpf::Program program = program_of(code);
    add_function_types(program);
    const auto proof = ebpf::verifier::verify(program, {});
    if (!proof || way == Way::interpreted) {
        return proof && ebpf::interpreter::Image::prepare(program, &*proof);
    }
    const auto lowered = ebpf::lowering::lower(program, *proof);
    return lowered && ebpf::lowering::compile(*lowered);
}

/// There is such a map, and the helpers for it.
bool map_is_served(const ebpf::maps::MapSpec& spec, std::initializer_list<std::int32_t> helpers) {
    const auto is_native = [&spec](std::int32_t id) {
        const auto helper = static_cast<std::uint32_t>(id);
        const ebpf::helpers::Prototype* const prototype = ebpf::helpers::find(helper);
        return prototype != nullptr && (prototype->native != nullptr ||
                                        ebpf::helpers::native_for(helper, spec.type) != nullptr);
    };
    return ebpf::maps::create(spec).has_value() &&
           std::all_of(helpers.begin(), helpers.end(), is_native);
}

bool helper_is_native(std::int32_t id) {
    const auto helper = static_cast<std::uint32_t>(id);
    const ebpf::helpers::Prototype* const prototype = ebpf::helpers::find(helper);
    return prototype != nullptr &&
           (prototype->native != nullptr ||
            (ebpf::helpers::native_for(helper, MapType::array) != nullptr &&
             ebpf::helpers::native_for(helper, MapType::percpu_array) != nullptr));
}

}  // namespace

Features served_features(Way way) {
    Features features;
    const auto probe = [&features](bool* feature, const char* name, bool works) {
        *feature = works;
        if (!works) {
            features.left_out.emplace_back(name);
        }
    };
    const auto serves = [way](const Code& code) { return is_served(code, way); };
    const Code word = store_k(op::kDw, 10, -8, 7);
    const Code end = {mov_k(0, 2), exit_insn()};
    const auto atomic = [&](std::int32_t operation) {
        return Code{word, mov_k(3, 1), insn(op::kStx | op::kAtomic | op::kDw, 10, 3, -8, operation),
                    end};
    };
    probe(&features.sign_extending_moves, "sign-extending moves",
          serves({mov_k(3, 200), insn(op::kAlu64 | op::kX | op::kMov, 0, 3, 8, 0), exit_insn()}));
    probe(&features.sign_extending_loads, "sign-extending loads",
          serves({word, insn(op::kLdx | op::kMemSx | op::kB, 0, 10, -8, 0), exit_insn()}));
    probe(&features.signed_division, "signed division",
          serves({mov_k(0, -7), insn(op::kAlu64 | op::kDiv, 0, 0, op::kSigned, 2), exit_insn()}));
    probe(&features.byte_swaps, "unconditional byte swaps",
          serves({mov_k(0, 7), insn(op::kAlu64 | op::kEnd, 0, 0, 0, 32), exit_insn()}));
    probe(&features.long_jumps, "long jumps",
          serves({mov_k(0, 2), insn(op::kJmp32 | op::kJa, 0, 0, 0, 0), exit_insn()}));
    probe(&features.fetching_atomics, "fetching atomics",
          serves(atomic(op::kAtomicAdd | op::kFetch)) && serves(atomic(op::kAtomicXor)) &&
              serves(atomic(op::kAtomicXchg)));
    probe(&features.ordered_accesses, "load_acquire and store_release",
          serves(atomic(op::kStoreRelease)) &&
              serves({word, insn(op::kStx | op::kAtomic | op::kDw, 0, 10, -8, op::kLoadAcquire),
                      exit_insn()}));
    probe(&features.may_goto, "may_goto",
          serves({mov_k(0, 2), insn(op::kJmp | op::kJcond, 0, 0, 1, 0), go(-2), exit_insn()}));
    probe(&features.functions, "functions",
          serves({mov_k(1, 2), insn(op::kJmp | op::kCall, 0, op::kPseudoCall, 0, 1), exit_insn(),
                  mov(0, 1), exit_insn()}));
    probe(&features.loop_helper, "bpf_loop",
          serves({mov_k(1, 3), insn(op::kLdImm64, 2, op::kPseudoFunc, 0, 6), insn(0, 0, 0, 0, 0),
                  mov_k(3, 0), mov_k(4, 0), call(kLoop), mov_k(0, 2), exit_insn(), mov_k(0, 0),
                  exit_insn()}));
    probe(&features.each_element, "bpf_for_each_map_elem",
          map_is_served({MapType::array, 4, 8, 4, 0, "probe"}, {kEachElement}) &&
              map_is_served({MapType::hash, 4, 8, 4, 0, "probe"}, {kEachElement}));
    probe(&features.tail_calls, "tail calls",
          map_is_served({MapType::prog_array, 4, 4, 4, 0, "probe"}, {}));
    probe(&features.queues, "queues and stacks",
          map_is_served({MapType::queue, 0, 8, 4, 0, "probe"}, {kPush, kPop, kPeek}) &&
              map_is_served({MapType::stack, 0, 8, 4, 0, "probe"}, {kPush, kPop, kPeek}));
    probe(&features.ring_buffer, "ring buffer",
          map_is_served({MapType::ringbuf, 0, 0, kRingBytes, 0, "probe"},
                        {kRingOutput, kRingReserve, kRingSubmit, kRingDiscard, kRingQuery}));
    probe(&features.dynptrs, "dynptrs",
          map_is_served({MapType::array, 4, 8, 4, 0, "probe"},
                        {kDynptrFromMem, kDynptrRead, kDynptrWrite, kDynptrData}));
    for (const std::int32_t id : kHelpers) {
        if (helper_is_native(id)) {
            features.helpers.push_back(id);
        } else {
            features.left_out.push_back(
                "bpf_" + std::string(ebpf::helpers::name_of(static_cast<std::uint32_t>(id))));
        }
    }
    return features;
}

}  // namespace crema::test::fuzz
