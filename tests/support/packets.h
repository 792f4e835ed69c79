// SPDX-License-Identifier: BSD-3-Clause
//
// Packets for tests: a fixed set that names every shape a parser can stumble over, and a seeded
// generator of random ones. Both are code, so they are the same bytes on every machine; names are
// keys into the recorded results. Lengths are without FCS.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace crema::test {

using Bytes = std::vector<std::uint8_t>;

struct Packet {
    std::string name;
    Bytes bytes;
};

/// Longest packet that fits the linear part of a test run.
inline constexpr std::size_t kLinearMax = 3520;

/// Valid, truncated, tagged, fragmented, malformed and padded frames; 13 to kLinearMax bytes.
[[nodiscard]] std::vector<Packet> fixed_packets();

/// Longer than one page holds: the kernel makes fragments of the first ones and refuses the last.
[[nodiscard]] std::vector<Packet> oversized_packets();

/// Requests that the program `object` ("oracle_redirect", ...) reads from its packet; empty for
/// programs that take any traffic.
[[nodiscard]] std::vector<Packet> request_packets(const std::string& object);

/// Random packets: some are fixed ones with a few bytes, fields or the length changed, some are
/// noise behind a plausible header. The same seed gives the same sequence everywhere.
class PacketGenerator {
  public:
    explicit PacketGenerator(std::uint64_t seed);
    [[nodiscard]] Bytes next();

  private:
    // std::mt19937_64 is specified bit for bit; the standard's distributions are not.
    std::uint32_t below(std::uint32_t bound);
    std::uint64_t interesting_number();
    void mutate(Bytes& packet);

    std::mt19937_64 random_;
    std::vector<Packet> templates_;
};

/// 64-bit FNV-1a: names an input in the recorded results.
[[nodiscard]] std::uint64_t digest(const Bytes& bytes);

}  // namespace crema::test
