// SPDX-License-Identifier: BSD-3-Clause
//
// The part of face_tool about maps that are rings between programs and user space: ring buffers,
// user ring buffers, perf events. What is on the other side here are libbpf's readers and
// producers, and plain system calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

struct bpf_map;

namespace crema::test {

[[nodiscard]] std::string hex(const std::uint8_t* bytes, std::size_t count);

/// Each program of the object once.
using RunAll = std::function<void()>;

/// Prints what comes out of `map` and goes in; nothing for maps that are no rings.
void show_rings(const bpf_map* map, const RunAll& run_all);

}  // namespace crema::test
