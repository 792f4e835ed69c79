// SPDX-License-Identifier: BSD-3-Clause
//
// Two machines that run the same object on the same packet: the kernel through the system's shared
// libbpf and BPF_PROG_TEST_RUN, and Crema through its own loader and test run. Tests drive both
// through this one face and compare what comes back; neither knows of the other.
//
// Both run on one pinned CPU, so per-CPU values are those of that CPU; a value of any other CPU
// that is not zero is listed under a key of its own and so shows up as a difference.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "tests/support/packets.h"

namespace crema::test {

/// What one run of a program did. `error` (errno) excludes the rest.
struct Outcome {
    int error = 0;
    std::uint32_t retval = 0;
    Bytes bytes;
};

/// "map[key]" -> value, both in hex; entries that are all zero are left out, so that an array and a
/// map without the entry look alike. Global data is found under ".data", ".bss", ".rodata".
using MapState = std::map<std::string, std::string>;

struct MapUpdate {
    std::string map;
    Bytes key;
    Bytes value;  // per-CPU maps cannot be updated here
};

class Machine {
  public:
    Machine() = default;
    virtual ~Machine() = default;
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    [[nodiscard]] virtual Status update(const MapUpdate& update) = 0;
    [[nodiscard]] virtual Outcome run(const Bytes& packet, std::uint32_t ingress_ifindex) = 0;
    [[nodiscard]] virtual MapState maps() = 0;

    /// How many instructions the verifier walked; 0: not known.
    [[nodiscard]] virtual std::uint64_t verified_insns() const { return 0; }
};

using LoadedMachine = Result<std::unique_ptr<Machine>>;

/// Loads all programs of the object; run() means `program`. The error's message ends with what the
/// verifier said.
[[nodiscard]] LoadedMachine load_into_kernel(const std::string& path, const std::string& program);
[[nodiscard]] LoadedMachine load_into_crema(const std::string& path, const std::string& program);

/// Pins the process to one CPU, moves it into a network namespace of its own with three interfaces
/// (ifindex 1..kIfindexes), and says why bpf(2) cannot be used, if so. Call once, before
/// load_into_kernel.
[[nodiscard]] Status prepare_kernel();

/// Registers ports 0..kIfindexes-1 with Crema (ifindex = port id + 1); they refuse to send. Pins
/// the process as prepare_kernel does.
[[nodiscard]] Status prepare_crema();

inline constexpr std::uint32_t kIfindexes = 3;

// For implementations of Machine.

/// Maps of more entries are compared by this many.
inline constexpr std::size_t kEntriesCompared = 4096;

/// By the number in bpf(2): its values are one per CPU / are numbers of this machine's objects.
[[nodiscard]] bool has_percpu_values(std::uint32_t map_type);
[[nodiscard]] bool holds_objects(std::uint32_t map_type);
[[nodiscard]] std::uint32_t pin_to_one_cpu();
[[nodiscard]] std::string hex(const std::uint8_t* bytes, std::size_t n);
/// Adds one entry; `values` holds one value of `stride` bytes per CPU, or a single one.
void add_entry(MapState& state,
               const std::string& map,
               const Bytes& key,
               const Bytes& values,
               std::size_t value_bytes,
               bool is_per_cpu,
               std::uint32_t cpu);
/// "l2fwd.bss" -> ".bss"; other names unchanged.
[[nodiscard]] std::string canonical_map_name(const std::string& name);

}  // namespace crema::test
