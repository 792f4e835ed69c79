// SPDX-License-Identifier: BSD-3-Clause
//
// BPF links: a program at a port for as long as somebody holds the link.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "lib/base/result.h"
#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::ebpf::syscall {

/// LINK_CREATE of an XDP program. Threads: any.
class Link {
  public:
    /// Attaches; flags: a mode of ports.h. Errors: those of PortHooks::change.
    [[nodiscard]] static Result<std::shared_ptr<Link>> attach(
        std::uint32_t ifindex, std::shared_ptr<const LoadedProgram> program, std::uint32_t flags);

    Link(std::uint32_t ifindex, std::shared_ptr<const LoadedProgram> program);
    ~Link();
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// Unique in this process, > 0.
    [[nodiscard]] std::uint32_t id() const { return id_; }

    /// 0 after detach().
    [[nodiscard]] std::uint32_t ifindex() const;
    [[nodiscard]] std::shared_ptr<const LoadedProgram> program() const;

    /// expected: null, or the program that must be there (-EPERM otherwise). -ENOLINK after
    /// detach(), -EINVAL a program of another attach type.
    [[nodiscard]] int update(const std::shared_ptr<const LoadedProgram>& next,
                             const LoadedProgram* expected);
    void detach();

  private:
    mutable std::mutex mutex_;
    std::uint32_t id_;
    std::uint32_t ifindex_;
    std::shared_ptr<const LoadedProgram> program_;
};

}  // namespace crema::ebpf::syscall
