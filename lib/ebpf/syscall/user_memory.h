// SPDX-License-Identifier: BSD-3-Clause
//
// Reads and writes memory that a bpf(2) caller points at. The caller is this process or another
// (lib/base/caller.h); either way its pointers are input: an unmapped address is EFAULT, as in the
// kernel, and not a crash. The kernel does the checking (process_vm_readv, also on ourselves);
// where a sandbox forbids that call the bytes of this process are copied directly.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>

namespace crema::ebpf::syscall {

/// Copies bytes from `from`, an address of the caller. 0, or -EFAULT with `to` undefined.
[[nodiscard]] int copy_in(void* to, std::uint64_t from, std::size_t bytes);

/// Copies bytes to `to`, an address of the caller. 0 or -EFAULT.
[[nodiscard]] int copy_out(std::uint64_t to, const void* from, std::size_t bytes);

/// Memory for a key or value of the caller. Its size is the caller's choice, up to 2 GiB: not
/// getting it is ENOMEM and not the end of the process.
class Buffer {
  public:
    explicit Buffer(std::size_t bytes)
        : bytes_(bytes), memory_(new (std::nothrow) std::uint8_t[bytes]) {}

    [[nodiscard]] int read(std::uint64_t from) {
        return memory_ == nullptr ? -ENOMEM : copy_in(memory_.get(), from, bytes_);
    }

    [[nodiscard]] int write(std::uint64_t to) const { return copy_out(to, memory_.get(), bytes_); }

    /// Null: there was not enough memory.
    [[nodiscard]] std::uint8_t* data() { return memory_.get(); }

    [[nodiscard]] std::size_t size() const { return bytes_; }

  private:
    std::size_t bytes_;
    std::unique_ptr<std::uint8_t[]> memory_;
};

/// Reads a NUL terminated string, cut after `bytes_max` bytes. 0 or -EFAULT.
[[nodiscard]] int copy_in_string(std::string& to, std::uint64_t from, std::size_t bytes_max);

/// 0 when the caller's bytes are all zero, -E2BIG when not, -EFAULT.
[[nodiscard]] int check_zero(std::uint64_t from, std::size_t bytes);

}  // namespace crema::ebpf::syscall
