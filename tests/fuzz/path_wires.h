// SPDX-License-Identifier: BSD-3-Clause
//
// Two NETA ports on the device model, each joined by a wire to a far end in the same process, and
// whoever is at the far ends: one thread that sends numbered frames with random orders
// (tests/conformance/redirect/orders.h) as fast as they are taken, and looks at what comes back.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <rte_mempool.h>

#include "lib/base/result.h"
#include "lib/datapath/port.h"
#include "tests/fuzz/dice.h"

namespace crema::test::fuzz {

inline constexpr std::uint16_t kPathPorts = 2;
/// Frames that may wait on a wire; fewer than what overfills it, copies of broadcasts included.
inline constexpr std::uint64_t kPathWindow = 1536;

/// Ports 0 and 1; their far ends are ports 2 and 3. senders: lcores that send.
class PathWires {
  public:
    [[nodiscard]] static Result<std::unique_ptr<PathWires>> plug(std::span<const unsigned> senders);
    ~PathWires();
    PathWires(const PathWires&) = delete;
    PathWires& operator=(const PathWires&) = delete;

    [[nodiscard]] datapath::Port& port(std::uint16_t id) { return *ports_.at(id); }

    static std::uint16_t far_of(std::uint16_t port) {
        return static_cast<std::uint16_t>(kPathPorts + port);
    }

    /// All of them, far ends too: nothing is left in rings.
    void close();

    [[nodiscard]] rte_mempool* far_mbufs() const { return far_mbufs_; }

  private:
    PathWires() = default;

    std::array<std::unique_ptr<datapath::Port>, kPathPorts> ports_;
    rte_mempool* far_mbufs_ = nullptr;
};

/// What a port has taken from its wire, in whatever state.
[[nodiscard]] std::uint64_t taken_from_wire(std::uint16_t port);

class FarEnds {
  public:
    FarEnds(PathWires& wires, std::uint64_t seed, std::uint64_t frames)
        : wires_(wires), to_send_(frames), dice_(seed) {}

    /// Until everything was sent, and afterwards until `stop`, it receives. One thread.
    void run(const std::atomic<bool>& stop);

    /// No frame goes to the port while it is held; returns when that is so and all that was sent
    /// before has been taken from the wire. The port's worker polls. ETIMEDOUT: some of it is lost.
    [[nodiscard]] Status hold(std::uint16_t port);

    void release(std::uint16_t port) { held_.at(port).store(false); }

    [[nodiscard]] bool all_sent() const { return all_sent_.load(); }

    [[nodiscard]] std::uint64_t sent(std::uint16_t port) const { return ends_.at(port).sent; }

    [[nodiscard]] std::uint64_t arrived(std::uint16_t port) const { return ends_.at(port).arrived; }

    /// Frames that were not what anybody has sent.
    [[nodiscard]] std::uint64_t strange() const { return strange_; }

  private:
    struct alignas(64) End {
        std::atomic<std::uint64_t> sent{0};
        std::atomic<std::uint64_t> arrived{0};
        std::uint64_t taken_at_least = 0;
    };

    void send_burst(std::uint16_t port);
    std::uint32_t receive(std::uint16_t port);
    [[nodiscard]] bool is_ours(const rte_mbuf* mbuf) const;
    void fill(rte_mbuf* mbuf, std::uint32_t number);

    std::array<End, kPathPorts> ends_;
    PathWires& wires_;
    std::uint64_t to_send_;
    std::uint64_t strange_ = 0;
    Dice dice_;
    std::array<std::atomic<bool>, kPathPorts> held_{};
    std::array<std::atomic<bool>, kPathPorts> is_held_{};
    std::atomic<bool> all_sent_{false};
};

}  // namespace crema::test::fuzz
