// SPDX-License-Identifier: BSD-3-Clause
//
// See session.h. Each handler reads its structure, checks it as a whole, and acts last.
#include "lib/vfio/user/session.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <string_view>

#include "lib/base/caller.h"

namespace crema::vfio::user {
namespace {

template <typename T>
void answer(Session::Out& reply, const T& value) {
    const auto bytes = bytes_of(value);
    reply.insert(reply.end(), bytes.begin(), bytes.end());
}

/// A client must not be able to make us wait: only an eventfd will do, and it is made non-blocking.
bool is_eventfd(const UniqueFd& fd) {
    if (caller::link_of_descriptor(fd.get()) != "anon_inode:[eventfd]") {
        return false;
    }
    const int flags = ::fcntl(fd.get(), F_GETFL);
    return flags >= 0 && ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) == 0;
}

}  // namespace

Session::Session(Servable& model, GuestMemory& memory, Flavour flavour)
    : model_(model), memory_(memory), flavour_(flavour) {}

int Session::handle(Command command, In payload, Fds& fds, Out& reply) {
    reply.clear();
    const int error = serve(command, payload, fds, reply);
    if (error != 0) {
        reply.clear();
        ++counts_.refused;
    }
    return error;
}

int Session::serve(Command command, In payload, Fds& fds, Out& reply) {
    if (!negotiated_ && command != Command::version) {
        return EINVAL;
    }
    switch (command) {
        case Command::version:
            return version(payload, fds, reply);
        case Command::dma_map:
            return dma_map(payload, fds);
        case Command::dma_unmap:
            return dma_unmap(payload, reply);
        case Command::device_info:
            return device_info(payload, reply);
        case Command::region_info:
            return region_info(payload, reply);
        case Command::region_io_fds:
            return region_io_fds(payload, reply);
        case Command::irq_info:
            return irq_info(payload, reply);
        case Command::set_irqs:
            return set_irqs(payload, fds);
        case Command::region_read:
            return region_read(payload, reply);
        case Command::region_write:
            return region_write(payload, reply);
        case Command::device_reset:
            return payload.empty() ? reset() : EINVAL;
        case Command::region_write_multi:
        case Command::device_feature:
        case Command::migration_read:
        case Command::migration_write:
            return ENOTSUP;
        case Command::dma_read:
        case Command::dma_write:
            break;  // the server's to send
    }
    return EINVAL;
}

int Session::version(In payload, const Fds& fds, Out& reply) {
    Version asked;
    if (negotiated_ || !load(payload, asked) || asked.major != 0 || fds.count() != 0) {
        return EINVAL;
    }
    // The client's capabilities: nothing that we send depends on any of them.
    const In text = payload.subspan(sizeof(asked));
    if (text.size() > kVersionTextMax || (!text.empty() && text.back() != 0)) {
        return EINVAL;
    }
    static const std::string capabilities = fmt::format(
        R"({{"capabilities":{{"max_msg_fds":{},"max_data_xfer_size":{},"max_dma_maps":{},"pgsizes":4096}}}})",
        kFdsMax, kTransferMax, kRangesMax);
    answer(reply, Version{});
    reply.insert(reply.end(), capabilities.begin(), capabilities.end());
    reply.push_back(0);
    negotiated_ = true;
    return 0;
}

int Session::dma_map(In payload, Fds& fds) {
    DmaMap map;
    if (!load(payload, map) || payload.size() != sizeof(map) || map.argsz < sizeof(map) ||
        (map.flags & ~(kMapReadable | kMapWritable)) != 0 || fds.count() > 1) {
        return EINVAL;
    }
    const auto rights = static_cast<DmaRights>(map.flags);
    const UniqueFd fd = fds.take(0);
    const Status mapped = memory_.map(map.address, map.size, fd, map.offset, rights);
    return mapped ? 0 : mapped.error().code;
}

int Session::dma_unmap(In payload, Out& reply) {
    DmaUnmap unmap;
    if (!load(payload, unmap) || payload.size() != sizeof(unmap) || unmap.argsz < sizeof(unmap) ||
        (unmap.flags & ~kUnmapAll) != 0) {
        return EINVAL;  // a dirty bitmap, among others
    }
    if ((unmap.flags & kUnmapAll) != 0) {
        if (unmap.address != 0 || unmap.size != 0) {
            return EINVAL;
        }
        unmap.size = memory_.clear();
    } else {
        const auto gone = memory_.unmap(unmap.address, unmap.size);
        if (!gone) {
            return gone.error().code;
        }
        unmap.size = *gone;
    }
    unmap.argsz = sizeof(unmap);
    answer(reply, unmap);
    return 0;
}

std::uint32_t Session::regions() const {
    return flavour_ == Flavour::pci ? kPciRegions : 1;
}

std::uint32_t Session::irqs() const {
    return flavour_ == Flavour::pci ? kPciIrqs : 1;
}

std::uint32_t Session::region_bytes(std::uint32_t index) const {
    if (index == kRegisterRegion) {
        return model_.register_bytes();
    }
    return flavour_ == Flavour::pci && index == kPciConfigRegion ? PciConfig::kBytes : 0;
}

int Session::device_info(In payload, Out& reply) const {
    DeviceInfo info;
    if (!load(payload, info) || payload.size() != sizeof(info) || info.argsz < sizeof(info)) {
        return EINVAL;
    }
    answer(reply, DeviceInfo{.argsz = sizeof(info),
                             .flags = kDeviceReset |
                                      (flavour_ == Flavour::pci ? kDevicePci : kDevicePlatform),
                             .regions = regions(),
                             .irqs = irqs()});
    return 0;
}

int Session::region_info(In payload, Out& reply) const {
    RegionInfo info;
    if (!load(payload, info) || payload.size() != sizeof(info) || info.argsz < sizeof(info) ||
        info.index >= regions()) {
        return EINVAL;
    }
    const std::uint32_t bytes = region_bytes(info.index);
    answer(reply, RegionInfo{.argsz = sizeof(info),
                             .flags = bytes != 0 ? kRegionRead | kRegionWrite : 0,
                             .index = info.index,
                             .size = bytes});
    return 0;
}

int Session::region_io_fds(In payload, Out& reply) const {
    RegionIoFds asked;
    if (!load(payload, asked) || payload.size() != sizeof(asked) || asked.argsz < sizeof(asked) ||
        asked.flags != 0 || asked.count != 0 || asked.index >= regions()) {
        return EINVAL;
    }
    answer(reply, RegionIoFds{.argsz = sizeof(asked), .index = asked.index});
    return 0;
}

int Session::irq_info(In payload, Out& reply) const {
    IrqInfo info;
    if (!load(payload, info) || payload.size() != sizeof(info) || info.argsz < sizeof(info) ||
        info.index >= irqs()) {
        return EINVAL;
    }
    const bool line = info.index == kLineIrq;
    answer(reply, IrqInfo{.argsz = sizeof(info),
                          .flags = line ? kIrqEventfd | kIrqMaskable | kIrqAutomasked : 0,
                          .index = info.index,
                          .count = line ? 1U : 0U});
    return 0;
}

int Session::set_irqs(In payload, Fds& fds) {
    SetIrqs set;
    if (!load(payload, set) || set.argsz != payload.size() || set.index >= irqs()) {
        return EINVAL;
    }
    const std::uint32_t data = set.flags & (kIrqDataNone | kIrqDataBool | kIrqDataEventfd);
    const std::uint32_t action = set.flags & (kIrqMask | kIrqUnmask | kIrqTrigger);
    const std::uint32_t count = set.index == kLineIrq ? 1 : 0;
    const In bools = payload.subspan(sizeof(set));
    if (set.flags != (data | action) || !std::has_single_bit(data) ||
        !std::has_single_bit(action) || set.start > count || set.count > count - set.start ||
        bools.size() != (data == kIrqDataBool ? set.count : 0) ||
        fds.count() > (data == kIrqDataEventfd ? set.count : 0)) {
        return EINVAL;
    }
    if (set.index != kLineIrq) {
        return 0;  // nothing to set, and nothing was asked for
    }
    const bool chosen = set.count == 1 && (data != kIrqDataBool || bools[0] != 0);
    if (action == kIrqTrigger) {
        return set_trigger(data, set.count, chosen, fds);
    }
    if (data == kIrqDataEventfd || set.count == 0) {
        return EINVAL;
    }
    if (chosen) {
        masked_ = action == kIrqMask;
        update_interrupt();
    }
    return 0;
}

// Events set, removed, or fired by the client itself.
int Session::set_trigger(std::uint32_t data, std::uint32_t count, bool fire, Fds& fds) {
    if (data == kIrqDataEventfd && count == 1 && fds.count() == 1) {
        UniqueFd fd = fds.take(0);
        if (!is_eventfd(fd)) {
            return EINVAL;
        }
        line_ = std::move(fd);
        masked_ = false;
        update_interrupt();
        return 0;
    }
    if (data == kIrqDataEventfd || (data == kIrqDataNone && count == 0)) {
        line_.reset();
        return 0;
    }
    if (fire) {
        raise();
    }
    return 0;
}

void Session::raise() {
    pollfd room{line_.get(), POLLOUT, 0};
    if (!line_.valid() || ::poll(&room, 1, 0) != 1) {
        return;  // a full counter is a told client
    }
    constexpr std::uint64_t kOne = 1;
    if (::write(line_.get(), &kOne, sizeof(kOne)) == sizeof(kOne)) {
        ++counts_.interrupts;
    }
}

void Session::update_interrupt() {
    if (!line_.valid() && flavour_ == Flavour::plain) {
        return;
    }
    const bool level = model_.interrupt_level();
    config_.show_interrupt(level);
    if (level && line_.valid() && !masked_ && !config_.interrupt_disabled()) {
        masked_ = true;
        raise();
    }
}

int Session::reset() {
    model_.power_cycle();
    config_.reset();
    masked_ = false;
    return 0;
}

// Registers are words: what is asked for is cut out of them, and other words are left alone.
void Session::read_registers(std::uint32_t offset, std::span<std::uint8_t> out) {
    while (!out.empty()) {
        const std::uint32_t in_word = offset % sizeof(std::uint32_t);
        const std::uint32_t word = model_.register_block().read(offset - in_word);
        const std::size_t part = std::min(out.size(), sizeof(word) - in_word);
        std::memcpy(out.data(), reinterpret_cast<const std::uint8_t*>(&word) + in_word, part);
        out = out.subspan(part);
        offset += static_cast<std::uint32_t>(part);
        ++counts_.register_reads;
    }
}

void Session::write_registers(std::uint32_t offset, In in) {
    while (!in.empty()) {
        const std::uint32_t in_word = offset % sizeof(std::uint32_t);
        const std::size_t part = std::min(in.size(), sizeof(std::uint32_t) - in_word);
        std::uint32_t word = 0;
        if (part != sizeof(word)) {
            word = model_.register_block().read(offset - in_word);
        }
        std::memcpy(reinterpret_cast<std::uint8_t*>(&word) + in_word, in.data(), part);
        model_.register_block().write(offset - in_word, word);
        in = in.subspan(part);
        offset += static_cast<std::uint32_t>(part);
        ++counts_.register_writes;
    }
}

int Session::region_read(In payload, Out& reply) {
    RegionAccess access;
    if (!load(payload, access) || payload.size() != sizeof(access) || access.region >= regions()) {
        return EINVAL;
    }
    const std::uint32_t bytes = region_bytes(access.region);
    if (access.count > kTransferMax || access.offset > bytes ||
        access.count > bytes - access.offset) {
        return EINVAL;
    }
    answer(reply, access);
    reply.resize(sizeof(access) + access.count);
    const auto offset = static_cast<std::uint32_t>(access.offset);
    const auto out = std::span(reply).subspan(sizeof(access));
    if (access.region == kRegisterRegion) {
        read_registers(offset, out);
    } else {
        config_.show_interrupt(model_.interrupt_level());
        config_.read(offset, out);
    }
    return 0;
}

int Session::region_write(In payload, Out& reply) {
    RegionAccess access;
    if (!load(payload, access) || access.region >= regions() || access.count > kTransferMax ||
        payload.size() != sizeof(access) + access.count) {
        return EINVAL;
    }
    const std::uint32_t bytes = region_bytes(access.region);
    if (access.offset > bytes || access.count > bytes - access.offset) {
        return EINVAL;
    }
    const auto offset = static_cast<std::uint32_t>(access.offset);
    const In data = payload.subspan(sizeof(access));
    if (access.region == kRegisterRegion) {
        write_registers(offset, data);
    } else {
        config_.write(offset, data);
    }
    update_interrupt();
    answer(reply, access);
    return 0;
}

}  // namespace crema::vfio::user
