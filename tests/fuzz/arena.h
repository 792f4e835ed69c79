// SPDX-License-Identifier: BSD-3-Clause
//
// Memory that hostile calls point to. It lies alone at an address of its own, so that a pointer
// with one half replaced is no memory of this process: a call that is told to write there fails
// instead of doing so. Larger than anything that is put there.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <sys/mman.h>

namespace crema::test::fuzz {

class Arena {
  public:
    static constexpr std::size_t kBytes = std::size_t{4} << 20;

    Arena()
        : base_(static_cast<std::uint8_t*>(::mmap(reinterpret_cast<void*>(kPlace),
                                                  kBytes,
                                                  PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                                                  -1,
                                                  0))) {}

    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    Arena(Arena&&) = delete;
    Arena& operator=(Arena&&) = delete;

    ~Arena() {
        if (valid()) {
            ::munmap(base_, kBytes);
        }
    }

    [[nodiscard]] bool valid() const { return base_ != MAP_FAILED; }

    /// Forgets what was put.
    void clear() { used_ = 0; }

    /// `bytes` of memory; the contents are what was there.
    [[nodiscard]] std::uint8_t* take(std::size_t bytes) {
        constexpr std::size_t kAlignment = 64;
        const std::size_t at = used_ + bytes <= kBytes ? used_ : 0;
        used_ = (at + bytes + kAlignment - 1) / kAlignment * kAlignment;
        return base_ + at;
    }

    /// A copy of `bytes`; its address as bpf(2) has it.
    [[nodiscard]] std::uint64_t put(std::span<const std::uint8_t> bytes) {
        std::uint8_t* const to = take(bytes.size());
        if (!bytes.empty()) {
            std::memcpy(to, bytes.data(), bytes.size());
        }
        return reinterpret_cast<std::uint64_t>(to);
    }

  private:
    static constexpr std::uint64_t kPlace = 0x1234'4000'0000;

    std::uint8_t* base_;
    std::size_t used_ = 0;
};

}  // namespace crema::test::fuzz
