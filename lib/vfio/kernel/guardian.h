// SPDX-License-Identifier: BSD-3-Clause
//
// A process that outlives this one by a moment, to stop a device that no IOMMU keeps from memory:
// whatever ends this process, also SIGKILL, the guardian then writes a few registers and goes. It
// is a child of nobody here, ignores all signals that it can, and holds the memory that was mapped
// when it was started, so that no such page gets another owner before the device is quiet.
//
// It cannot help when it is killed itself, before or together with this process (a machine out of
// memory, a control group that is killed as a whole), nor for memory that was mapped later, which
// is given back some microseconds before it acts.
#pragma once

#include <cstdint>
#include <span>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/vfio/registers.h"

namespace crema::vfio::kernel {

class Guardian {
  public:
    static constexpr std::size_t kWritesMax = 16;

    /// Registers are written by pwrite(2) to `device` at `region` + offset, in this order.
    /// Errors: what the system says; E2BIG more than kWritesMax.
    [[nodiscard]] static Result<Guardian> start(int device,
                                                std::uint64_t region,
                                                std::span<const RegisterWrite> writes);

    Guardian() = default;
    Guardian(Guardian&&) = default;
    Guardian& operator=(Guardian&&) = delete;
    Guardian(const Guardian&) = delete;
    Guardian& operator=(const Guardian&) = delete;
    /// Has it do its work now, and waits until it has let the device go.
    ~Guardian();

  private:
    explicit Guardian(UniqueFd line) : line_(std::move(line)) {}

    UniqueFd line_;  // when it breaks, this process is gone
};

}  // namespace crema::vfio::kernel
