// SPDX-License-Identifier: BSD-3-Clause
//
// See neta_loopback.h. Source: hardware page, appendix A (values), 3.2 and 3.5 (descriptors), 4
// (counters), 7.3 and 7.4 (caches: descriptors go back in whole pairs, so no line has two owners).
#include "apps/crema/neta_loopback.h"

#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <thread>

#include "lib/neta/sequences.h"
#include "lib/vfio/dma_sync.h"

namespace crema::command {
namespace {

constexpr std::size_t kRxRing = 0x0;
constexpr std::size_t kTxRing = 0x2000;
constexpr std::size_t kRxBuffers = 0x10000;
constexpr std::size_t kTxBuffers = 0x40000;
static_assert(kTxBuffers + NetaLoopback::kSlots * NetaLoopback::kBufferBytes <=
              DeviceMemory::kBytes);

constexpr auto kPatience = std::chrono::seconds(1);
constexpr std::uint32_t kWireBytes = NetaLoopback::kFrameMax + neta::kFcsBytes;
constexpr bool kMaintain = false;  // as for a device that is not coherent

void to_device(const void* va, std::size_t bytes) {
    vfio::sync_for_device(va, bytes, kMaintain);
}

void to_cpu(const void* va, std::size_t bytes) {
    vfio::sync_for_cpu(va, bytes, kMaintain);
}

}  // namespace

Result<std::unique_ptr<DeviceMemory>> DeviceMemory::make(vfio::DmaSpace& dma) {
    std::unique_ptr<DeviceMemory> memory(new DeviceMemory(dma));
    for (const bool huge : {true, false}) {
        UniqueFd file(::memfd_create("crema-probe", MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0U)));
        if (file.get() < 0 || ::ftruncate(file.get(), kBytes) != 0) {
            continue;
        }
        void* const start = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_POPULATE, file.get(), 0);
        if (start != MAP_FAILED) {
            memory->file_ = std::move(file);
            memory->start_ = static_cast<std::uint8_t*>(start);
            memory->huge_ = huge;
            break;
        }
    }
    if (memory->start_ == nullptr) {
        return fail(ENOMEM, "no memory of {} bytes for the device", kBytes);
    }
    std::memset(memory->start_, 0, kBytes);
    const vfio::DmaBacking backing{.fd = memory->file_.get(), .offset = 0, .bytes = kBytes};
    if (auto mapped = dma.map(memory->start_, kBytes, {&backing, 1}); !mapped) {
        return forward_error(mapped);
    }
    memory->mapped_ = true;
    return memory;
}

DeviceMemory::~DeviceMemory() {
    if (mapped_) {
        (void)dma_.unmap(start_);
    }
    if (start_ != nullptr) {
        ::munmap(start_, kBytes);
    }
}

std::uint32_t DeviceMemory::iova(std::size_t offset) const {
    return dma_.iova_of(start_ + offset);
}

std::uint8_t* NetaLoopback::tx_buffer(unsigned slot) const {
    return memory_->at(kTxBuffers + slot * kBufferBytes);
}

std::uint8_t* NetaLoopback::rx_buffer(unsigned slot) const {
    return memory_->at(kRxBuffers + slot * kBufferBytes);
}

std::uint32_t NetaLoopback::read(std::uint32_t offset) const {
    return device_.registers().read(offset);
}

void NetaLoopback::write(std::uint32_t offset, std::uint32_t value) const {
    device_.registers().write(offset, value);
}

Result<std::unique_ptr<NetaLoopback>> NetaLoopback::start(vfio::Device& device,
                                                          neta::Windows windows) {
    std::unique_ptr<NetaLoopback> loopback(new NetaLoopback(device));
    auto memory = DeviceMemory::make(device.dma());
    if (!memory) {
        return forward_error(memory);
    }
    loopback->memory_ = std::move(*memory);
    if (auto set = loopback->set_up(windows); !set) {
        return forward_error(set);
    }
    return loopback;
}

Status NetaLoopback::set_up(neta::Windows windows) {
    const vfio::Registers& registers = device_.registers();
    if (windows == neta::Windows::keep && !neta::any_window_open(registers)) {
        return fail(ENXIO, "no address window is open: let the kernel's driver have the port once");
    }
    neta::take_over(registers, windows);
    if ((read(neta::kGmacCtrl2) & neta::kGmacCtrl2PortReset) != 0) {
        return fail(EIO, "the MAC does not leave its reset: is its clock on?");
    }
    rx_ring_ = reinterpret_cast<neta::RxDescriptor*>(memory_->at(kRxRing));
    tx_ring_ = reinterpret_cast<neta::TxDescriptor*>(memory_->at(kTxRing));
    for (unsigned slot = 0; slot < kSlots; ++slot) {
        rx_ring_[slot] = {};
        rx_ring_[slot].buf_addr = memory_->iova(kRxBuffers + slot * kBufferBytes);
    }
    to_device(rx_ring_, sizeof(neta::RxDescriptor) * kSlots);
    to_device(rx_buffer(0), kSlots * kBufferBytes);
    write(neta::kPortConfig, neta::port_config_default(0) | neta::kPortConfigUpm);
    write(neta::rxq_base(0), memory_->iova(kRxRing));
    write(neta::rxq_size(0),
          neta::kRxqSizeBufSize.of(kBufferBytes / 8) | neta::kRxqSizeDescNum.of(kSlots));
    write(neta::rxq_threshold(0), 0);
    write(neta::rxq_config(0), 0);
    write(neta::txq_token_cfg(0), neta::kTxqTokenCfgMax);
    write(neta::txq_token_count(0), neta::kTxqTokenCountMax);
    write(neta::txq_base(0), memory_->iova(kTxRing));
    write(neta::txq_size(0), neta::kTxqSizeDescNum.of(kSlots));
    vfio::publish_barrier(kMaintain);
    write(neta::rxq_status_update(0), neta::kRxqUpdateNew.of(kSlots));
    write(neta::kGmacCtrl1, read(neta::kGmacCtrl1) | neta::kGmacCtrl1GmiiLoopback);
    std::uint32_t control = neta::kGmacCtrl0MaxRxSize.set(read(neta::kGmacCtrl0), kWireBytes / 2);
    control |= neta::kGmacCtrl0MibEn | neta::kGmacCtrl0PortEn;
    neta::open_shaper(registers, kFrameMax);
    write(neta::kGmacCtrl0, control);
    neta::force_link(registers, true, false);
    write(neta::kTxqCmd, neta::kQueueCmdEnable.of(1));
    write(neta::kRxqCmd, neta::kQueueCmdEnable.of(1));
    return {};
}

NetaLoopback::~NetaLoopback() {
    if (memory_ == nullptr) {
        return;
    }
    // DMA is off before the memory goes.
    const vfio::Registers& registers = device_.registers();
    neta::quiet_queues(registers);
    neta::disable_mac(registers);
    neta::reset_dma(registers);
    write(neta::kGmacCtrl1, read(neta::kGmacCtrl1) & ~neta::kGmacCtrl1GmiiLoopback);
    write(neta::kPortConfig, neta::port_config_default(0));
    neta::force_link(registers, false, false);
}

void NetaLoopback::queue(std::uint32_t bytes, bool clean) {
    if (clean) {
        to_device(next_tx(), bytes);
    }
    neta::TxDescriptor& descriptor = tx_ring_[tx_at_];
    descriptor = {};
    descriptor.command = neta::kTxSingle;
    descriptor.data_size = static_cast<std::uint16_t>(bytes);
    descriptor.buf_addr = memory_->iova(kTxBuffers + tx_at_ * kBufferBytes);
    to_device(&descriptor, sizeof(descriptor));
    tx_at_ = (tx_at_ + 1) % kSlots;
    ++queued_;
}

void NetaLoopback::send() {
    vfio::publish_barrier(kMaintain);
    const std::uint32_t sent = neta::kTxqStatusSent.get(read(neta::txq_status(0)));
    write(neta::txq_update(0),
          neta::kTxqUpdateAddPending.of(queued_) | neta::kTxqUpdateDecSent.of(sent));
    queued_ = 0;
}

Result<std::vector<NetaLoopback::Frame>> NetaLoopback::receive(unsigned count, bool drop) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    std::uint32_t occupied = 0;
    while ((occupied = neta::kRxqStatusOccupied.get(read(neta::rxq_status(0)))) <
           received_ + count) {
        if (std::chrono::steady_clock::now() > end) {
            return fail(ETIMEDOUT,
                        "{} of {} frames came back within {} s; sent and not fetched: {}, in the "
                        "transmitter: {}",
                        occupied - received_, count, kPatience.count(),
                        neta::kTxqStatusSent.get(read(neta::txq_status(0))),
                        neta::kTxqStatusPending.get(read(neta::txq_status(0))));
        }
        std::this_thread::yield();
    }
    vfio::consume_barrier(kMaintain);
    std::vector<Frame> frames;
    for (unsigned i = 0; i < count; ++i) {
        const neta::RxDescriptor& descriptor = rx_ring_[rx_at_];
        // Descriptors may be counted before they are in memory (4.5).
        do {
            to_cpu(&descriptor, sizeof(descriptor));
        } while (__atomic_load_n(&descriptor.data_size, __ATOMIC_ACQUIRE) == 0 &&
                 std::chrono::steady_clock::now() < end);
        std::uint32_t bytes = descriptor.data_size;
        if (bytes <= neta::kMarvellHeader + neta::kFcsBytes || bytes > kBufferBytes) {
            return fail(EIO, "a descriptor says that a frame has {} bytes", bytes);
        }
        if (drop) {
            to_cpu(rx_buffer(rx_at_), bytes);
        }
        bytes -= neta::kMarvellHeader + neta::kFcsBytes;
        frames.push_back({.data = rx_buffer(rx_at_) + neta::kMarvellHeader,
                          .bytes = bytes,
                          .status = descriptor.status});
        rx_at_ = (rx_at_ + 1) % kSlots;
    }
    received_ += count;
    return frames;
}

void NetaLoopback::give_back() {
    for (unsigned i = received_; i > 0; --i) {
        const unsigned slot = (rx_at_ + kSlots - i) % kSlots;
        rx_ring_[slot].data_size = 0;
        to_device(&rx_ring_[slot], sizeof(neta::RxDescriptor));
        to_device(rx_buffer(slot), kBufferBytes);
    }
    vfio::publish_barrier(kMaintain);
    write(neta::rxq_status_update(0),
          neta::kRxqUpdateProcessed.of(received_) | neta::kRxqUpdateNew.of(received_));
    received_ = 0;
}

}  // namespace crema::command
