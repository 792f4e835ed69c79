// SPDX-License-Identifier: BSD-3-Clause
//
// One map on one side, ours or the running kernel's, filled, with a program for each operation: the
// same instructions on both sides, eight operations per run on random keys below (hit) or above
// (miss) the number of elements.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/program.h"

namespace crema::bench {

inline constexpr std::uint32_t kCallsPerRun = 8;
inline constexpr std::uint32_t kValueBytes = 16;

/// none: the program without the operation, which is taken off.
enum class Operation : std::uint8_t { none, lookup_hit, lookup_miss, update, insert_delete };

inline constexpr std::size_t kOperations = 5;
inline constexpr std::array kOperationNames = {"", "lookup hit", "lookup miss", "update",
                                               "delete and insert"};

class Side {
  public:
    Side() = default;
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;
    virtual ~Side() = default;

    /// False: not filled.
    [[nodiscard]] virtual bool put(const void* key, const void* value) = 0;
    [[nodiscard]] virtual bool load(Operation operation, ebpf::Program program) = 0;
    /// Threads may run at the same time.
    virtual void run(Operation operation, std::uint32_t runs) = 0;
};

/// Elements of arrays are there from the start, and stay.
[[nodiscard]] bool is_measured(const ebpf::maps::MapSpec& spec, Operation operation);

/// Null, with a line on stderr: the map cannot be filled or a program is refused.
[[nodiscard]] std::unique_ptr<Side> kernel_side(const ebpf::maps::MapSpec& spec);
[[nodiscard]] std::unique_ptr<Side> our_side(const ebpf::maps::MapSpec& spec);

/// CPU time of the calling thread, ns per run.
[[nodiscard]] double measure(Side& side, Operation operation, std::uint32_t runs);

}  // namespace crema::bench
