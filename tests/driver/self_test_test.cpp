// SPDX-License-Identifier: BSD-3-Clause
//
// The self-test of `crema neta probe`, on the model behind a device that breaks in one way each:
// every step must see what it is there for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vector>

#include "apps/crema/neta_self_test.h"
#include "lib/neta/descriptors.h"

namespace crema {
namespace {

using command::Step;
using testing::HasSubstr;

/// The model, or what is wrong with it.
class BreakingDevice final : public vfio::Device {
  public:
    enum class Fault : std::uint8_t {
        none,
        absent,         // no device answers
        unclocked,      // all registers are 0
        forgetful,      // a register loses a bit
        lossy,          // of many frames some do not come back
        corrupting,     // a byte of a frame changes on its way
        lying,          // a descriptor names a length that cannot be
        silent,         // no interrupt comes
        restless,       // interrupts come without a cause
        stuck_in_reset  // the MAC does not leave it
    };

    explicit BreakingDevice(Fault fault) : fault_(fault) {
        auto model = vfio::open("model", "neta", {.instance = "probe"});
        EXPECT_TRUE(model.has_value()) << model.error().message;
        model_ = std::move(*model);
        registers_ = vfio::registers_by_calls(*this);
        dma_ = &model_->dma();
    }

    [[nodiscard]] std::string describe() const override { return "breaking"; }

    std::uint32_t read(std::uint32_t offset) {
        const std::uint32_t value = model_->registers().read(offset);
        switch (fault_) {
            case Fault::absent:
                return 0xffffffff;
            case Fault::unclocked:
                return 0;
            case Fault::stuck_in_reset:
                return offset == neta::kGmacCtrl2 ? value | neta::kGmacCtrl2PortReset : value;
            case Fault::lossy:
                return offset == neta::rxq_status(0)
                           ? neta::kRxqStatusOccupied.set(value,
                                                          neta::kRxqStatusOccupied.get(value) & ~1U)
                           : value;
            case Fault::corrupting:
            case Fault::lying:
                if (offset == neta::rxq_status(0) && neta::kRxqStatusOccupied.get(value) > 4) {
                    spoil();
                }
                return value;
            default:
                return value;
        }
    }

    void write(std::uint32_t offset, std::uint32_t value) {
        if (fault_ == Fault::forgetful && offset == neta::kVlanPrioToRxq) {
            value &= ~0x00040000U;
        }
        if (fault_ == Fault::lossy && offset == neta::txq_update(0) &&
            neta::kTxqUpdateAddPending.get(value) > 2) {
            value =
                neta::kTxqUpdateAddPending.set(value, neta::kTxqUpdateAddPending.get(value) - 1);
        }
        model_->registers().write(offset, value);
    }

    Result<int> enable_interrupt() override {
        if (fault_ != Fault::silent && fault_ != Fault::restless) {
            return fail(ENOTSUP, "no interrupts here");
        }
        event_ = ::eventfd(0, EFD_NONBLOCK);
        wake();
        return event_;
    }

    void rearm_interrupt() override { wake(); }

    void disable_interrupt() override { ::close(event_); }

  private:
    void wake() const {
        const std::uint64_t one = 1;
        if (fault_ == Fault::restless) {
            EXPECT_EQ(::write(event_, &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
        }
    }

    /// What is in the third descriptor of the ring.
    void spoil() {
        const std::uint32_t ring = model_->registers().read(neta::rxq_base(0));
        auto* descriptor = reinterpret_cast<neta::RxDescriptor*>(
            dma_->va_of(ring + 2 * neta::kDescriptorBytes, neta::kDescriptorBytes));
        ASSERT_NE(descriptor, nullptr);
        if (fault_ == Fault::lying) {
            descriptor->data_size = 0xffff;
        } else if (!spoiled_) {
            *dma_->va_of(descriptor->buf_addr + 40, 1) ^= 1U;
            spoiled_ = true;
        }
    }

    Fault fault_;
    std::unique_ptr<vfio::Device> model_;
    int event_ = -1;
    bool spoiled_ = false;
};

using Fault = BreakingDevice::Fault;

std::vector<Step> steps_of(Fault fault) {
    BreakingDevice device(fault);
    const std::uint32_t ranges = device.dma().ranges();
    std::size_t told = 0;
    auto steps = command::run_self_test(device, {.frames = 128, .rounds = 16},
                                        [&told](const Step&) { ++told; });
    EXPECT_EQ(told, steps.size());
    EXPECT_EQ(device.dma().ranges(), ranges) << "memory stayed mapped for the device";
    return steps;
}

/// The one step that failed; empty when none or several did.
Step only_failure(const std::vector<Step>& steps) {
    Step found;
    unsigned failures = 0;
    for (const Step& step : steps) {
        if (step.how == Step::How::failed) {
            found = step;
            ++failures;
        }
    }
    return failures == 1 ? found : Step{};
}

TEST(SelfTest, GoodDevicePassesEveryStep) {
    const auto steps = steps_of(Fault::none);
    std::vector<std::string> names;
    for (const Step& step : steps) {
        EXPECT_NE(step.how, Step::How::failed) << step.name << ": " << step.what;
        names.push_back(step.name);
    }
    EXPECT_THAT(names,
                testing::ElementsAre("identity", "link", "phys", "loopback", "transmit cache",
                                     "receive cache", "interrupt", "registers"));
}

TEST(SelfTest, EachFaultIsSeenByItsStep) {
    const struct {
        Fault fault;
        const char* step;
        const char* says;
    } cases[] = {
        {Fault::absent, "identity", "nothing answers"},
        {Fault::unclocked, "identity", "clock is off"},
        {Fault::forgetful, "registers", "VLAN_PRIO_TO_RXQ at 2440: 00555555 was written"},
        {Fault::lossy, "loopback", "of 32 frames came back"},
        {Fault::corrupting, "loopback", "came back changed at byte 38"},
        {Fault::lying, "loopback", "says that a frame has 65535 bytes"},
        {Fault::silent, "interrupt", "burst 0 raised none"},
        {Fault::restless, "interrupt", "without a cause"},
        {Fault::stuck_in_reset, "memory", "does not leave its reset"},
    };

    for (const auto& one : cases) {
        const auto steps = steps_of(one.fault);
        const Step failure = only_failure(steps);
        EXPECT_EQ(failure.name, one.step) << one.says;
        EXPECT_THAT(failure.what, HasSubstr(one.says));
    }
}

}  // namespace
}  // namespace crema
