// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's side of program benchmarks: an object loaded by the system's shared libbpf and run
// by BPF_PROG_TEST_RUN. Needs bpf(2); where that is refused, load() says so.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "lib/base/result.h"

struct bpf_object;

namespace crema::bench {

class KernelProgram {
  public:
    [[nodiscard]] static Result<std::unique_ptr<KernelProgram>> load(const std::string& path,
                                                                     const std::string& program);
    ~KernelProgram();
    KernelProgram(const KernelProgram&) = delete;
    KernelProgram& operator=(const KernelProgram&) = delete;

    struct Run {
        std::uint32_t retval = 0;
        std::uint32_t duration_ns = 0;  // mean of one run, as the kernel measures it
    };

    [[nodiscard]] Result<Run> run(std::span<const std::uint8_t> packet, std::uint32_t repeat) const;

  private:
    KernelProgram(bpf_object* object, int program) : object_(object), program_(program) {}

    bpf_object* object_;
    int program_;
};

}  // namespace crema::bench
