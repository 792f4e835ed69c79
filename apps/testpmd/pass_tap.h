// SPDX-License-Identifier: BSD-3-Clause
//
// --pass tap:NAME: what a port's program passes goes to the network stack of the machine, and what
// the stack answers leaves by the port. The TAP device is an ethdev port of DPDK's net_tap, with
// the MAC address of the port, so the stack takes frames for that address as its own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "lib/base/result.h"

namespace crema::testpmd {

/// [PORT=]tap:NAME; without PORT: the first one.
struct PassSetting {
    std::optional<std::string> port;
    std::string interface;

    /// Errors: EINVAL.
    [[nodiscard]] static Result<PassSetting> parse(const std::string& text);
};

/// The TAP device of one port; goes with this, after its ethdev port was closed.
class PassTap {
  public:
    /// Errors: EPERM no right to make it, EEXIST there is such an interface, and what net_tap says.
    [[nodiscard]] static Result<std::unique_ptr<PassTap>> make(std::uint16_t for_port,
                                                               const std::string& interface);
    PassTap(const PassTap&) = delete;
    PassTap& operator=(const PassTap&) = delete;
    ~PassTap();

    [[nodiscard]] std::uint16_t for_port() const { return for_port_; }

    [[nodiscard]] std::uint16_t port_id() const { return port_id_; }

  private:
    PassTap(std::uint16_t for_port, std::string device)
        : for_port_(for_port), device_(std::move(device)) {}

    std::uint16_t for_port_;
    std::string device_;
    std::uint16_t port_id_ = 0;
};

}  // namespace crema::testpmd
