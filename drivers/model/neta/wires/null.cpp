// SPDX-License-Identifier: BSD-3-Clause
//
// Wire "null": nothing comes in, what goes out is gone (the port's MIB has counted it). The link
// is up. For start-up tests and for measuring transmission alone.
#include <cerrno>

#include "drivers/model/neta/wires/wire.h"

namespace crema::neta::model {
namespace {

class NullWire final : public Wire {
  public:
    std::uint32_t receive(std::span<WireFrame> /*frames*/) override { return 0; }

    void send(std::span<const WireFrame> /*frames*/) override {}

    bool link() override { return true; }

    [[nodiscard]] std::string describe() const override { return "null"; }
};

}  // namespace

WireResult open_null_wire(const std::string& args) {
    if (!args.empty()) {
        return fail(EINVAL, "wire=null:{}: null takes no arguments", args);
    }
    return std::unique_ptr<Wire>(std::make_unique<NullWire>());
}

}  // namespace crema::neta::model
