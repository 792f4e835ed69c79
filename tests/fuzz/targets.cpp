// SPDX-License-Identifier: BSD-3-Clause
//
// See targets.h.
#include "tests/fuzz/targets.h"

#include "lib/base/check.h"
#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/maps/target_hooks.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/ebpf/verifier/verify.h"
#include "tests/fuzz/function_types.h"
#include "tests/support/asm.h"

namespace crema::test::fuzz {
namespace {

constexpr int kTailCall = 12;

/// Adds `number` to a word of a map with one value. Uses r2 and r3.
Code trace(int map, int at, int number) {
    return {ld_map_value(2, map, at), mov_k(3, number), atomic_add(op::kDw, 2, 0, 3)};
}

/// With the context in r1.
Code tail_call(int slot) {
    return {ld_map(2, kProgramsMap), mov_k(3, slot), call(kTailCall)};
}

Code leave_with(int verdict) {
    return {mov_k(0, verdict), exit_insn()};
}

/// The packet's first bytes say that somebody was here.
Code mark_packet() {
    return {load(op::kW, 2, 1, 0),
            load(op::kW, 3, 1, 4),
            mov(4, 2),
            add_k(4, 8),
            jump(op::kJgt, 4, 3, 3),
            load(op::kW, 4, 2, 4),
            alu32_k(op::kXor, 4, 0x5a17),
            store(op::kW, 2, 4, 4)};
}

// What stands for descriptors of programs while maps are filled.
std::vector<std::shared_ptr<ebpf::LoadedProgram>>& loaded_programs() {
    static std::vector<std::shared_ptr<ebpf::LoadedProgram>> all;
    return all;
}

ebpf::maps::ProgramRef loaded_by_place(int place) {
    ebpf::maps::ProgramRef ref;
    if (place < 0 || static_cast<std::size_t>(place) >= loaded_programs().size()) {
        return ref;
    }
    const auto& program = loaded_programs()[static_cast<std::size_t>(place)];
    ref.program = program;
    ref.id = program->id;
    ref.traits.expected_attach_type = ebpf::kAttachXdp;
    ref.entry = program->entry();
    ref.self = program->self();
    return ref;
}

void put(std::uint32_t slot, ebpf::maps::Map& into, std::shared_ptr<ebpf::LoadedProgram> program) {
    static std::uint32_t next_id = 1;
    program->id = next_id++;
    loaded_programs().push_back(std::move(program));
    ebpf::maps::set_program_by_fd(loaded_by_place);
    const int place = static_cast<int>(loaded_programs().size()) - 1;
    CREMA_CHECK(into.update(&slot, &place, 0) == 0);
}

}  // namespace

std::vector<ebpf::Program> tail_targets(const Maps& maps) {
    // r1 is the context at the start of each, and lost with a call that fails.
    const Code bodies[] = {
        {trace(kGlobalMap, 8, 1), mark_packet(), leave_with(2)},
        {trace(kSinkMap, 0, 3), tail_call(0), leave_with(1)},
        {trace(kSinkMap, 8, 1), tail_call(2), leave_with(3)},
        // A function that leaves the program or not: the caller goes on either way.
        {mov(6, 1), call_function(16), mov(7, 0), trace(kGlobalMap, 16, 5), mov(1, 6),
         mark_packet(), mov(0, 7), exit_insn(), trace(kSinkMap, 16, 9), tail_call(1),
         leave_with(4)},
        {trace(kSinkMap, 24, 7), tail_call(kProgramsEntries - 1), trace(kSinkMap, 32, 1),
         leave_with(0)},
    };
    std::vector<ebpf::Program> programs;
    for (const Code& body : bodies) {
        ebpf::Program program = program_of(body);
        program.name = "target";
        program.maps = maps;
        program.expected_attach_type = ebpf::kAttachXdp;
        program.gpl_compatible = true;
        add_function_types(program);
        programs.push_back(std::move(program));
    }
    return programs;
}

void put_targets(const std::vector<ebpf::Program>& targets,
                 ebpf::maps::Map& compiled,
                 ebpf::maps::Map& interpreted) {
    for (std::uint32_t slot = 0; slot < targets.size(); ++slot) {
        const ebpf::Program& program = targets[slot];
        const auto proof = ebpf::verifier::verify(program, {});
        CREMA_CHECK(proof.has_value());
        const auto lowered = ebpf::lowering::lower(program, *proof);
        CREMA_CHECK(lowered.has_value());
        auto code = ebpf::lowering::compile(*lowered);
        CREMA_CHECK(code.has_value());
        auto native = std::make_shared<ebpf::LoadedProgram>();
        native->code = std::move(*code);
        put(slot, compiled, std::move(native));

        ebpf::Program for_interpreter = program;
        for_interpreter.maps[kProgramsMap] =
            std::shared_ptr<ebpf::maps::Map>(program.maps[kProgramsMap], &interpreted);
        auto image = ebpf::interpreter::Image::prepare(for_interpreter, nullptr);
        CREMA_CHECK(image.has_value());
        auto checked = std::make_shared<ebpf::LoadedProgram>();
        checked->image = std::move(*image);
        put(slot, interpreted, std::move(checked));
    }
}

}  // namespace crema::test::fuzz
