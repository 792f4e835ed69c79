// SPDX-License-Identifier: BSD-3-Clause
//
// Memory that programs may read through made-up addresses (probe_read_kernel, %s): the storage of
// maps. Readers run on the packet path and take no lock; memory that is about to go waits for the
// readers inside it, which copy a few bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace crema::ebpf::maps {

/// While it lives, [begin, begin + bytes) may be read by copy_known. Must end before the memory.
class KnownMemory {
  public:
    /// Beyond kKnownMemoryMax of them the memory is not readable this way.
    KnownMemory(const void* begin, std::size_t bytes);
    KnownMemory(KnownMemory&& other) noexcept;
    KnownMemory& operator=(KnownMemory&&) = delete;
    KnownMemory(const KnownMemory&) = delete;
    KnownMemory& operator=(const KnownMemory&) = delete;
    ~KnownMemory();

  private:
    int slot_;  // -1: none
};

inline constexpr int kKnownMemoryMax = 1024;

/// Copies min(bytes, known bytes from `address` on) and returns how many; 0: address not known.
/// until_nul: stops behind the first NUL byte.
[[nodiscard]] std::size_t copy_known(void* to,
                                     std::uint64_t address,
                                     std::size_t bytes,
                                     bool until_nul);

}  // namespace crema::ebpf::maps
