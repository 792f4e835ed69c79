// SPDX-License-Identifier: BSD-3-Clause
//
// Runs a program over one packet outside any port, as BPF_PROG_TEST_RUN does: same geometry (4 KiB
// page, 256 bytes headroom), same errors. For tests, `crema xdp run` and benchmarks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::xdp {

struct TestRunResult {
    std::uint32_t retval;             // low half of r0, as the kernel reports it
    std::vector<std::uint8_t> bytes;  // metadata and packet after the run
    std::uint64_t duration_ns;        // mean of one run
};

/// packet: 14..3520 bytes. repeat: runs on the same buffer (0 = 1), pointers reset before each run.
/// Errors: EINVAL shorter than 14 bytes; ENOTSUP longer than one page holds (the kernel would make
/// fragments of it; multi-buffer frames are not served).
[[nodiscard]] Result<TestRunResult> test_run(const ebpf::LoadedProgram& program,
                                             std::span<const std::uint8_t> packet,
                                             std::uint32_t ingress_ifindex,
                                             std::uint32_t repeat);

}  // namespace crema::xdp
