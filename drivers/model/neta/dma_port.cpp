// SPDX-License-Identifier: BSD-3-Clause
//
// See dma_port.h.
#include "drivers/model/neta/dma_port.h"

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kAccessRead = 1;
constexpr std::uint32_t kAccessFull = 3;

}  // namespace

void DmaPort::refresh() {
    const auto generation = reach_.generation();
    if (generation != generation_) {
        generation_ = generation;
        last_ = {};
    }
    windows_open_ = (chip_.reg(kBaseAddrEnable) & 1U) == 0 &&
                    (chip_.reg(win_base(0)) >> 16U) == 0 && leads_to_memory(0) &&
                    chip_.reg(win_size(0)) >> 16U == kWinSizeFull >> 16U &&
                    (chip_.reg(kAccessProtect) & kAccessFull) == kAccessFull;
}

// Other targets are not modelled, and what a remap adds lies above the 4 GiB that DmaReach has.
bool DmaPort::leads_to_memory(unsigned w) const {
    return kWinBaseTarget.get(chip_.reg(win_base(w))) == kTargetMemory &&
           (w >= kWindowRemaps || chip_.reg(win_remap(w)) == 0);
}

bool DmaPort::window_allows(std::uint32_t iova, std::uint32_t bytes, bool write) const {
    const std::uint64_t end = std::uint64_t{iova} + bytes;
    for (unsigned w = 0; w < kWindows; ++w) {
        const std::uint64_t base = chip_.reg(win_base(w)) & kWinSizeFull;
        const std::uint64_t size = (std::uint64_t{chip_.reg(win_size(w)) >> 16U} + 1) << 16U;
        const bool enabled = (chip_.reg(kBaseAddrEnable) & bit(w)) == 0;
        if (enabled && iova >= base && end <= base + size) {
            const std::uint32_t access = (chip_.reg(kAccessProtect) >> (2 * w)) & kAccessFull;
            const bool right = access == kAccessFull || (!write && access == kAccessRead);
            if (right && leads_to_memory(w)) {
                return true;
            }
            chip_.latch(kUnitCause, kUnitCauseAddrViolation);
            return false;
        }
    }
    chip_.latch(kUnitCause, kUnitCauseNoWindow);
    return false;
}

std::uint8_t* DmaPort::search(std::uint32_t iova, std::uint32_t bytes, vfio::DmaRights wanted) {
    const bool write = includes(wanted, vfio::DmaRights::write);
    if (!windows_open_ && !window_allows(iova, bytes, write)) {
        chip_.set_reg(kUnitErrAddr, iova);
        chip_.diagnostics.report(Diagnostic::dma_no_window, iova);
        return nullptr;
    }
    const auto window = reach_.window_at(iova);
    const std::uint64_t offset = iova - std::uint64_t{window.iova};
    if (offset >= window.bytes || bytes > window.bytes - offset) {
        chip_.latch(kUnitCause, kUnitCauseAddrViolation);
        chip_.set_reg(kUnitErrAddr, iova);
        chip_.diagnostics.report(Diagnostic::dma_unmapped, iova);
        return nullptr;
    }
    if (!includes(window.rights, wanted)) {
        chip_.latch(kUnitCause, kUnitCauseAddrViolation);
        chip_.set_reg(kUnitErrAddr, iova);
        chip_.diagnostics.report(Diagnostic::dma_rights, iova);
        return nullptr;
    }
    last_ = window;
    return const_cast<std::uint8_t*>(window.va) + offset;
}

}  // namespace crema::neta::model
