// SPDX-License-Identifier: BSD-3-Clause
//
// The maps of random programs, in this process and in the kernel, with the same contents before
// each program, and what they hold after it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/program.h"
#include "tests/fuzz/stage_maps.h"

namespace crema::test::fuzz {

using Maps = std::vector<std::shared_ptr<ebpf::maps::Map>>;
using Contents = std::vector<std::uint8_t>;

inline constexpr std::size_t kInnerMaps = 2;

/// Bit n: map n is named by the program, or by one that it may tail-call.
[[nodiscard]] std::uint32_t maps_used(const ebpf::Program& program);

/// The calling thread stays on the CPU it is on; programs see its number.
[[nodiscard]] std::uint32_t stay_on_this_cpu();

/// Maps in this process.
class OurStage {
  public:
    explicit OurStage(std::uint32_t cpu);

    [[nodiscard]] const Maps& maps() const { return maps_; }

    /// The same maps, but what is tail-called is interpreted, so that a checked run checks it, too.
    [[nodiscard]] Maps maps_for_interpreter() const;

    [[nodiscard]] std::uint32_t cpu() const { return cpu_; }

    /// used: see maps_used(). The others are not touched.
    void reset(std::uint32_t used);
    /// Takes what lies in queues and ring buffer.
    [[nodiscard]] Contents contents(std::uint32_t used);

  private:
    std::uint32_t cpu_;
    Maps maps_;
    Maps inner_;  // what the maps of maps hold
    std::shared_ptr<ebpf::maps::Map> interpreted_programs_;
};

/// The same in the kernel. Arrays are mapped, so that most of a reset needs no system call.
class KernelStage {
  public:
    /// After the constants are written and frozen on both sides.
    explicit KernelStage(const OurStage& ours);
    ~KernelStage();
    KernelStage(const KernelStage&) = delete;
    KernelStage& operator=(const KernelStage&) = delete;

    [[nodiscard]] std::span<const int> fds() const { return fds_; }

    void reset(std::uint32_t used);
    [[nodiscard]] Contents contents(std::uint32_t used);

  private:
    void map_arrays();
    void map_ring();
    void put_programs();
    void read_ring(Contents* out);

    const OurStage& ours_;
    std::vector<int> fds_;
    std::array<int, kInnerMaps> inner_fds_{};
    std::vector<std::span<std::uint8_t>> mapped_;  // by map, then inner maps; empty: not mapped
    std::span<std::uint8_t> consumer_;             // of the ring buffer: position
    std::span<std::uint8_t> producer_;             // position, and data twice
};

}  // namespace crema::test::fuzz
