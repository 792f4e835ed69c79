// SPDX-License-Identifier: BSD-3-Clause
//
// Pieces of files side by side in memory: a ring's positions before its data, and the data twice,
// so that a record that goes over the end is still one piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>

namespace crema::ebpf::maps {

[[nodiscard]] std::uint64_t page_bytes();

class MappedParts {
  public:
    /// Whole pages; bytes may be 0.
    struct Part {
        std::uint64_t bytes;
        int fd = -1;  // -1: private pages
        std::uint64_t offset = 0;
    };

    /// Readable and writable. data() is null where that fails; errno says why.
    MappedParts(std::initializer_list<Part> parts);

    MappedParts(MappedParts&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}

    MappedParts& operator=(MappedParts&&) = delete;
    MappedParts(const MappedParts&) = delete;
    MappedParts& operator=(const MappedParts&) = delete;
    ~MappedParts();

    [[nodiscard]] std::uint8_t* data() const { return data_; }

  private:
    std::uint8_t* data_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace crema::ebpf::maps
