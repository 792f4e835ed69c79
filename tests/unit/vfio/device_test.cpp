// SPDX-License-Identifier: BSD-3-Clause
//
// vfio::open: models by name, and one clear line for everything that cannot be opened.
#include "lib/vfio/device.h"

#include <cerrno>
#include <gtest/gtest.h>

namespace crema::vfio {
namespace {

class FakeDevice final : public Device {
  public:
    FakeDevice(DmaSpace& dma, ModelArgs args) : args_(std::move(args)) { dma_ = &dma; }

    [[nodiscard]] std::string describe() const override { return "fake " + args_.wire; }

  private:
    ModelArgs args_;
};

Result<std::unique_ptr<Device>> make_fake(DmaSpace& dma, const ModelArgs& args) {
    return std::unique_ptr<Device>(std::make_unique<FakeDevice>(dma, args));
}

Error open_error(const std::string& spec) {
    const auto device = open(spec, "fake", {});
    EXPECT_FALSE(device.has_value()) << spec;
    return device ? Error{} : device.error();
}

TEST(VfioOpen, FindsTheRegisteredModel) {
    EXPECT_EQ(open("model", "unheard-of", {}).error().code, ENODEV);
    register_model("fake", make_fake);
    const auto device = open("model", "fake", {.instance = "net_fake0", .wire = "loop"});
    ASSERT_TRUE(device.has_value()) << device.error().message;
    EXPECT_EQ((*device)->describe(), "fake loop");
    EXPECT_EQ(&(*device)->dma(), &process_dma_space());
    EXPECT_TRUE((*device)->coherent());
}

TEST(VfioOpen, RefusesOtherTransportsByName) {
    EXPECT_EQ(open_error("user:/no/such/socket").code, ENOENT);
    EXPECT_NE(open_error("user:/no/such/socket").message.find("crema-neta-model"),
              std::string::npos);
    EXPECT_EQ(open("user:/no/such/socket", "fake", {.wire = "loop"}).error().code, EINVAL);
    EXPECT_EQ(open_error("platform:no-such.ethernet").code, ENODEV);
    EXPECT_EQ(open_error("pci:ffff:ff:1f.7").code, ENODEV);
    EXPECT_NE(open_error("platform:no-such.ethernet").message.find("no-such.ethernet"),
              std::string::npos);
}

TEST(VfioOpen, RefusesNonsense) {
    for (const char* spec : {"", "modelx", "user", "user:", "platform:", "platform:../../etc",
                             "pci:a/b", "usb:1", ":"}) {
        EXPECT_EQ(open_error(spec).code, EINVAL) << spec;
        EXPECT_EQ(open_error(spec).message.find('\n'), std::string::npos) << spec;
    }
}

}  // namespace
}  // namespace crema::vfio
