// SPDX-License-Identifier: BSD-3-Clause
//
// BPF links: a program at a port for as long as somebody holds the link. The rooms above own the
// ports; they install hooks here, as for the targets of maps (maps/target_hooks.h). Without them no
// port exists.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <mutex>

#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::ebpf::syscall {

/// Plain functions, set once. All run on a control thread and return 0 or a negative errno.
struct PortHooks {
    /// -EINVAL no such port, -EBUSY a program is there, what the port says of this one.
    int (*attach)(std::uint32_t ifindex, const std::shared_ptr<const LoadedProgram>& program);
    /// Puts `next` in the place of `current`; -ENODEV when the port or that program is gone.
    int (*replace)(std::uint32_t ifindex,
                   const LoadedProgram& current,
                   const std::shared_ptr<const LoadedProgram>& next);
    /// Nothing when the port or that program is gone.
    void (*detach)(std::uint32_t ifindex, const LoadedProgram& current);
};

void set_port_hooks(const PortHooks& hooks);
[[nodiscard]] const PortHooks& port_hooks();

/// LINK_CREATE of an XDP program. Threads: any.
class Link {
  public:
    /// Attaches. Null: *error.
    [[nodiscard]] static std::shared_ptr<Link> attach(std::uint32_t ifindex,
                                                      std::shared_ptr<const LoadedProgram> program,
                                                      int* error);

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
