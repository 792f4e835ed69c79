// SPDX-License-Identifier: BSD-3-Clause
//
// Where memory of this process lies physically, for devices that no IOMMU translates for. Only huge
// pages will do: the kernel neither swaps nor splits them, and each is one piece for a device. They
// are locked besides. What is not kept away: moving them by hand (memory hot-remove, CMA); the
// kernel has no way to pin memory for a device without IOMMU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/vfio/dma_space.h"

namespace crema::vfio::kernel {

/// What /proc/self/pagemap says of pages that follow each other, neighbours merged. Errors: EPERM
/// the kernel does not tell addresses to this process (CAP_SYS_ADMIN), EFAULT a page is not there,
/// ENOTSUP pieces that are no huge pages.
[[nodiscard]] Result<std::vector<DmaPiece>> pieces_of(std::span<const std::uint64_t> entries,
                                                      std::size_t page_bytes);

/// Locks [va, va+bytes), whole pages, and says where it is. Errors: those of pieces_of(), and what
/// the system says.
[[nodiscard]] Result<std::vector<DmaPiece>> physical_pieces(void* va, std::size_t bytes);

}  // namespace crema::vfio::kernel
