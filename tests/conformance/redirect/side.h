// SPDX-License-Identifier: BSD-3-Clause
//
// Where the redirect cases are played: four ports with a far end each, the object orders.bpf.o, its
// program at port 0. Two sides, the kernel on veth pairs and Crema on NETA model ports, behind one
// face; a case does the same on both, and what can be seen of it must be the same text.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "tests/conformance/redirect/orders.h"

namespace crema::test::redirect {

inline constexpr std::uint32_t kPorts = 4;
inline constexpr std::uint32_t kCpus = 2;

using Bytes = std::vector<std::uint8_t>;

enum class Maps : std::uint8_t { devices, hashed_devices };

/// Names as tracepoints and counters of both sides are brought to. Zeroes are left out.
using Counts = std::map<std::string, std::uint64_t>;

/// Since the last look.
struct Sight {
    std::array<std::vector<Bytes>, kPorts> arrived;  // at the far end of a port, in order
    std::array<std::vector<Bytes>, kPorts> passed;   // to the host, by the port they came from
    Counts counts;
};

class Side {
  public:
    Side() = default;
    virtual ~Side() = default;
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;

    /// Of port 0; the others follow, then the far ends.
    [[nodiscard]] virtual std::uint32_t first_ifindex() const = 0;

    // Maps: 0 or a negative errno. program: name in the object, or empty.
    virtual int set_device(Maps map,
                           std::uint32_t key,
                           std::uint32_t ifindex,
                           const std::string& program) = 0;
    virtual int erase_device(Maps map, std::uint32_t key) = 0;
    virtual int set_cpu(std::uint32_t cpu, std::uint32_t frames, const std::string& program) = 0;
    virtual int erase_cpu(std::uint32_t cpu) = 0;
    [[nodiscard]] virtual bool has_device(Maps map, std::uint32_t key) = 0;

    virtual void set_up(std::uint32_t port, bool up) = 0;
    virtual void set_mtu(std::uint32_t port, std::uint32_t mtu) = 0;
    /// The port and its far end go, or come back.
    virtual void unplug(std::uint32_t port) = 0;
    virtual void plug(std::uint32_t port) = 0;

    /// Frames into port 0; none of those that a cpumap gets is looked at before the last is in.
    virtual void send(const std::vector<Bytes>& frames) = 0;

    /// Waits until nothing moves any more.
    [[nodiscard]] virtual Sight look() = 0;
};

using SideResult = Result<std::unique_ptr<Side>>;

/// Moves this thread into a network namespace of its own. Errors say what is missing on this
/// machine.
[[nodiscard]] SideResult make_kernel_side(const std::string& object);
/// Needs EAL.
[[nodiscard]] SideResult make_crema_side(const std::string& object);

}  // namespace crema::test::redirect
