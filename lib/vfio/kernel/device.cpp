// SPDX-License-Identifier: BSD-3-Clause
#include "lib/vfio/kernel/device.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "lib/base/log.h"
#include "lib/vfio/kernel/container.h"
#include "lib/vfio/kernel/guardian.h"
#include "lib/vfio/kernel/iommufd.h"

namespace crema::vfio::kernel {
namespace {

constexpr std::uint32_t kRegisterRegion = 0;         // of a platform device, and BAR 0
constexpr std::uint32_t kLineIrq = 0;                // of a platform device, and INTx
constexpr std::uint64_t kRegisterBytesMin = 0x4000;  // a NETA port's

class KernelDevice final : public Device, public DmaListener {
  public:
    KernelDevice(Place place, Opened opened)
        : place_(std::move(place)),
          mapper_(std::move(opened.mapper)),
          device_(std::move(opened.device)) {
        coherent_ = place_.coherent;
        registers_ = registers_by_calls(*this);
    }

    ~KernelDevice() override {
        if (dma_ != nullptr) {
            dma_->detach(*this);
        }
        disable_interrupt();
        guardian_.reset();
        reset();
        if (registers_.mapped != nullptr) {
            ::munmap(const_cast<std::uint32_t*>(registers_.mapped), region_bytes_);
        }
        // With its descriptors the kernel unmaps all memory.
    }

    KernelDevice(const KernelDevice&) = delete;
    KernelDevice& operator=(const KernelDevice&) = delete;

    /// Finds out what it is, resets it, and maps its registers.
    [[nodiscard]] Status introduce();

    [[nodiscard]] Status share(DmaSpace& space) {
        if (auto attached = space.attach(*this); !attached) {
            return attached;
        }
        dma_ = &space;
        return {};
    }

    [[nodiscard]] std::string describe() const override {
        return "kernel VFIO " + place_.spec() + ", " + mapper_->name() +
               (registers_.mapped != nullptr ? "" : ", registers by system calls");
    }

    [[nodiscard]] Result<int> enable_interrupt() override;
    void rearm_interrupt() override;
    void disable_interrupt() override;
    [[nodiscard]] Status stop_at_death(std::span<const RegisterWrite> writes) override;

    [[nodiscard]] std::vector<DmaHole> holes() const override {
        return holes_between(mapper_->usable());
    }

    [[nodiscard]] Result<std::vector<DmaPiece>> places(void* va, std::size_t bytes) const override;
    [[nodiscard]] Status range_added(const DmaReach::Window& window,
                                     std::span<const DmaBacking> backing) override;
    void range_removed(const DmaReach::Window& window) override;

    [[nodiscard]] std::uint32_t read(std::uint32_t offset) const {
        std::uint32_t value = 0;
        const auto at = static_cast<off_t>(region_offset_ + offset);
        return ::pread(device_.get(), &value, sizeof(value), at) == sizeof(value) ? value : 0;
    }

    void write(std::uint32_t offset, std::uint32_t value) const {
        const auto at = static_cast<off_t>(region_offset_ + offset);
        if (::pwrite(device_.get(), &value, sizeof(value), at) != sizeof(value)) {
            log::error("device={}: a register write failed: {}", place_.spec(),
                       std::strerror(errno));
        }
    }

  private:
    [[nodiscard]] Status ask_region(std::uint32_t index, vfio_region_info& region) const;
    [[nodiscard]] Status become_master() const;
    void reset() const;
    [[nodiscard]] bool set_irqs(std::uint32_t flags, std::uint32_t count, int fd) const;

    [[nodiscard]] tl::unexpected<Error> failed(const char* what) const {
        const int code = errno;
        return fail(code, "device={}: {}: {}", place_.spec(), what, std::strerror(code));
    }

    Place place_;
    std::unique_ptr<Mapper> mapper_;
    UniqueFd device_;
    std::uint32_t flags_ = 0;
    std::uint64_t region_offset_ = 0;
    std::uint64_t region_bytes_ = 0;
    UniqueFd interrupt_;
    std::optional<Guardian> guardian_;
};

Status KernelDevice::ask_region(std::uint32_t index, vfio_region_info& region) const {
    region = {};
    region.argsz = sizeof(region);
    region.index = index;
    if (::ioctl(device_.get(), VFIO_DEVICE_GET_REGION_INFO, &region) != 0) {
        return failed("VFIO_DEVICE_GET_REGION_INFO");
    }
    return {};
}

Status KernelDevice::introduce() {
    vfio_device_info info{};
    info.argsz = sizeof(info);
    if (::ioctl(device_.get(), VFIO_DEVICE_GET_INFO, &info) != 0) {
        return failed("VFIO_DEVICE_GET_INFO");
    }
    flags_ = info.flags;
    reset();
    if (place_.bus == Bus::pci) {
        if (auto master = become_master(); !master) {
            return master;
        }
    }
    vfio_region_info region;
    if (auto told = ask_region(kRegisterRegion, region); !told) {
        return told;
    }
    constexpr std::uint32_t kNeeded = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
    if ((region.flags & kNeeded) != kNeeded || region.size < kRegisterBytesMin) {
        return fail(ENOTSUP, "device={}: has no {} bytes of registers to be read and written",
                    place_.spec(), kRegisterBytesMin);
    }
    region_offset_ = region.offset;
    region_bytes_ = region.size;
    if ((region.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0) {
        void* const mapped = ::mmap(nullptr, region.size, PROT_READ | PROT_WRITE, MAP_SHARED,
                                    device_.get(), static_cast<off_t>(region.offset));
        if (mapped == MAP_FAILED) {
            return failed("cannot map its registers");
        }
        registers_.mapped = static_cast<volatile std::uint32_t*>(mapped);
    }
    return {};
}

/// A PCI function may use the bus only when its command register says so.
Status KernelDevice::become_master() const {
    vfio_region_info config;
    if (auto told = ask_region(VFIO_PCI_CONFIG_REGION_INDEX, config); !told) {
        return told;
    }
    const auto at = static_cast<off_t>(config.offset + PCI_COMMAND);
    std::uint16_t command = 0;
    if (::pread(device_.get(), &command, sizeof(command), at) != sizeof(command)) {
        return failed("cannot read its PCI command register");
    }
    command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    if (::pwrite(device_.get(), &command, sizeof(command), at) != sizeof(command)) {
        return failed("cannot write its PCI command register");
    }
    return {};
}

void KernelDevice::reset() const {
    if ((flags_ & VFIO_DEVICE_FLAGS_RESET) != 0 && ::ioctl(device_.get(), VFIO_DEVICE_RESET) != 0) {
        log::warning("device={}: cannot be reset: {}", place_.spec(), std::strerror(errno));
    }
}

bool KernelDevice::set_irqs(std::uint32_t flags, std::uint32_t count, int fd) const {
    std::array<std::uint8_t, sizeof(vfio_irq_set) + sizeof(fd)> bytes{};
    vfio_irq_set set{};
    set.argsz = sizeof(vfio_irq_set) + (fd >= 0 ? sizeof(fd) : 0);
    set.flags = flags;
    set.index = kLineIrq;
    set.count = count;
    std::memcpy(bytes.data(), &set, sizeof(set));
    std::memcpy(bytes.data() + sizeof(set), &fd, sizeof(fd));
    return ::ioctl(device_.get(), VFIO_DEVICE_SET_IRQS, bytes.data()) == 0;
}

Result<int> KernelDevice::enable_interrupt() {
    if (interrupt_.valid()) {
        return interrupt_.get();
    }
    vfio_irq_info irq{};
    irq.argsz = sizeof(irq);
    irq.index = kLineIrq;
    if (::ioctl(device_.get(), VFIO_DEVICE_GET_IRQ_INFO, &irq) != 0) {
        return failed("VFIO_DEVICE_GET_IRQ_INFO");
    }
    if (irq.count == 0 || (irq.flags & VFIO_IRQ_INFO_EVENTFD) == 0) {
        return fail(ENOTSUP, "device={}: has no interrupt", place_.spec());
    }
    UniqueFd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!event.valid()) {
        return failed("no eventfd");
    }
    if (!set_irqs(VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, 1, event.get())) {
        return failed("VFIO_DEVICE_SET_IRQS");
    }
    interrupt_ = std::move(event);
    return interrupt_.get();
}

void KernelDevice::rearm_interrupt() {
    if (interrupt_.valid() &&
        !set_irqs(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, 1, -1)) {
        log::warning("device={}: its interrupt stays masked: {}", place_.spec(),
                     std::strerror(errno));
    }
}

void KernelDevice::disable_interrupt() {
    if (interrupt_.valid()) {
        static_cast<void>(set_irqs(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 0, -1));
        interrupt_.reset();
    }
}

Status KernelDevice::stop_at_death(std::span<const RegisterWrite> writes) {
    if (mapper_->protects()) {
        return {};
    }
    guardian_.reset();
    auto guardian = Guardian::start(device_.get(), region_offset_, writes);
    if (!guardian) {
        return fail(guardian.error().code, "device={}: {}", place_.spec(),
                    guardian.error().message);
    }
    guardian_.emplace(std::move(*guardian));
    return {};
}

Result<std::vector<DmaPiece>> KernelDevice::places(void* va, std::size_t bytes) const {
    auto pieces = mapper_->places(va, bytes);
    if (!pieces) {
        return fail(pieces.error().code, "device={}: {}", place_.spec(), pieces.error().message);
    }
    return pieces;
}

Status KernelDevice::range_added(const DmaReach::Window& window,
                                 std::span<const DmaBacking> /*backing*/) {
    if (auto mapped = mapper_->map(window.va, window.iova, window.bytes); !mapped) {
        return fail(mapped.error().code, "device={}: {}", place_.spec(), mapped.error().message);
    }
    return {};
}

void KernelDevice::range_removed(const DmaReach::Window& window) {
    if (auto gone = mapper_->unmap(window.iova, window.bytes); !gone) {
        log::error("device={}: {}", place_.spec(), gone.error().message);
    }
}

}  // namespace

Result<std::unique_ptr<Device>> open(Bus bus,
                                     const std::string& name,
                                     const KernelArgs& args,
                                     DmaSpace& space) {
    auto place = find_device(bus, name, args);
    if (!place) {
        return forward_error(place);
    }
    auto opened = place->iommufd ? open_by_iommufd(*place) : open_in_group(*place);
    if (!opened) {
        return forward_error(opened);
    }
    auto device = std::make_unique<KernelDevice>(std::move(*place), std::move(*opened));
    if (auto met = device->introduce(); !met) {
        return forward_error(met);
    }
    if (auto shared = device->share(space); !shared) {
        return forward_error(shared);
    }
    return std::unique_ptr<Device>(std::move(device));
}

}  // namespace crema::vfio::kernel
