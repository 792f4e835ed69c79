// SPDX-License-Identifier: BSD-3-Clause
//
// The door of the room: one Machine per program.
#include "lib/ebpf/verifier/verify.h"

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

Result<Proof> verify(const Program& program,
                     const Options& options,
                     std::string* log,
                     std::uint64_t* processed_insns) {
    Machine machine(program, options, log);
    auto proof = machine.run();
    if (processed_insns != nullptr) {
        *processed_insns = machine.processed_insns();
    }
    return proof;
}

}  // namespace crema::ebpf::verifier
