// SPDX-License-Identifier: BSD-3-Clause
//
// A program that was proved, and compiled or prepared for the interpreter: what PROG_LOAD leaves in
// the object store. Shared by whoever attaches it, so maps and machine code live as long as the
// last user. What runs is immutable; beside it stands what is told about it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "lib/ebpf/interpreter/interpreter.h"
#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/maps/callback_owner.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/program/tag.h"
#include "lib/ebpf/syscall/replacement.h"
#include "lib/ebpf/syscall/run_stats.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf {

/// How programs run.
enum class Engine : std::uint8_t {
    automatic,    // compiled where lowering has rules for the architecture's JIT, else interpreted
    interpreter,  // interpreted
};

/// What programs in one map must have in common.
[[nodiscard]] inline maps::ProgramTraits traits_of(const Program& program) {
    return {.expected_attach_type = program.expected_attach_type, .has_frags = program.has_frags};
}

/// Maps that a program keeps without naming them (PROG_BIND_MAP). Threads: any.
class BoundMaps {
  public:
    void add(std::shared_ptr<maps::Map> map) {
        const std::lock_guard lock(mutex_);
        maps_.push_back(std::move(map));
    }

    [[nodiscard]] std::vector<std::shared_ptr<maps::Map>> all() const {
        const std::lock_guard lock(mutex_);
        return maps_;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<std::shared_ptr<maps::Map>> maps_;
};

/// struct bpf_func_info
struct FunctionRecord {
    std::uint32_t insn;
    std::uint32_t type;
};

/// struct bpf_line_info
struct LineRecord {
    std::uint32_t insn;
    std::uint32_t file_name;  // string offsets
    std::uint32_t line_text;
    std::uint32_t line_and_column;  // line << 10 | column
};

/// What PROG_LOAD was told beside the instructions, to be told again.
struct DebugRecords {
    std::vector<FunctionRecord> functions;
    std::vector<LineRecord> lines;
};

struct LoadedProgram {
    std::uint32_t id = 0;  // unique in this process, > 0
    Program program;
    lowering::Code code;                              // empty: interpreted
    std::unique_ptr<const interpreter::Image> image;  // null: compiled
    std::uint64_t verified_insns = 0;
    std::uint64_t load_time_ns = 0;  // since boot
    std::uint32_t uid = 0;           // who loaded it
    ProgramTag tag{};                // of the instructions as they were handed over
    DebugRecords debug;
    mutable BoundMaps bound_maps;
    std::unique_ptr<maps::CallbackOwner> timer_callbacks;  // null: it has none
    std::vector<verifier::FunctionFacts> facts;            // as Program::functions
    std::unique_ptr<Extension> extension;                  // only of extensions
    mutable Replacements replacements;
    mutable RunStats stats;
    /// What runs start with while somebody looks at them (lib/xdp/capture.h); it goes on to
    /// unwatched_start(). Valid for runs until they end.
    mutable std::atomic<const Start*> watched{nullptr};

    /// Where its own first function starts.
    [[nodiscard]] EntryPoint entry() const {
        return image != nullptr ? interpreter::run : code.entry();
    }

    [[nodiscard]] const void* self() const { return image.get(); }

    [[nodiscard]] Start own_start() const { return {.entry = entry(), .self = self()}; }

    /// Where a run starts now. Holds for one burst.
    [[nodiscard]] Start start() const {
        const Start* const watch = watched.load(std::memory_order_acquire);
        return watch == nullptr ? unwatched_start() : *watch;
    }

    /// An extension may stand for the first function.
    [[nodiscard]] Start unwatched_start() const {
        const Start* const other = replacements.first.load(std::memory_order_acquire);
        return other != nullptr ? *other : own_start();
    }

    [[nodiscard]] bool moves_packet(std::uint32_t function) const {
        return function < facts.size() && facts[function].moves_packet;
    }
};

}  // namespace crema::ebpf
