// SPDX-License-Identifier: BSD-3-Clause
#include "lib/vfio/kernel/device.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "lib/base/log.h"
#include "lib/vfio/kernel/container.h"

namespace crema::vfio::kernel {
namespace {

constexpr std::uint32_t kRegisterRegion = 0;         // of a platform device, and BAR 0
constexpr std::uint32_t kLineIrq = 0;                // of a platform device, and INTx
constexpr std::uint64_t kRegisterBytesMin = 0x4000;  // a NETA port's

class KernelDevice final : public Device, public DmaListener {
  public:
    KernelDevice(Place place, Container container, UniqueFd device)
        : place_(std::move(place)), container_(std::move(container)), device_(std::move(device)) {
        coherent_ = place_.coherent;
        registers_ = registers_by_calls(*this);
    }

    ~KernelDevice() override {
        if (dma_ != nullptr) {
            dma_->detach(*this);
        }
        disable_interrupt();
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
        return "kernel VFIO " + place_.spec() +
               (registers_.mapped != nullptr ? "" : ", registers by system calls");
    }

    [[nodiscard]] Result<int> enable_interrupt() override;
    void rearm_interrupt() override;
    void disable_interrupt() override;

    [[nodiscard]] std::vector<DmaHole> holes() const override;
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
    Container container_;
    UniqueFd device_;
    std::uint32_t flags_ = 0;
    std::uint64_t region_offset_ = 0;
    std::uint64_t region_bytes_ = 0;
    UniqueFd interrupt_;
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

std::vector<DmaHole> KernelDevice::holes() const {
    constexpr std::uint64_t kEnd = std::uint64_t{1} << 32U;
    std::vector<DmaHole> all;
    std::uint64_t at = 0;
    for (const IovaRange& range : container_.usable()) {
        const std::uint64_t first = std::min(range.first, kEnd);
        if (first > at) {
            all.push_back({.start = at, .end = first});
        }
        at = range.last >= kEnd ? kEnd : std::max(at, range.last + 1);
    }
    if (!container_.usable().empty() && at < kEnd) {
        all.push_back({.start = at, .end = kEnd});
    }
    return all;
}

Status KernelDevice::range_added(const DmaReach::Window& window,
                                 std::span<const DmaBacking> /*backing*/) {
    if (auto mapped = container_.map(window.va, window.iova, window.bytes); !mapped) {
        return fail(mapped.error().code, "device={}: {}", place_.spec(), mapped.error().message);
    }
    return {};
}

void KernelDevice::range_removed(const DmaReach::Window& window) {
    if (auto gone = container_.unmap(window.iova, window.bytes); !gone) {
        log::error("device={}: {}", place_.spec(), gone.error().message);
    }
}

}  // namespace

Result<std::unique_ptr<Device>> open(Bus bus, const std::string& name, DmaSpace& space) {
    auto place = find_device(bus, name);
    if (!place) {
        return forward_error(place);
    }
    auto container = Container::open(*place);
    if (!container) {
        return forward_error(container);
    }
    auto fd = container->device(*place);
    if (!fd) {
        return forward_error(fd);
    }
    auto device =
        std::make_unique<KernelDevice>(std::move(*place), std::move(*container), std::move(*fd));
    if (auto met = device->introduce(); !met) {
        return forward_error(met);
    }
    if (auto shared = device->share(space); !shared) {
        return forward_error(shared);
    }
    return std::unique_ptr<Device>(std::move(device));
}

}  // namespace crema::vfio::kernel
