// SPDX-License-Identifier: BSD-3-Clause
//
// Runs a random program once on a fixed packet with zeroed maps and collects everything it leaves:
// result, packet, map values.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <vector>

#include "lib/ebpf/abi/xdp_buff.h"
#include "tests/support/random_program.h"

namespace crema::test {

struct BenchOutcome {
    std::uint64_t r0 = 0;
    std::array<std::uint8_t, kRandomPacketBytes> packet{};
    std::vector<std::uint8_t> values;  // array, then the per-CPU array of `cpu`

    friend bool operator==(const BenchOutcome&, const BenchOutcome&) = default;
};

class RandomBench {
  public:
    /// cpu: which one the programs believe to run on.
    explicit RandomBench(std::uint32_t cpu);

    [[nodiscard]] const RandomMaps& maps() const { return maps_; }

    void fill_packet(std::mt19937_64& random);

    [[nodiscard]] std::span<const std::uint8_t> packet() const { return packet_; }

    /// run: executes on the context it gets and returns r0.
    [[nodiscard]] BenchOutcome outcome(const std::function<std::uint64_t(ebpf::XdpBuff&)>& run);

  private:
    [[nodiscard]] std::array<std::span<std::uint8_t>, 2> value_memory() const;

    RandomMaps maps_;
    std::uint32_t cpu_;
    std::vector<std::uint8_t> page_;
    std::array<std::uint8_t, kRandomPacketBytes> packet_{};
};

}  // namespace crema::test
