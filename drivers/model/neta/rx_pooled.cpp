// SPDX-License-Identifier: BSD-3-Clause
//
// Reception into buffers of the buffer manager: the queue's short pool for frames that fit, else
// its long one, whose buffers also take longer frames one after the other. Address and first word
// of each buffer go into its descriptor, as software that gave none needs them. When the pool runs
// dry the frame is dropped and no descriptor is used. Source: hardware page 4.3, 6.4, 6.5.
#include <algorithm>
#include <cstring>

#include "drivers/model/neta/buffer_manager.h"
#include "drivers/model/neta/rx_engine.h"

namespace crema::neta::model {

using vfio::DmaRights;

// The port needs a window that leads to the unit's pointers.
bool RxEngine::reaches_buffer_manager() const {
    if (kAccModeMode.get(chip_.reg(kAccMode)) != kAccModeEnhancedBm) {
        return false;
    }
    const std::uint64_t pointers = chip_.reg(kBmAddress) & kBmAddressMask;
    for (unsigned w = 0; w < kWindows; ++w) {
        const std::uint32_t window = chip_.reg(win_base(w));
        const std::uint64_t base = window & kWinSizeFull;
        const std::uint64_t size = (std::uint64_t{chip_.reg(win_size(w)) >> 16U} + 1) << 16U;
        if ((chip_.reg(kBaseAddrEnable) & bit(w)) == 0 && pointers >= base &&
            pointers < base + size) {
            return kWinBaseTarget.get(window) == kTargetBufferManager &&
                   kWinBaseAttribute.get(window) == kAttributeBufferManager;
        }
    }
    return false;
}

void RxEngine::set_up_pools(Ring& ring, std::uint32_t queue, std::uint32_t config) {
    ring.pooled = true;
    ring.short_pool = kRxqConfigShortPool.get(config);
    ring.long_pool = kRxqConfigLongPool.get(config);
    ring.buffer_bytes = chip_.reg(pool_buf_size(ring.long_pool)) & kPoolBufSizeMask;
    const std::uint32_t least = chip_.reg(pool_buf_size(ring.short_pool)) & kPoolBufSizeMask;
    if (least <= ring.offset) {
        chip_.diagnostics.report(Diagnostic::rx_buffer_too_small, queue);
        ring.short_pool = ring.long_pool;
    }
}

bool RxEngine::fill_pooled(RxDescriptor& descriptor,
                           std::uint32_t offset,
                           const Stored& stored,
                           std::uint32_t from,
                           std::uint32_t bytes) {
    const std::uint8_t* const first =
        data_dma_.at(descriptor.buf_addr, sizeof(descriptor.cookie), DmaRights::read);
    if (first == nullptr) {
        return false;
    }
    std::memcpy(&descriptor.cookie, first, sizeof(descriptor.cookie));
    std::uint8_t* const at = data_dma_.at(descriptor.buf_addr + offset, bytes, DmaRights::write);
    if (at == nullptr) {
        return false;
    }
    stored.copy(at, from, bytes);
    return true;
}

void RxEngine::deliver_pooled(std::uint32_t queue, std::uint32_t status, const Stored& stored) {
    Ring& to = rings_[queue];
    const std::uint32_t total = stored.total();
    const std::uint32_t short_bytes = chip_.reg(pool_buf_size(to.short_pool)) & kPoolBufSizeMask;
    const bool fits = to.offset + total <= short_bytes;
    const unsigned pool = fits ? to.short_pool : to.long_pool;
    const std::uint32_t size = fits ? short_bytes : to.buffer_bytes;
    const std::uint32_t buffers = (to.offset + total + size - 1) / size;
    if (buffers > to.free) {
        discard(queue, true);
        return;
    }
    taken_.clear();
    while (taken_.size() < buffers) {
        const std::uint32_t address = chip_.buffers->take(pool);
        if (address == 0) {
            for (const std::uint32_t unused : taken_) {
                chip_.buffers->put(pool, unused);
            }
            chip_.latch(kIntrMiscCause, kIntrMiscPoolEmpty.of(bit(pool)));
            discard(queue, false);
            return;
        }
        taken_.push_back(address);
    }
    const std::uint32_t first = to.index;
    std::uint32_t done = 0;
    bool failed = false;
    for (std::uint32_t i = 0; i < buffers; ++i) {
        RxDescriptor& descriptor = to.take();
        descriptor.buf_addr = taken_[i];
        const std::uint32_t offset = i == 0 ? to.offset : 0;
        const std::uint32_t part = std::min(size - offset, total - done);
        failed = !fill_pooled(descriptor, offset, stored, done, part) || failed;
        done += part;
    }
    if (failed) {
        status = kRxErrorCode.set(status | kRxError, kRxErrorResource);
    }
    status |= kRxBmPool.of(pool);
    for (std::uint32_t i = 0; i < buffers; ++i) {
        const std::uint32_t place = (i == 0 ? kRxFirst : 0) | (i + 1 == buffers ? kRxLast : 0);
        write_back(to.descriptors[(first + i) % to.size], status | place, i == 0 ? total : 0);
    }
}

}  // namespace crema::neta::model
