// SPDX-License-Identifier: BSD-3-Clause
//
// What the verifier believes against what happens: the checked interpreter runs a program on random
// frames, and every concrete state must lie in an abstract one of the same instruction. For
// programs of one function.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "lib/ebpf/interpreter/checked.h"
#include "lib/ebpf/program/program.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::test {

/// Why a run on a random frame ended otherwise than by EXIT; empty: it did not.
[[nodiscard]] std::string fault_of_run(const ebpf::Program& program,
                                       std::mt19937_64& engine,
                                       const ebpf::interpreter::Observer& observer);

class StateWitness {
  public:
    /// Verifies. `program` must outlive this.
    StateWitness(const ebpf::Program& program, const ebpf::verifier::Options& options);

    [[nodiscard]] bool accepted() const { return accepted_; }

    /// One run. Empty: it kept to the states.
    [[nodiscard]] std::string run(std::mt19937_64& engine) const;

  private:
    const ebpf::Program& program_;
    std::vector<std::vector<ebpf::verifier::State>> seen_;  // by instruction
    bool accepted_ = false;
};

}  // namespace crema::test
