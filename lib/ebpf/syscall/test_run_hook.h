// SPDX-License-Identifier: BSD-3-Clause
//
// How PROG_TEST_RUN reaches the room that runs programs (lib/xdp): that room installs itself here
// when the library is loaded.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::ebpf {

/// struct xdp_md as user space gives and gets it. Offsets count from the start of the metadata.
struct TestRunContext {
    std::uint32_t data;      // bytes of metadata; they lie in front of the packet
    std::uint32_t data_end;  // bytes of metadata and packet
    std::uint32_t data_meta;
    std::uint32_t ingress_ifindex;  // 0: the first port, there or not
    std::uint32_t rx_queue_index;
    std::uint32_t egress_ifindex;
};

struct TestRunResult {
    std::uint32_t retval;             // low half of r0, as the kernel reports it
    std::vector<std::uint8_t> bytes;  // metadata and packet after the run
    std::uint64_t duration_ns;        // mean of one run
    std::uint32_t meta_bytes;         // of `bytes`, at its start
    /// What the last run asked for; means something with verdict REDIRECT. Its map lives as long as
    /// the program.
    RedirectTarget redirect;
    TestRunContext context;  // afterwards
};

/// The rules of lib/xdp/test_run.h.
using TestRunner = Result<TestRunResult> (*)(const LoadedProgram& program,
                                             std::span<const std::uint8_t> bytes,
                                             const TestRunContext& context,
                                             std::uint32_t repeat);

/// The rules of lib/xdp/live_frames.h. Returns the mean time of one frame, ns.
using LiveRunner = Result<std::uint64_t> (*)(const LoadedProgram& program,
                                             std::span<const std::uint8_t> bytes,
                                             const TestRunContext& context,
                                             std::uint32_t repeat,
                                             std::uint32_t batch_size);

void set_test_runner(TestRunner runner);
/// Null: nothing in this process runs programs.
[[nodiscard]] TestRunner test_runner();

void set_live_runner(LiveRunner runner);
[[nodiscard]] LiveRunner live_runner();

}  // namespace crema::ebpf
