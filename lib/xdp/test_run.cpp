// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/test_run.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <sched.h>

#include "lib/ebpf/abi/xdp_buff.h"

namespace crema::xdp {
namespace {

struct alignas(ebpf::kTestRunPageBytes) Page {
    std::array<std::uint8_t, ebpf::kTestRunPageBytes> bytes;
};

Status check(const ebpf::Program& program, std::size_t packet_bytes) {
    if (program.expected_attach_type == ebpf::kAttachXdpDevmap ||
        program.expected_attach_type == ebpf::kAttachXdpCpumap) {
        return fail(EINVAL, "program {} belongs into a devmap or cpumap: it has no test run",
                    program.name);
    }
    if (packet_bytes < ebpf::kFrameBytesMin) {
        return fail(EINVAL, "packet of {} bytes: an Ethernet frame has at least {}", packet_bytes,
                    ebpf::kFrameBytesMin);
    }
    if (packet_bytes > ebpf::kTestRunLinearMax) {
        return fail(ENOTSUP,
                    "packet of {} bytes: at most {} fit one page, and multi-buffer frames are not "
                    "served",
                    packet_bytes, ebpf::kTestRunLinearMax);
    }
    return {};
}

}  // namespace

Result<TestRunResult> test_run(const ebpf::LoadedProgram& program,
                               std::span<const std::uint8_t> packet,
                               std::uint32_t ingress_ifindex,
                               std::uint32_t repeat) {
    if (auto allowed = check(program.program, packet.size()); !allowed) {
        return forward_error(allowed);
    }
    // Zeroed as the kernel's page: a program may grow the frame at its head and read there.
    const auto page = std::make_unique<Page>();
    std::uint8_t* const data = page->bytes.data() + ebpf::kXdpHeadroom;
    std::copy(packet.begin(), packet.end(), data);

    ebpf::XdpBuff buff{};
    buff.data_hard_start = page->bytes.data();
    buff.frame_sz = ebpf::kTestRunPageBytes;
    buff.ingress_ifindex = ingress_ifindex;
    buff.cpu = static_cast<std::uint32_t>(std::max(sched_getcpu(), 0));

    const ebpf::EntryPoint entry = program.entry();
    const void* const self = program.self();
    const std::uint32_t runs = std::max(repeat, 1U);
    std::uint64_t result = 0;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint32_t i = 0; i < runs; ++i) {
        buff.data = data;
        buff.data_end = data + packet.size();
        buff.data_meta = data;
        buff.redirect = {};
        result = entry(&buff, self);
    }
    const auto spent = std::chrono::steady_clock::now() - start;
    const auto spent_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(spent).count();
    return TestRunResult{.retval = static_cast<std::uint32_t>(result),
                         .bytes = {buff.data_meta, buff.data_end},
                         .duration_ns = static_cast<std::uint64_t>(spent_ns) / runs};
}

}  // namespace crema::xdp
