// SPDX-License-Identifier: BSD-3-Clause
//
// BPF links: a program in its place for as long as somebody holds the link.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "lib/base/result.h"
#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::ebpf::syscall {

/// Where the program of a link is: at a port, or in another program.
struct LinkPlace {
    std::uint32_t ifindex = 0;     // 0: no port (any more)
    std::uint32_t program_id = 0;  // 0: at a port
    std::uint32_t btf_type = 0;    // the function in that program
};

/// What LINK_CREATE makes, for one program in one place. Threads: any.
class Link {
  public:
    Link();
    virtual ~Link() = default;
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// Unique in this process, > 0.
    [[nodiscard]] std::uint32_t id() const { return id_; }

    [[nodiscard]] virtual std::shared_ptr<const LoadedProgram> program() const = 0;
    [[nodiscard]] virtual LinkPlace place() const = 0;

    /// LINK_UPDATE: puts `next` in the place; expected: null, or the program that must be there.
    [[nodiscard]] virtual int update(const std::shared_ptr<const LoadedProgram>& next,
                                     const LoadedProgram* expected);
    /// LINK_DETACH: lets go of the place before the link goes.
    [[nodiscard]] virtual int detach();

  private:
    std::uint32_t id_;
};

/// At a port, for as long as somebody holds the link.
class PortLink final : public Link {
  public:
    /// Attaches; flags: a mode of ports.h. Errors: those of PortHooks::change.
    [[nodiscard]] static Result<std::shared_ptr<Link>> attach(
        std::uint32_t ifindex, std::shared_ptr<const LoadedProgram> program, std::uint32_t flags);

    explicit PortLink(std::shared_ptr<const LoadedProgram> program);
    ~PortLink() override;
    PortLink(const PortLink&) = delete;
    PortLink& operator=(const PortLink&) = delete;

    [[nodiscard]] std::shared_ptr<const LoadedProgram> program() const override;
    /// ifindex 0 after detach().
    [[nodiscard]] LinkPlace place() const override;

    /// -EPERM another program is there, -ENOLINK after detach(), -EINVAL a program of another
    /// attach type.
    [[nodiscard]] int update(const std::shared_ptr<const LoadedProgram>& next,
                             const LoadedProgram* expected) override;
    [[nodiscard]] int detach() override;

  private:
    void let_go();

    mutable std::mutex mutex_;
    std::uint32_t ifindex_ = 0;
    std::shared_ptr<const LoadedProgram> program_;
};

}  // namespace crema::ebpf::syscall
