// SPDX-License-Identifier: BSD-3-Clause
//
// veth pairs in a network namespace of the calling thread's own, for tests and benchmarks beside
// the kernel's native XDP. Pair i is "near<i>" with ifindex first + i, and its far end "far<i>"
// with first + kVethPairsMax + i. Both ends are up. Nothing of the host's own traffic is on them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"

namespace crema::test {

inline constexpr std::uint32_t kVethPairsMax = 4;

class Veths {
  public:
    /// Moves the calling thread, and those that it starts later, into a new namespace.
    /// Errors say what this machine lacks.
    [[nodiscard]] static Result<std::unique_ptr<Veths>> make(std::uint32_t first_ifindex,
                                                             std::uint32_t pairs,
                                                             std::uint32_t mtu = 1500);

    [[nodiscard]] std::uint32_t near_ifindex(std::uint32_t pair) const { return first_ + pair; }

    [[nodiscard]] std::uint32_t far_ifindex(std::uint32_t pair) const {
        return first_ + kVethPairsMax + pair;
    }

    [[nodiscard]] Status add(std::uint32_t pair, std::uint32_t mtu) const;
    [[nodiscard]] Status remove(std::uint32_t pair) const;
    /// Of the near end.
    [[nodiscard]] Status set_up(std::uint32_t pair, bool up) const;
    [[nodiscard]] Status set_mtu(std::uint32_t pair, std::uint32_t mtu) const;

  private:
    explicit Veths(std::uint32_t first) : first_(first) {}

    std::uint32_t first_;
};

/// A raw socket on one interface: what comes in there, and what shall go out. Frames that the
/// machine itself sends through the interface are not heard.
class PacketSocket {
  public:
    [[nodiscard]] static Result<PacketSocket> open(std::uint32_t ifindex);

    [[nodiscard]] Status send(const std::vector<std::uint8_t>& frame) const;
    /// Nothing there: no value. Does not wait.
    [[nodiscard]] std::optional<std::vector<std::uint8_t>> receive() const;

    [[nodiscard]] int fd() const { return fd_.get(); }

  private:
    explicit PacketSocket(UniqueFd fd) : fd_(std::move(fd)) {}

    UniqueFd fd_;
};

/// The driver's own counters, as `ethtool -S` has them, that are not zero.
[[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> ethtool_counters(
    const std::string& interface);

}  // namespace crema::test
