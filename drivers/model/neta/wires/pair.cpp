// SPDX-License-Identifier: BSD-3-Clause
//
// Wire "pair:NAME": a cable between two ports of this process. The first user of a name waits
// with the link down, the second joins it, a third is refused. A port that leaves frees its end;
// what was on its way to it is counted as stranded.
#include <algorithm>
#include <cerrno>
#include <mutex>
#include <vector>

#include "drivers/model/neta/wires/frame_ring.h"
#include "lib/base/log.h"

namespace crema::neta::model {
namespace {

struct Cable {
    explicit Cable(std::string cable_name) : name(std::move(cable_name)) {}

    std::array<FrameRing, 2> toward;  // toward[end]: frames for the port at that end
    std::string name;
    std::array<std::atomic<bool>, 2> plugged{};
};

// Cables by name; lives as long as any wire on them.
struct Cables {
    std::mutex lock;
    std::vector<std::weak_ptr<Cable>> all;
};

Cables& cables() {
    static Cables known;
    return known;
}

class PairWire final : public Wire {
  public:
    PairWire(std::shared_ptr<Cable> cable, unsigned end) : cable_(std::move(cable)), end_(end) {}

    ~PairWire() override {
        const std::scoped_lock lock(cables().lock);
        cable_->plugged[end_].store(false, std::memory_order_release);
        const auto waiting = cable_->toward[end_].drain();
        add(losses_.stranded, waiting);
        if (waiting != 0) {
            log::notice("wire pair:{}: {} frames were still on their way to the closed end",
                        cable_->name, waiting);
        }
    }

    PairWire(const PairWire&) = delete;
    PairWire& operator=(const PairWire&) = delete;

    std::uint32_t receive(std::span<WireFrame> frames) override {
        return cable_->toward[end_].pull(frames);
    }

    void send(std::span<const WireFrame> frames) override {
        if (!link()) {
            add(losses_.tx_full, frames.size());
            return;
        }
        FrameRing& peer = cable_->toward[1 - end_];
        for (const WireFrame& frame : frames) {
            if (!peer.push(frame)) {
                add(losses_.tx_full);
            }
        }
    }

    bool link() override { return cable_->plugged[1 - end_].load(std::memory_order_acquire); }

    [[nodiscard]] std::string describe() const override { return "pair:" + cable_->name; }

  private:
    std::shared_ptr<Cable> cable_;
    unsigned end_;
};

}  // namespace

WireResult open_pair_wire(const std::string& args) {
    if (args.empty() || args.find(':') != std::string::npos) {
        return fail(EINVAL, "wire=pair:{}: want pair:NAME", args);
    }
    Cables& known = cables();
    const std::scoped_lock lock(known.lock);
    std::erase_if(known.all, [](const auto& cable) { return cable.expired(); });
    std::shared_ptr<Cable> cable;
    for (const auto& candidate : known.all) {
        auto alive = candidate.lock();
        if (alive != nullptr && alive->name == args) {
            cable = std::move(alive);
        }
    }
    if (cable == nullptr) {
        cable = std::make_shared<Cable>(args);
        known.all.push_back(cable);
    }
    for (unsigned end = 0; end < 2; ++end) {
        if (!cable->plugged[end].load(std::memory_order_relaxed)) {
            // An end that was left may hold frames sent to it while it was being closed.
            (void)cable->toward[end].drain();
            cable->plugged[end].store(true, std::memory_order_release);
            return std::unique_ptr<Wire>(std::make_unique<PairWire>(cable, end));
        }
    }
    return fail(EBUSY, "wire=pair:{}: both ends are in use already; choose another name", args);
}

}  // namespace crema::neta::model
