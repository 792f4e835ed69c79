// SPDX-License-Identifier: BSD-3-Clause
//
// The running kernel's verdict on a program, by bpf(2) directly: the program's maps are created
// anew in the kernel, the program is loaded as XDP and closed. The oracle of the verifier's
// conformance tests; never used by the library.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/ebpf/program/program.h"

namespace crema::test {

struct KernelVerdict {
    bool accepted = false;
    int error = 0;                      // errno when refused
    std::string reason;                 // the log without its statistics line
    std::uint64_t processed_insns = 0;  // when accepted
};

/// False when bpf(2) may not be used here (no permission, no such call).
[[nodiscard]] bool kernel_verifier_available();

/// Keeps kernel copies of a set of maps, for any number of programs over them.
class KernelVerifier {
  public:
    explicit KernelVerifier(const std::vector<std::shared_ptr<ebpf::maps::Map>>& maps);
    ~KernelVerifier();
    KernelVerifier(const KernelVerifier&) = delete;
    KernelVerifier& operator=(const KernelVerifier&) = delete;

    /// Whether a refusal needs its reason: that is a second load.
    enum class Words : std::uint8_t { no, yes };

    [[nodiscard]] KernelVerdict judge(const ebpf::Program& program, Words words = Words::yes) const;

  private:
    std::vector<int> fds_;
};

}  // namespace crema::test
