// SPDX-License-Identifier: BSD-3-Clause
//
// The interpreter behind verify(): one Machine per program, thrown away afterwards. Each source
// file beside this one implements one idea of it:
//
//   explore.cpp    which path next, checkpoints, limits        alu.cpp     arithmetic
//   prune.cpp      is this state covered by an earlier one     memory.cpp  loads and stores
//   precision.cpp  which scalars decided something             stack.cpp   the frame
//   liveness.cpp   which registers are read later              branch.cpp  conditional jumps
//   facts.cpp      what lowering may rely on                   call.cpp    helpers
//   references.cpp what has to be given back                   dynptr.cpp  dynptrs
//   frames.cpp     functions of the program: in and out        roots.cpp   what is walked at all
//   callbacks.cpp  functions that helpers call                 loops.cpp   loops that converge
//   global_functions.cpp  functions verified from their types  stack_depth.cpp  whole call chains
//   locks.cpp      special fields of map values                arguments.cpp  of helpers
//   kfuncs.cpp     kernel functions                            iterators.cpp  open-coded iterators
//   log_state.cpp  states as text     log.cpp  the log
//
// Order of one instruction: checks and effects on `cur_`, precision marks, then its Step.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/program/instruction.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/verifier/call.h"
#include "lib/ebpf/verifier/state.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf::verifier {

/// Instructions that decide about one more turn of a loop the walk does not count.
enum class Turn : std::uint8_t { none, callback, may_goto, iterator };

enum class Direction : std::uint8_t { read, write };

/// Scalars that are being traced back, per frame.
using Traced = std::array<Marks, kFramesMax>;

/// Register sets that an instruction reads and overwrites.
struct Uses {
    std::uint16_t reads = 0;
    std::uint16_t writes = 0;
};

[[nodiscard]] Uses register_uses(const Insn& insn);
/// Per instruction: registers whose value some continuation reads.
[[nodiscard]] std::vector<std::uint16_t> live_registers(const Program& program);
/// Fills dst_upper_zero and src_upper_zero of reachable instructions.
void find_zero_upper_halves(const Program& program,
                            std::span<const Function> functions,
                            Proof& proof);
inline constexpr Marks kAllMarks{.regs = 0x7ff, .slots = ~std::uint64_t{0}};
/// "R1=ctx() R10=fp0" in the kernel's log notation: all of the frame being run.
[[nodiscard]] std::string describe_state(const State& state, const Program& program);
/// Registers and slots in `shown`.
[[nodiscard]] std::string describe_frame(const State& state,
                                         std::uint32_t number,
                                         const Program& program,
                                         const Marks& shown = kAllMarks,
                                         const Marks& precise = {});
[[nodiscard]] std::string describe_reg(const Reg& reg, std::uint32_t frame, const Program& program);
[[nodiscard]] std::string describe_bits(Tnum bits);
/// The value has a spin lock.
[[nodiscard]] bool has_lock(const maps::MapSpec& spec);
[[nodiscard]] bool has_timer(const maps::MapSpec& spec);
/// Where the instruction comes from, or null.
[[nodiscard]] const SourceLine* source_line(const Program& program, std::uint32_t insn);
/// Which registers of each frame some continuation reads.
using LiveRegs = std::array<std::uint16_t, kFramesMax>;
/// True when a program in state `cur` can do nothing that one in checkpoint `old` could not.
/// `in_full`: what mattered to `old` is not all known yet, so everything is compared.
[[nodiscard]] bool covers(const Checkpoint& old,
                          const State& cur,
                          const LiveRegs& live,
                          bool in_full);
/// True when both are the same in all that is live.
[[nodiscard]] bool same_state(const State& old, const State& cur, const LiveRegs& live);

/// True when an iterator of both gave more elements in one than in the other.
[[nodiscard]] bool iterator_turns_differ(const State& a, const State& b);
/// True when both stand in the same functions, called from the same places.
[[nodiscard]] bool same_calls(const State& a, const State& b);
/// The register in which a callback finds the caller's R3 (its context), or 0.
[[nodiscard]] std::uint32_t callback_context_reg(helpers::CallbackRule rule);
/// Stack and frames of all call chains; the rest of `proof` is complete.
[[nodiscard]] std::optional<Refusal> check_stack_depth(const Program& program,
                                                       std::span<const Function> functions,
                                                       const Proof& proof);

class Machine {
  public:
    Machine(const Program& program, const Options& options, std::string* log);
    [[nodiscard]] Result<Proof> run();

    [[nodiscard]] std::uint64_t processed_insns() const { return proof_.processed_insns; }

    /// For tests of soundness: `observer` sees every state before its instruction; without pruning
    /// each path is walked to its end, so that the states seen are all there are.
    using Observer = std::function<void(std::uint32_t insn, const State& state)>;

    void observe(Observer observer) {
        observer_ = std::move(observer);
        prune_ = false;
    }

  private:
    struct Pending {
        State state;
        std::uint32_t insn = 0;
        std::uint32_t from = 0;
        std::size_t log_length = 0;
    };

    /// What is walked on its own.
    struct Root {
        std::uint32_t function = 0;
        std::array<Reg, 5> args;
        bool is_async = false;
    };

    /// A path that ended in a checkpoint whose notes were not complete.
    struct BackEdge {
        std::int32_t to = 0;
        Trail from;
    };

    // explore.cpp
    [[nodiscard]] Status explore(const Root& root);
    [[nodiscard]] bool ends_here(std::int32_t old, const LiveRegs& live, bool& loops) const;
    [[nodiscard]] bool goes_nowhere(const State& old, const LiveRegs& live) const;
    [[nodiscard]] Status step();
    void retire(std::int32_t at);
    [[nodiscard]] static bool wears_out(const Checkpoint& old, bool forced);
    [[nodiscard]] Status visit(bool& pruned);
    [[nodiscard]] std::size_t state_bytes() const;
    [[nodiscard]] Status fork(State other, std::uint32_t insn);
    void keep_checkpoint(bool listed);
    void end_path();
    [[nodiscard]] bool next_path();
    [[nodiscard]] Status execute(const Insn& insn);
    [[nodiscard]] Status execute_jump(const Insn& insn);
    void record_step(Flow flow = Flow::stays, std::uint32_t linked = 0);
    [[nodiscard]] LiveRegs live_in(const State& state) const;
    void propagate(const Checkpoint& old, const Trail& trail);
    void forget(std::int32_t checkpoint);
    [[nodiscard]] Status check_uses(const Insn& insn) const;
    [[nodiscard]] Error located(int code, std::uint32_t insn, const std::string& reason) const;
    void find_prune_points();
    [[nodiscard]] Status judge();
    [[nodiscard]] Proof finish();

    // roots.cpp
    void find_effects();
    [[nodiscard]] std::optional<Refusal> check_functions() const;
    [[nodiscard]] Status walk_roots();
    [[nodiscard]] Status walk_global(std::uint32_t function);
    void start(const Root& root);

    // frames.cpp
    [[nodiscard]] Status do_function_call(const Insn& insn);
    [[nodiscard]] Status do_exit();
    [[nodiscard]] Status do_last_exit();
    [[nodiscard]] Status do_tail_call();
    [[nodiscard]] Status enter(std::uint32_t function, const std::array<Reg, 5>& args, Flow flow);
    void leave(const Reg& result);

    // global_functions.cpp
    void note_prototype(std::uint32_t function);
    [[nodiscard]] bool is_global(std::uint32_t function) const;
    [[nodiscard]] bool returns_number(std::uint32_t function) const;
    [[nodiscard]] Result<GlobalArgument> global_argument(std::uint32_t function,
                                                         std::size_t index,
                                                         std::uint32_t type) const;
    [[nodiscard]] Result<std::vector<GlobalArgument>> global_prototype(
        std::uint32_t function) const;
    [[nodiscard]] Result<std::array<Reg, 5>> global_entry(std::uint32_t function);
    [[nodiscard]] Status check_passed_memory(std::uint32_t regno, std::uint32_t bytes);
    [[nodiscard]] Status check_global_argument(std::uint32_t index, const GlobalArgument& arg);
    [[nodiscard]] Status do_global_call(std::uint32_t function);

    // callbacks.cpp
    [[nodiscard]] Result<std::array<Reg, 5>> callback_arguments(const Call& call);
    [[nodiscard]] Status do_callback(const Call& call);
    [[nodiscard]] Status check_callback_result(const char* when);
    void add_async_root(std::uint32_t function, const std::array<Reg, 5>& args);

    // loops.cpp
    void widen_since_last_turn(State& state, std::uint32_t insn, std::int32_t at);
    [[nodiscard]] std::int32_t open_until(std::int32_t at) const;
    void close_loop(std::int32_t old);
    void settle_loop(std::int32_t entry);
    [[nodiscard]] Status do_may_goto(const Insn& insn);

    // alu.cpp
    [[nodiscard]] Status do_alu(const Insn& insn);
    [[nodiscard]] Status do_arithmetic(const Insn& insn);
    void do_move(const Insn& insn);
    void move_sign_extended(const Insn& insn, Reg& src, Reg& dst);
    [[nodiscard]] Status do_pointer_math(const Insn& insn, const Reg& ptr, const Reg& offset);
    [[nodiscard]] Reg moved_pointer(const Reg& ptr, const Reg& offset, bool adds);
    [[nodiscard]] Status check_sane_offset(const Reg& reg, RegType type) const;
    void give_id(Reg& reg);
    [[nodiscard]] Status do_ld_imm64(const Insn& insn);
    [[nodiscard]] Status check_direct_value(std::uint32_t at) const;
    [[nodiscard]] Status check_direct_values() const;
    [[nodiscard]] Status do_ld_function(const Insn& insn);

    // memory.cpp
    [[nodiscard]] Status do_load(const Insn& insn);
    [[nodiscard]] Status do_store(const Insn& insn);
    [[nodiscard]] Result<Reg> loaded_value(std::uint32_t regno,
                                           std::int32_t off,
                                           std::uint32_t size,
                                           bool is_signed);
    [[nodiscard]] Status do_atomic(const Insn& insn);
    [[nodiscard]] Status do_load_acquire(const Insn& insn);
    [[nodiscard]] Status do_store_release(const Insn& insn);
    [[nodiscard]] Status check_atomic_pointer(std::uint32_t regno, const char* what) const;
    [[nodiscard]] Status check_value_access(std::uint32_t regno,
                                            std::int64_t off,
                                            std::uint32_t size,
                                            Direction direction);
    [[nodiscard]] Status check_access(std::uint32_t regno,
                                      std::int32_t off,
                                      std::uint32_t size,
                                      Direction direction,
                                      bool aligned);
    [[nodiscard]] Status check_aligned(const Reg& reg,
                                       std::int32_t off,
                                       std::uint32_t size,
                                       const char* what) const;
    [[nodiscard]] Status check_packet_aligned(const Reg& reg,
                                              std::int32_t off,
                                              std::uint32_t size) const;
    [[nodiscard]] Status check_packet(std::uint32_t regno,
                                      std::int64_t off,
                                      std::int64_t size,
                                      bool zero_allowed);
    [[nodiscard]] Status check_region(std::uint32_t regno,
                                      std::int64_t off,
                                      std::int64_t size,
                                      std::uint32_t bytes,
                                      bool zero_allowed) const;
    [[nodiscard]] Status check_map_value(std::uint32_t regno,
                                         std::int64_t off,
                                         std::int64_t size,
                                         Direction direction,
                                         bool zero_allowed);
    [[nodiscard]] Status check_object(std::uint32_t regno,
                                      std::int32_t off,
                                      std::uint32_t size,
                                      Direction direction);
    [[nodiscard]] Status check_ctx(std::uint32_t regno,
                                   std::int32_t off,
                                   std::uint32_t size,
                                   Direction direction);
    [[nodiscard]] Status check_unmodified(std::uint32_t regno) const;
    [[nodiscard]] Reg loaded_from_ctx(std::int32_t off) const;
    [[nodiscard]] Reg loaded_from_map(const Reg& ptr, std::int32_t off, std::uint32_t size) const;
    [[nodiscard]] Status note_access(Access access);

    // stack.cpp
    [[nodiscard]] Status check_stack(std::uint32_t regno,
                                     std::int64_t off,
                                     std::int64_t size,
                                     Direction direction);
    [[nodiscard]] Result<Reg> read_stack(const Reg& ptr, std::int32_t off, std::uint32_t size);
    [[nodiscard]] Result<Reg> fill(const Slot& slot, std::int64_t off, std::uint32_t size);
    /// value: the register stored, or a scalar constant; regno < 0 for an immediate.
    [[nodiscard]] Status write_stack(
        const Reg& ptr, std::int32_t off, std::uint32_t size, Reg* value, std::int32_t regno);
    void write_stack_anywhere(const Reg& ptr, std::int32_t off, std::uint32_t size, bool zero);
    void note_slot(std::uint32_t frame, std::int64_t start);
    void write_slot(std::uint32_t frame, std::int64_t start, std::uint32_t size, Byte kind);
    void mark_slots_read(const Trail& trail, std::uint32_t frame, std::uint64_t slots);
    void mark_range_read(std::uint32_t frame, std::int64_t start, std::int64_t end);

    // branch.cpp
    [[nodiscard]] Status do_branch(const Insn& insn);
    [[nodiscard]] int known_outcome(const Insn& insn, const Reg& a, const Reg& b) const;
    void refine_nulls(const Insn& insn, State& taken, State& fallen) const;
    void refine_packet(const Insn& insn, State& taken, State& fallen) const;
    [[nodiscard]] std::uint32_t note_linked(const Insn& insn);

    // call.cpp
    [[nodiscard]] Status do_call(const Insn& insn);
    [[nodiscard]] Status do_helper_call(const Insn& insn);
    [[nodiscard]] Result<const helpers::Prototype*> find_helper(const Insn& insn) const;
    [[nodiscard]] Status check_map_of(const Call& call) const;
    [[nodiscard]] Status check_special_helper(Call& call);
    [[nodiscard]] Status check_format() const;
    [[nodiscard]] Result<Reg> result_of(const Call& call);
    [[nodiscard]] Result<Reg> looked_up(const Call& call);
    [[nodiscard]] bool key_is_in_range(const Reg& key, const maps::MapSpec& spec);
    void forget_packet_pointers();

    // kfuncs.cpp
    [[nodiscard]] std::optional<Refusal> check_kfuncs() const;
    [[nodiscard]] std::optional<Refusal> check_missing_kfuncs() const;
    [[nodiscard]] Status do_kfunc_call(const Insn& insn);
    [[nodiscard]] Status check_kfunc_argument(KfuncCall& call, std::uint32_t index);
    [[nodiscard]] Status check_kfunc_pointer(KfuncCall& call, std::uint32_t index);
    [[nodiscard]] Status check_kfunc_dynptr(KfuncCall& call, std::uint32_t index);
    [[nodiscard]] Status check_kfunc_memory(KfuncCall& call, std::uint32_t index);
    [[nodiscard]] Status check_kfunc_buffer(KfuncCall& call, std::uint32_t index);
    [[nodiscard]] Status do_region(const kfuncs::Function& function);
    [[nodiscard]] Reg kfunc_result(const KfuncCall& call);

    // iterators.cpp
    [[nodiscard]] Status check_iterator(KfuncCall& call, std::uint32_t index);
    [[nodiscard]] Status make_iterator(kfuncs::Base kind, std::uint32_t regno);
    void destroy_iterator(const Reg& ptr, kfuncs::Base kind);
    [[nodiscard]] const Reg* iterator_at(const State& state,
                                         const Reg& ptr,
                                         kfuncs::Base kind) const;
    [[nodiscard]] Status do_iterator_next(const KfuncCall& call);
    [[nodiscard]] bool gives_more(const State& state) const;

    // arguments.cpp
    [[nodiscard]] Status check_argument(Call& call, std::uint32_t index);
    [[nodiscard]] Status check_argument_type(const helpers::Arg& arg, std::uint32_t regno) const;
    [[nodiscard]] Status check_argument_value(Call& call, std::uint32_t index);
    [[nodiscard]] Status note_map(Call& call, const Reg& reg);
    [[nodiscard]] Status check_value_argument(Call& call,
                                              const helpers::Arg& arg,
                                              std::uint32_t regno);
    [[nodiscard]] Status check_argument_alignment(std::uint32_t regno, std::uint32_t bytes);
    [[nodiscard]] Status check_size(Call& call,
                                    const helpers::Arg& memory,
                                    std::uint32_t regno,
                                    bool zero_allowed);
    /// fills: the helper leaves all of it written, it need not be before.
    [[nodiscard]] Status check_memory(Call& call,
                                      std::uint32_t regno,
                                      std::int64_t size,
                                      Direction direction,
                                      bool zero_allowed,
                                      bool fills);
    [[nodiscard]] Status check_stack_argument(Call& call,
                                              std::uint32_t regno,
                                              std::int64_t size,
                                              Direction direction,
                                              bool zero_allowed,
                                              bool fills);
    void forget_bytes(std::uint32_t frame, std::int64_t start, std::int64_t end);
    [[nodiscard]] Status fill_written(const Call& call);
    [[nodiscard]] Status check_const_string(std::uint32_t regno);

    // references.cpp
    [[nodiscard]] std::uint32_t acquire();
    bool release(std::uint32_t id);
    [[nodiscard]] Status note_reference(Call& call, const helpers::Arg& arg, std::uint32_t regno);
    [[nodiscard]] Status release_argument(const Call& call);
    [[nodiscard]] Status check_nothing_held(const char* what, bool locks_too) const;

    // locks.cpp
    [[nodiscard]] Status check_plain_bytes(std::uint32_t regno,
                                           std::int64_t off,
                                           std::int64_t size,
                                           bool by_helper) const;
    [[nodiscard]] Status check_field(std::uint32_t regno, SpecialKind kind, const char* user) const;
    [[nodiscard]] Status do_spin_lock(std::uint32_t regno, std::uint32_t helper);
    [[nodiscard]] Status check_timer(Call& call, std::uint32_t regno);

    // dynptr.cpp
    /// Frame offset of the object of `slots` slots that `reg` points to.
    [[nodiscard]] static Result<std::int64_t> object_offset(const Reg& reg,
                                                            const char* what,
                                                            std::uint32_t slots);
    [[nodiscard]] static Result<std::int64_t> dynptr_offset(const Reg& reg);
    [[nodiscard]] const Reg* dynptr_at(const Reg& reg) const;
    [[nodiscard]] Status check_dynptr(Call& call, const helpers::Arg& arg, std::uint32_t regno);
    [[nodiscard]] Status make_dynptr(helpers::DynptrKind kind, std::uint32_t regno);
    [[nodiscard]] Status clone_dynptr(const Reg& original, std::uint32_t regno);
    [[nodiscard]] Status put_dynptr(helpers::DynptrKind kind,
                                    std::uint32_t regno,
                                    std::uint32_t ref);
    void forget_dynptr(std::uint32_t id);
    [[nodiscard]] Status release_dynptr(const Reg& ptr);
    [[nodiscard]] Status check_objects(std::uint32_t regno,
                                       std::int32_t off,
                                       std::uint32_t size,
                                       Direction direction);
    [[nodiscard]] Status destroy_objects(std::uint32_t frame,
                                         std::int64_t start,
                                         std::int64_t size);

    // precision.cpp
    void mark_precise(const Trail& trail, Traced traced);
    void mark_reg_precise(std::uint32_t regno);
    void mark_slots_precise(std::uint32_t frame, std::uint64_t slots);
    void trace_back(const Step& step, Traced& traced) const;
    void trace_branch(const Step& step, Traced& traced) const;
    void trace_flow(const Step& step, Traced& traced) const;

    // log
    void log_text(const std::string& text);
    void log_rewind(std::size_t length);
    void log_path_start();
    void log_insn();
    void log_result(const Insn& insn);
    void log_pruned();
    void log_loop(const Checkpoint& old);
    void log_functions();
    void log_statistics();
    void log_end(const Error* error);

    [[nodiscard]] bool logging() const { return log_ != nullptr && (options_.log_level & 3) != 0; }

    [[nodiscard]] const maps::Map& map_of(const Reg& reg) const { return *program_.maps[reg.map]; }

    /// Of the map that `reg` names or points into.
    [[nodiscard]] const maps::MapSpec& spec_of(const Reg& reg) const {
        const maps::MapSpec& spec = map_of(reg).spec();
        return reg.inner ? *spec.inner : spec;
    }

    const Program& program_;
    const Options& options_;
    std::string* log_;
    Observer observer_;
    bool prune_ = true;
    Proof proof_;
    std::vector<bool> taken_seen_;
    std::vector<bool> fallen_seen_;
    std::vector<bool> prune_point_;
    std::vector<Turn> turn_;   // per instruction
    std::vector<Root> roots_;  // still to be walked
    std::vector<Root> walked_async_;
    std::vector<bool> called_;  // global functions
    std::vector<BackEdge> back_edges_;
    std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    bool notes_added_ = false;  // precision or read marks, since it was cleared
    std::vector<std::uint16_t> live_;
    std::vector<std::vector<std::int32_t>> kept_;  // checkpoints per instruction
    std::vector<std::unique_ptr<Checkpoint>> checkpoints_;
    std::vector<Pending> pending_;
    std::vector<Function> functions_;
    std::vector<Step> steps_{1};         // 0: none
    std::vector<LinkedRegs> linked_{1};  // 0: none
    State cur_;
    std::uint32_t insn_ = 0;  // being executed
    std::uint32_t next_ = 0;  // after it
    std::uint32_t from_ = 0;  // where the current path forked off
    bool path_starts_ = true;
    bool path_ended_ = false;
    bool step_recorded_ = false;
    std::int8_t step_slot_ = -1;   // slot that this instruction spills to or fills from
    std::uint8_t step_frame_ = 0;  // of that slot
    std::uint32_t ids_ = 0;
    std::vector<std::int64_t> deepest_;  // per function
    std::uint64_t jumps_ = 0;
    std::uint64_t jumps_at_checkpoint_ = 0;
    std::uint64_t insns_at_checkpoint_ = 0;  // listed ones
    std::uint64_t insns_at_waypoint_ = 0;    // any
    std::size_t log_dropped_ = 0;            // characters no longer in the log
    const SourceLine* line_logged_ = nullptr;
    std::string log_result_;           // of the last instruction, for when the next one comes
    std::string log_tail_;             // what stands behind the reason
    std::size_t insn_letters_ = 0;     // of the instruction in the log
    std::size_t insn_log_end_ = 0;     // where it ends there
    std::uint64_t touched_slots_ = 0;  // that it read or wrote
    std::uint64_t states_now_ = 0;
    std::uint64_t states_total_ = 0;
    std::uint64_t states_peak_ = 0;
    std::size_t states_per_insn_max_ = 0;
};

}  // namespace crema::ebpf::verifier
