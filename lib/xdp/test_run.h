// SPDX-License-Identifier: BSD-3-Clause
//
// Runs a program over one packet outside any port, as BPF_PROG_TEST_RUN does: same geometry (4 KiB
// page, 256 bytes headroom, fragments of 4 KiB behind), same context, same errors. As there nobody
// asks whether the program takes fragments. For PROG_TEST_RUN of lib/ebpf/syscall,
// `crema xdp run`, tests and benchmarks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/base/result.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/ebpf/syscall/test_run_hook.h"

namespace crema::xdp {

using ebpf::TestRunContext;
using ebpf::TestRunResult;

/// packet: 14 bytes or more; the first 3520 are the linear part. repeat: runs on the same buffer
/// (0 = 1); each finds the packet as the one before left it, ends included, as in the kernel.
/// Errors: EINVAL shorter than 14 bytes; ENOMEM more than 17 fragments hold.
[[nodiscard]] Result<TestRunResult> test_run(const ebpf::LoadedProgram& program,
                                             std::span<const std::uint8_t> packet,
                                             std::uint32_t ingress_ifindex,
                                             std::uint32_t repeat);

/// With a context. bytes: context.data bytes of metadata, then the packet; what lies behind
/// context.data_end is fragments. Further errors: ENODEV no port has that ifindex; EINVAL a queue
/// that no port has, or without port, metadata whose size is no multiple of 4 or more than 216,
/// ends that lie outside `bytes`, fields that are not for user space.
[[nodiscard]] Result<TestRunResult> test_run(const ebpf::LoadedProgram& program,
                                             std::span<const std::uint8_t> bytes,
                                             const TestRunContext& context,
                                             std::uint32_t repeat);

/// What both kinds of test run ask of program and packet, and of a context: EINVAL, ENODEV as
/// above. meta_bytes of the given bytes are metadata.
[[nodiscard]] Status check_test_run(const ebpf::Program& program,
                                    std::size_t bytes,
                                    std::uint32_t meta_bytes);
[[nodiscard]] Status check_test_run(const TestRunContext& context, std::size_t bytes);

}  // namespace crema::xdp
