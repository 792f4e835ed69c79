// SPDX-License-Identifier: BSD-3-Clause
//
// bpf(2) of the running kernel, by raw system calls: what tests compare our maps and compiled
// programs with. Never used by the library. Results are 0 (or a fd) or a negative errno.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/program.h"

namespace crema::test::kernel {

/// False when bpf(2) may not be used here (no permission, no such call).
[[nodiscard]] bool available();

/// inner_fd: the template of a map of maps (spec.inner means nothing to the kernel), or -1.
[[nodiscard]] int create_map(const ebpf::maps::MapSpec& spec, int inner_fd = -1);
[[nodiscard]] int lookup(int map, const void* key, void* value_out, std::uint64_t flags = 0);
[[nodiscard]] int take(int map, const void* key, void* value_out, std::uint64_t flags = 0);
[[nodiscard]] int update(int map, const void* key, const void* value, std::uint64_t flags);
[[nodiscard]] int erase(int map, const void* key);
[[nodiscard]] int next_key(int map, const void* key, void* next_out);
[[nodiscard]] int freeze(int map);

/// A batch command by its number; `count` in and out.
struct Batch {
    const void* in = nullptr;  // cursor, null at the start
    void* out = nullptr;
    const void* keys = nullptr;
    const void* values = nullptr;
    std::uint32_t count = 0;
    std::uint64_t element_flags = 0, flags = 0;
};

[[nodiscard]] int batch(int command, int map, Batch& batch);

/// Loads as XDP, with BTF and functions where the program has them; map_fds: one per
/// Program::maps. *log: the verifier's words when refused.
[[nodiscard]] int load_xdp(const ebpf::Program& program,
                           std::span<const int> map_fds,
                           std::string* log);

struct Run {
    int error = 0;  // 0 or negative errno
    std::uint32_t retval = 0;
    std::uint32_t duration_ns = 0;
    std::vector<std::uint8_t> packet;
};

[[nodiscard]] Run test_run(int program, std::span<const std::uint8_t> packet, std::uint32_t repeat);

/// struct xdp_md, whose last field old headers lack.
struct Context {
    std::uint32_t data = 0;  // bytes of metadata in front of the packet
    std::uint32_t data_end = 0;
    std::uint32_t data_meta = 0;
    std::uint32_t ingress_ifindex = 0;
    std::uint32_t rx_queue_index = 0;
    std::uint32_t egress_ifindex = 0;
};

/// With a context in and out. packet: metadata and frame.
[[nodiscard]] Run test_run(int program, std::span<const std::uint8_t> packet, Context& context);

}  // namespace crema::test::kernel
