// SPDX-License-Identifier: BSD-3-Clause
//
// Where compiled functions lie. librte_bpf gives each a page of its own and begins at its start, so
// all functions compete for the same few lines of the instruction cache: with eight ways the ninth
// of a chain of small programs evicts the first. Here each begins somewhere else in its page. The
// code must not care where it lies, as that of both JITs does not: jumps are relative and stay
// inside, calls are of absolute addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "lib/base/result.h"

namespace crema::ebpf::lowering {

/// A copy of one function, executable and no longer writable; gone with its owner.
class CodeMemory {
  public:
    /// ENOMEM: no executable memory, also where a policy forbids it.
    [[nodiscard]] static Result<CodeMemory> place(std::span<const std::uint8_t> code);

    CodeMemory(CodeMemory&& other) noexcept
        : mapped_(std::exchange(other.mapped_, nullptr)),
          mapped_bytes_(other.mapped_bytes_),
          address_(other.address_) {}

    CodeMemory(const CodeMemory&) = delete;
    CodeMemory& operator=(const CodeMemory&) = delete;
    CodeMemory& operator=(CodeMemory&&) = delete;
    ~CodeMemory();

    [[nodiscard]] std::uint64_t address() const { return address_; }

  private:
    CodeMemory(void* mapped, std::size_t bytes, std::uint64_t address)
        : mapped_(mapped), mapped_bytes_(bytes), address_(address) {}

    void* mapped_;
    std::size_t mapped_bytes_;
    std::uint64_t address_;
};

}  // namespace crema::ebpf::lowering
