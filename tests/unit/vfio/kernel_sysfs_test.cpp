// SPDX-License-Identifier: BSD-3-Clause
//
// Which devices kernel VFIO can drive, and what is said of the others: on trees of files like those
// of the kernel. What the kernel itself does is tried in guests (tests/guest).
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

#include "lib/vfio/kernel/sysfs.h"

namespace crema::vfio::kernel {
namespace {

namespace fs = std::filesystem;

class KernelSysfs : public testing::Test {
  protected:
    void SetUp() override {
        fs::create_directories(device());
        fs::create_directories(fs::path(roots_.dev) / "vfio");
        node("vfio");
        node("7");
        link("driver", "../../../bus/platform/drivers/vfio-platform");
        link("iommu_group", "../../../kernel/iommu_groups/7");
    }

    void TearDown() override { fs::remove_all(root_); }

    [[nodiscard]] fs::path device() const {
        return fs::path(roots_.sys) / "bus/platform/devices/d0030000.ethernet";
    }

    void node(const std::string& name) const { std::ofstream(roots_.dev + "/vfio/" + name) << ""; }

    void link(const std::string& name, const std::string& target) const {
        fs::remove(device() / name);
        fs::create_symlink(target, device() / name);
    }

    [[nodiscard]] Result<Place> find(const std::string& name = "d0030000.ethernet") const {
        return find_device(Bus::platform, name, args_, roots_);
    }

    /// What a kernel with nodes of devices has.
    void give_node() const {
        fs::create_directories(device() / "vfio-dev" / "vfio3");
        fs::create_directories(fs::path(roots_.dev) / "vfio" / "devices");
        node("devices/vfio3");
        std::ofstream(roots_.dev + "/iommu") << "";
    }

    void expect_error(int code, const std::string& words) const {
        const auto place = find();
        ASSERT_FALSE(place);
        EXPECT_EQ(place.error().code, code);
        EXPECT_NE(place.error().message.find(words), std::string::npos) << place.error().message;
    }

    fs::path root_ = fs::temp_directory_path() / ("crema-sysfs-" + std::to_string(::getpid()));
    KernelArgs args_;
    Roots roots_{.sys = (root_ / "sys").string(), .dev = (root_ / "dev").string()};
};

TEST_F(KernelSysfs, FindsTheGroupOfADevice) {
    const auto place = find();
    ASSERT_TRUE(place) << place.error().message;
    EXPECT_EQ(place->node, roots_.dev + "/vfio/7");
    EXPECT_TRUE(place->iommu);
    EXPECT_FALSE(place->iommufd);
    EXPECT_EQ(place->spec(), "platform:d0030000.ethernet");
}

TEST_F(KernelSysfs, CoherentIsWhatTheDeviceTreeSays) {
    EXPECT_TRUE(find()->coherent) << "no device tree";
    fs::create_directories(device() / "of_node");
    EXPECT_FALSE(find()->coherent);
    std::ofstream(device() / "of_node" / "dma-coherent") << "";
    EXPECT_TRUE(find()->coherent);
}

TEST_F(KernelSysfs, NamesLeadNowhereElse) {
    for (const char* name : {"", ".", "..", "../devices", "a/b"}) {
        const auto place = find(name);
        ASSERT_FALSE(place) << name;
        EXPECT_EQ(place.error().code, EINVAL);
    }
}

TEST_F(KernelSysfs, SaysWhichDriverHasTheDeviceAndWhatToDo) {
    link("driver", "../../../bus/platform/drivers/mvneta");
    expect_error(ENODEV, "driver mvneta has it: write vfio-platform to ");
    fs::remove(device() / "driver");
    expect_error(ENODEV, "no driver has it");
}

TEST_F(KernelSysfs, SaysWhatIsMissing) {
    fs::remove(fs::path(roots_.dev) / "vfio/7");
    expect_error(ENODEV, "vfio/7 does not exist");
    fs::remove(device() / "iommu_group");
    expect_error(ENODEV, "no IOMMU group");
    fs::remove(fs::path(roots_.dev) / "vfio/vfio");
    expect_error(ENODEV, "this kernel has no VFIO");
    fs::remove_all(device());
    expect_error(ENODEV, "no such device");
}

TEST_F(KernelSysfs, AGroupWithoutIommuMustBeAllowed) {
    fs::remove(fs::path(roots_.dev) / "vfio/7");
    node("noiommu-7");
    expect_error(ENOTSUP, "allow-noiommu=1");
    args_.allow_noiommu = true;
    const auto place = find();
    ASSERT_TRUE(place) << place.error().message;
    EXPECT_EQ(place->node, roots_.dev + "/vfio/noiommu-7");
    EXPECT_FALSE(place->iommu);
}

TEST_F(KernelSysfs, TheNodeOfTheDeviceIsTakenWithoutGroupsOrOnDemand) {
    args_.interface = "iommufd";
    expect_error(ENODEV, "vfio=iommufd");
    give_node();
    const auto asked = find();
    ASSERT_TRUE(asked) << asked.error().message;
    EXPECT_TRUE(asked->iommufd);
    EXPECT_EQ(asked->node, roots_.dev + "/vfio/devices/vfio3");
    args_.interface = "";
    EXPECT_FALSE(find()->iommufd) << "groups come first";
    fs::remove(fs::path(roots_.dev) / "vfio/7");
    EXPECT_TRUE(find()->iommufd);
    fs::remove(fs::path(roots_.dev) / "vfio/vfio");
    EXPECT_TRUE(find()->iommufd) << "a kernel without groups has no containers";
    args_.interface = "group";
    expect_error(ENODEV, "vfio/7 does not exist");
    args_.interface = "rings";
    expect_error(EINVAL, "want group or iommufd");
    args_.interface = "iommufd";
    fs::remove(roots_.dev + "/iommu");
    expect_error(ENODEV, "has no");
}

}  // namespace
}  // namespace crema::vfio::kernel
