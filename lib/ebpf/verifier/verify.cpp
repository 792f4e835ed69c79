// SPDX-License-Identifier: BSD-3-Clause
//
// The door of the room: one Machine per program.
#include "lib/ebpf/verifier/verify.h"

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

Result<Proof> verify(const Program& program, const Options& options, std::string* log) {
    return Machine(program, options, log).run();
}

}  // namespace crema::ebpf::verifier
