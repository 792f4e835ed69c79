// SPDX-License-Identifier: BSD-3-Clause
//
// The running kernel's verdict on a program, by bpf(2) directly: creates the program's maps anew,
// loads it as XDP, closes everything. The oracle of the verifier's conformance tests; never used
// by the library.
#pragma once

#include <string>

#include "lib/ebpf/program/program.h"

namespace crema::test {

struct KernelVerdict {
    bool accepted = false;
    int error = 0;       // errno when refused
    std::string reason;  // the log without its statistics line
};

/// False when bpf(2) may not be used here (no permission, no such call).
[[nodiscard]] bool kernel_verifier_available();

[[nodiscard]] KernelVerdict ask_kernel(const ebpf::Program& program);

}  // namespace crema::test
