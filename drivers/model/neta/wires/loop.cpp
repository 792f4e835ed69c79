// SPDX-License-Identifier: BSD-3-Clause
//
// Wire "loop": a plug that joins the port's own TX and RX pairs.
#include <cerrno>

#include "drivers/model/neta/wires/frame_ring.h"

namespace crema::neta::model {
namespace {

class LoopWire final : public Wire {
  public:
    std::uint32_t receive(std::span<WireFrame> frames) override { return ring_.pull(frames); }

    void send(std::span<const WireFrame> frames) override {
        for (const WireFrame& frame : frames) {
            if (!ring_.push(frame)) {
                add(losses_.tx_full);
            }
        }
    }

    bool link() override { return true; }

    [[nodiscard]] std::string describe() const override { return "loop"; }

  private:
    FrameRing ring_;
};

}  // namespace

WireResult open_loop_wire(const std::string& args) {
    if (!args.empty()) {
        return fail(EINVAL, "wire=loop:{}: loop takes no arguments", args);
    }
    return std::unique_ptr<Wire>(std::make_unique<LoopWire>());
}

}  // namespace crema::neta::model
