// SPDX-License-Identifier: BSD-3-Clause
//
// Storage of maps: whole pages, zeroed, at a fixed address (programs carry it as a constant).
// Shared memory has a file descriptor that user space may map as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/maps/known_memory.h"

namespace crema::ebpf::maps {

class Memory {
  public:
    enum class Sharing {
        private_pages,     // backed when first touched
        private_touched,   // backed now: no page fault later
        private_reserved,  // may be more than the machine has: only what is used is backed
        memfd,
    };

    /// bytes: rounded up to whole pages. ENOMEM: more than the machine has (private_touched: than
    /// is available now), or mmap says so.
    [[nodiscard]] static Result<Memory> allocate(std::uint64_t bytes, Sharing sharing);

    Memory(Memory&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          bytes_(std::exchange(other.bytes_, 0)),
          fd_(std::move(other.fd_)),
          known_(std::move(other.known_)) {}

    Memory& operator=(Memory&& other) = delete;
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory();

    [[nodiscard]] std::uint8_t* data() const { return data_; }

    /// -1 for private pages.
    [[nodiscard]] int fd() const { return fd_.get(); }

  private:
    Memory(std::uint8_t* data, std::size_t bytes, UniqueFd fd)
        : data_(data), bytes_(bytes), fd_(std::move(fd)), known_(std::in_place, data, bytes) {}

    std::uint8_t* data_;
    std::size_t bytes_;
    UniqueFd fd_;
    std::optional<KnownMemory> known_;  // to programs that read through made-up addresses
};

}  // namespace crema::ebpf::maps
