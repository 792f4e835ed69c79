// SPDX-License-Identifier: BSD-3-Clause
//
// A program as the interpreter runs it: its slots, one for one, with everything resolved that does
// not change between runs: addresses of maps, values, functions and native helpers. Made once at
// load; immutable. Holds addresses in the program's maps: they must outlive it (LoadedProgram holds
// both).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/interpreter/callbacks.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf::interpreter {

/// One slot. `insn` is the program's but for its code, which may be one of the stand-ins below.
struct Step {
    Insn insn;
    std::uint64_t operand;  // LD_IMM64: the whole constant; helper calls: the native function,
                            // or 0 where only the map at run time tells (no proof)
};

static_assert(sizeof(Step) == 16);

// Codes that no program has (structure.cpp refuses them) stand for what a call turned out to be.
inline constexpr std::uint8_t kCallHelper = op::kJmp | op::kCall;                // as it is
inline constexpr std::uint8_t kCallWithContext = op::kJmp | op::kCall | op::kX;  // r5 = XdpBuff*
inline constexpr std::uint8_t kCallFunction = op::kJmp32 | op::kCall;
inline constexpr std::uint8_t kCallKfunc = op::kJmp | op::kExit | op::kX;
inline constexpr std::uint8_t kTailCall = op::kJmp32 | op::kExit;
inline constexpr std::uint8_t kCallReplaceable = op::kJmp32 | op::kExit | op::kX;  // see Gate
inline constexpr std::uint8_t kUnserved = op::kJmp32 | op::kCall | op::kX;

class Image;

/// What runs in place of a function that may be replaced while programs run; null: itself.
using Gate = std::atomic<const Image*>;

class Image {
  public:
    /// With a proof: ENOTSUP when a reachable instruction cannot be run here, naming it. Without
    /// one (tests): such an instruction ends a checked run with a fault.
    /// ENOSPC: too many callbacks in interpreted programs.
    [[nodiscard]] static Result<std::unique_ptr<const Image>> prepare(const Program& program,
                                                                      const verifier::Proof* proof);

    [[nodiscard]] const Step* steps() const { return steps_.data(); }

    [[nodiscard]] std::size_t size() const { return steps_.size(); }

    /// Maps whose only value the program names directly, without a lookup.
    [[nodiscard]] std::span<const maps::Map* const> direct_values() const { return direct_values_; }

    /// Functions whose address the program takes.
    [[nodiscard]] std::span<const Callback> callbacks() const { return callbacks_; }

    /// Calls of a function, by its index in Program::functions, run the first function of `other`
    /// from now on; null: itself. Nothing happens where there is no such call. Threads: one at a
    /// time, beside any runs.
    void replace(std::uint32_t function, const Image* other) const;

    /// Natives may call functions of this program, or of one that it tail-calls.
    [[nodiscard]] bool has_callbacks() const { return !callbacks_.empty() || tail_calls_; }

  private:
    Image() = default;

    [[nodiscard]] Result<const char*> resolve(const Program& program,
                                              std::uint32_t slot,
                                              const verifier::Proof* proof);
    [[nodiscard]] Result<const char*> resolve_constant(const Program& program, std::uint32_t slot);
    [[nodiscard]] const char* resolve_function_call(const Program& program,
                                                    std::uint32_t slot,
                                                    const verifier::Proof* proof);
    [[nodiscard]] const char* resolve_call(const Program& program,
                                           std::uint32_t slot,
                                           const verifier::Proof* proof);

    std::vector<Step> steps_;
    std::vector<const maps::Map*> direct_values_;
    std::vector<Callback> callbacks_;
    std::map<std::uint32_t, std::unique_ptr<Gate>> gates_;
    bool tail_calls_ = false;
};

}  // namespace crema::ebpf::interpreter
