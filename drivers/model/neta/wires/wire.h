// SPDX-License-Identifier: BSD-3-Clause
//
// A wire: what the modelled MAC is plugged into. One narrow interface, one file per kind. A wire
// runs in the engine's context, never blocks, and moves bursts; it counts what it loses.
// Frames are DA ... payload. The FCS is not part of `bytes`; a frame may carry it behind its data
// (`has_fcs`), otherwise it is right by definition and the receiving MAC fills it in.
// Does not: filter, count MIB, know registers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "drivers/model/neta/parse.h"
#include "lib/base/result.h"
#include "lib/neta/crc8.h"

namespace crema::neta::model {

/// Largest frame (without FCS) that any wire carries: the MAC's own limit.
inline constexpr std::uint32_t kWireFrameMax = 16382;

struct WireFrame {
    const std::uint8_t* data = nullptr;
    std::uint32_t bytes = 0;      // without FCS
    bool has_fcs = false;         // the 4 bytes behind `bytes` are the FCS as sent
    FrameFacts* facts = nullptr;  // where a wire that repeats frames keeps what was found out
};

/// Frames that a wire lost, by reason. Written by the engine, read by anybody.
struct WireLosses {
    std::atomic<std::uint64_t> tx_full{0};    // no room (queue, socket buffer), or nobody listens
    std::atomic<std::uint64_t> rx_size{0};    // larger than kWireFrameMax, or cut by the capture
    std::atomic<std::uint64_t> io_errors{0};  // the system refused for another reason
    std::atomic<std::uint64_t> stranded{0};   // waited unread when the wire was closed
};

class Wire {
  public:
    Wire() = default;
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;
    virtual ~Wire() = default;

    /// Frames for the port, up to frames.size(); the views hold until the next call.
    [[nodiscard]] virtual std::uint32_t receive(std::span<WireFrame> frames) = 0;

    /// Takes all frames: copies, writes or counts them as lost before it returns.
    virtual void send(std::span<const WireFrame> frames) = 0;

    /// Carrier. Called once per burst, so cheap; may lag by some milliseconds.
    [[nodiscard]] virtual bool link() = 0;

    /// True when the source waits for free descriptors instead of losing frames (a file, a
    /// generator without a rate).
    [[nodiscard]] virtual bool patient() const { return false; }

    /// A descriptor that is readable when receive() would find something; -1: ask to know.
    [[nodiscard]] virtual int wait_fd() const { return -1; }

    /// As in the device argument ("tap:neta0").
    [[nodiscard]] virtual std::string describe() const = 0;

    [[nodiscard]] const WireLosses& losses() const { return losses_; }

  protected:
    static void add(std::atomic<std::uint64_t>& counter, std::uint64_t n = 1) {
        counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }

    WireLosses losses_;
};

using WireResult = Result<std::unique_ptr<Wire>>;

/// Opens a wire. spec: "null", "loop", "pair:NAME", "gen[:KEY=VALUE...]", "pcap:IN[:OUT]",
/// "tap:IFNAME", "packet:IFNAME"; empty = null. mac: the port's address at power-on.
/// Errors: EINVAL unknown or malformed, ENOTSUP kinds of later versions, else what the wire says.
[[nodiscard]] WireResult open_wire(const std::string& spec, const MacAddress& mac);

// One opener per file; `args` is what follows the first colon.
[[nodiscard]] WireResult open_null_wire(const std::string& args);
[[nodiscard]] WireResult open_loop_wire(const std::string& args);
[[nodiscard]] WireResult open_pair_wire(const std::string& args);
[[nodiscard]] WireResult open_gen_wire(const std::string& args, const MacAddress& mac);
[[nodiscard]] WireResult open_pcap_wire(const std::string& args);
[[nodiscard]] WireResult open_tap_wire(const std::string& args);
[[nodiscard]] WireResult open_packet_wire(const std::string& args);

}  // namespace crema::neta::model
