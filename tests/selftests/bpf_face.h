// SPDX-License-Identifier: BSD-3-Clause
//
// bpf(2) twice: the running kernel's, by raw system calls, and Crema's (syscall::serve). Tests
// speak to both with the same attributes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/program/instruction.h"

namespace crema::test {

/// MAP_CREATE.
struct MapRequest {
    std::uint32_t type = 0;
    std::uint32_t key_bytes = 0;
    std::uint32_t value_bytes = 0;
    std::uint32_t entries = 0;
    std::uint32_t flags = 0;
    int inner_map = -1;
    int btf = -1;
    std::uint32_t btf_key_type = 0;
    std::uint32_t btf_value_type = 0;
};

/// PROG_LOAD.
struct ProgramRequest {
    std::span<const ebpf::Insn> insns;
    std::uint32_t type = 6;  // BPF_PROG_TYPE_XDP
    std::uint32_t attach = 0;
    std::uint32_t flags = 0;
    int btf = -1;
    std::span<const std::uint32_t> func_info;  // pairs: instruction, type
};

/// What a load answers. `error`: 0 or an errno.
struct LoadAnswer {
    UniqueFd fd;
    int error = 0;
    std::string log;  // level 4: the reason and the statistics
};

class BpfFace {
  public:
    BpfFace() = default;
    BpfFace(const BpfFace&) = delete;
    BpfFace& operator=(const BpfFace&) = delete;
    virtual ~BpfFace() = default;

    /// A result >= 0 or a negative errno.
    [[nodiscard]] virtual long call(int command, void* attr, std::uint32_t bytes) = 0;

    /// A descriptor, or a negative errno.
    [[nodiscard]] int create_map(const MapRequest& request);
    [[nodiscard]] int load_btf(std::span<const std::uint8_t> blob);
    [[nodiscard]] int update(int map, const void* key, const void* value);
    [[nodiscard]] LoadAnswer load_program(const ProgramRequest& request);
};

/// The running kernel.
[[nodiscard]] std::unique_ptr<BpfFace> kernel_face();

/// Crema. One at a time per thread: it holds the session in which objects can be made, and what
/// was made goes with it.
[[nodiscard]] std::unique_ptr<BpfFace> crema_face();

/// A BTF blob of these types and strings.
[[nodiscard]] std::vector<std::uint8_t> btf_blob(std::span<const std::uint8_t> types,
                                                 std::span<const std::uint8_t> strings);

}  // namespace crema::test
