// SPDX-License-Identifier: BSD-3-Clause
//
// See buffer_manager.h.
#include "drivers/model/neta/buffer_manager.h"

#include <cstring>

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kEntryBytes = 4;
constexpr std::uint32_t kPoolRegisters = bm_pool_base(1) - bm_pool_base(0);

std::uint32_t burst_of(std::uint32_t config) {
    return 32 - 8 * kBmConfigBurst.get(config);
}

}  // namespace

bool BufferManager::runs(unsigned pool) const {
    return state_ == kBmActive && (reg(bm_pool_base(pool)) & kBmPoolEnable) != 0 &&
           entries(pool) != 0 && bm_xbar_target(pool).get(reg(bm_xbar(pool))) == kTargetMemory;
}

std::uint8_t* BufferManager::entry(unsigned pool, std::uint32_t index, vfio::DmaRights wanted) {
    const std::uint32_t base = reg(bm_pool_base(pool)) & ~std::uint32_t{3};
    if (base % kBmRingAlign != 0) {
        diagnostics_.report(Diagnostic::ring_misaligned, base);
    }
    const std::uint32_t iova = base + index * kEntryBytes;
    const auto window = reach_.window_at(iova);
    const std::uint64_t offset = iova - std::uint64_t{window.iova};
    if (offset >= window.bytes || window.bytes - offset < kEntryBytes ||
        !includes(window.rights, wanted)) {
        diagnostics_.report(Diagnostic::dma_unmapped, iova);
        return nullptr;
    }
    return const_cast<std::uint8_t*>(window.va) + offset;
}

std::uint32_t BufferManager::take(unsigned pool) {
    Pool& own = pools_[pool];
    std::uint8_t* const at =
        runs(pool) && own.count != 0 ? entry(pool, own.next_out, vfio::DmaRights::read) : nullptr;
    if (at == nullptr) {
        regs_[kBmCause / 4] |= bm_cause_alloc_failed(pool);
        return 0;
    }
    std::uint32_t address = 0;
    std::memcpy(&address, at, kEntryBytes);
    own.next_out = (own.next_out + 1) % entries(pool);
    if (--own.count == 0) {
        regs_[kBmCause / 4] |= bm_cause_empty(pool);
    }
    return address;
}

void BufferManager::put(unsigned pool, std::uint32_t address) {
    Pool& own = pools_[pool];
    std::uint8_t* const at = runs(pool) && own.count < entries(pool) && address != 0
                                 ? entry(pool, own.next_in, vfio::DmaRights::write)
                                 : nullptr;
    if (at == nullptr) {
        regs_[kBmCause / 4] |= bm_cause_free_failed(pool);
        return;
    }
    std::memcpy(at, &address, kEntryBytes);
    own.next_in = (own.next_in + 1) % entries(pool);
    if (++own.count == entries(pool)) {
        regs_[kBmCause / 4] |= bm_cause_full(pool);
    }
}

std::uint32_t BufferManager::read_pointer(std::uint32_t offset) {
    const unsigned pool = (offset >> 8U) % kBmPools;
    const bool limited = (reg(kBmConfig) & kBmConfigEmptyLimit) == 0;
    if (limited && pools_[pool].count <= burst_of(reg(kBmConfig))) {
        return 0;
    }
    return take(pool);
}

void BufferManager::write_pointer(std::uint32_t offset, std::uint32_t value) {
    put((offset >> 8U) % kBmPools, value);
}

std::uint32_t BufferManager::read(std::uint32_t offset) const {
    if (offset >= kBmRegionBytes) {
        return 0;
    }
    if (offset == kBmCommand) {
        return kBmCommandStatus.of(state_);
    }
    if (offset == kBmCause) {
        return reg(kBmCause) | (interrupt_level() ? kBmCauseSummary : 0);
    }
    for (unsigned pool = 0; pool < kBmPools; ++pool) {
        if (offset == bm_pool_read(pool)) {
            return reg(offset) | kBmPointerGet.of(pools_[pool].next_out);
        }
        if (offset == bm_pool_write(pool)) {
            return reg(offset) | kBmPointerGet.of(pools_[pool].next_in);
        }
    }
    return reg(offset);
}

void BufferManager::command(std::uint32_t value) {
    if ((value & kBmCommandStop) != 0) {
        state_ = kBmIdle;
        regs_[kBmCause / 4] |= kBmCauseStopped;
    } else if ((value & kBmCommandPause) != 0) {
        state_ = kBmPaused;
        regs_[kBmCause / 4] |= kBmCausePaused;
    } else if ((value & kBmCommandStart) != 0) {
        state_ = kBmActive;
    }
}

// Pointers that software sets say what the ring holds: equal ones, nothing.
void BufferManager::write_pool(std::uint32_t offset, std::uint32_t value) {
    const unsigned pool = (offset - bm_pool_base(0)) / kPoolRegisters;
    Pool& own = pools_[pool];
    if (offset == bm_pool_base(pool)) {
        regs_[offset / 4] = value;
        return;
    }
    if (offset == bm_pool_size(pool)) {
        regs_[offset / 4] = value & kBmPoolEntries.mask();
    } else {
        regs_[offset / 4] = value & kBmPointerSet.mask();
        (offset == bm_pool_read(pool) ? own.next_out : own.next_in) = kBmPointerSet.get(value);
    }
    const std::uint32_t size = entries(pool);
    own.next_out = size == 0 ? 0 : own.next_out % size;
    own.next_in = size == 0 ? 0 : own.next_in % size;
    own.count = size == 0 ? 0 : (own.next_in + size - own.next_out) % size;
}

void BufferManager::write(std::uint32_t offset, std::uint32_t value) {
    if (offset >= kBmRegionBytes) {
        return;
    }
    if (offset >= bm_pool_base(0) && offset <= bm_pool_size(kBmPools - 1)) {
        write_pool(offset, value);
    } else if (offset == kBmCommand) {
        command(value);
    } else if (offset == kBmCause) {
        regs_[offset / 4] &= value;
    } else {
        regs_[offset / 4] = value;
    }
}

}  // namespace crema::neta::model
