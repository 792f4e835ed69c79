// SPDX-License-Identifier: BSD-3-Clause
//
// The way to functions that may be replaced while programs run: each has a gate, machine code that
// jumps to where the gate's slot says. Callers hold the address of the gate and never change; the
// code of the gates is never writable, their slots are never executable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "lib/base/result.h"

namespace crema::ebpf::lowering {

class Gates {
  public:
    /// Gates that lead nowhere yet. ENOMEM, E2BIG.
    [[nodiscard]] static Result<Gates> make(std::size_t count);

    Gates() = default;
    Gates(Gates&& other) noexcept;
    Gates& operator=(Gates&& other) noexcept;
    Gates(const Gates&) = delete;
    Gates& operator=(const Gates&) = delete;
    ~Gates();

    [[nodiscard]] std::size_t count() const { return count_; }

    /// What callers call.
    [[nodiscard]] std::uint64_t address(std::size_t gate) const;

    /// Calls that begin from now on go there. Threads: one at a time, beside any callers.
    void lead(std::size_t gate, std::uint64_t to) const;

  private:
    std::uint8_t* code_ = nullptr;
    std::size_t code_bytes_ = 0;  // the slots follow
    std::size_t count_ = 0;
};

}  // namespace crema::ebpf::lowering
