// SPDX-License-Identifier: BSD-3-Clause
//
// Ports as bpf(2) and rtnetlink know them: a number, a name, at most one program; and what stands
// there really, which may be several one after the other. The rooms above own the ports; they
// install hooks here, as for the targets of maps (maps/target_hooks.h). Without them no port
// exists.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/program/run_config.h"
#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::ebpf::syscall {

/// XDP_FLAGS_* of LINK_CREATE and of IFLA_XDP_FLAGS.
inline constexpr std::uint32_t kUpdateIfNoExist = 1, kSkbMode = 2, kDrvMode = 4, kHwMode = 8,
                               kReplace = 16;
inline constexpr std::uint32_t kModeFlags = kSkbMode | kDrvMode | kHwMode;
inline constexpr std::uint32_t kXdpFlags = kUpdateIfNoExist | kModeFlags | kReplace;

/// Where a program is shown. A port has one way of running programs, whatever it is called.
enum class XdpMode : std::uint8_t { native, generic };

/// A program at a port, and how it stands among others there.
struct ChainedProgram {
    std::shared_ptr<const LoadedProgram> program;  // never null
    RunConfig config;
};

/// What runs on a port, and how it got there.
struct Attachment {
    std::vector<ChainedProgram> programs;  // in the order they run; empty: nothing
    XdpMode mode = XdpMode::native;
    bool by_link = false;

    /// The one that is shown to who knows of one program per port; null: nothing.
    [[nodiscard]] std::shared_ptr<const LoadedProgram> first() const {
        return programs.empty() ? nullptr : programs.front().program;
    }
};

/// A program alone, or null: nothing.
[[nodiscard]] Attachment alone(std::shared_ptr<const LoadedProgram> program,
                               XdpMode mode,
                               bool by_link);

/// What a caller wants to stand at a port.
struct PortChange {
    std::shared_ptr<const LoadedProgram> program;   // null: nothing
    std::shared_ptr<const LoadedProgram> expected;  // with kReplace; null: nothing
    std::uint32_t flags = 0;
    bool by_link = false;
};

/// What is to become of the programs of a port, all of it at once.
struct ChainChange {
    std::vector<ChainedProgram> join;
    std::vector<std::uint32_t> leave;  // by number
    bool all_leave = false;            // whatever is there
    std::uint32_t flags = 0;           // of kModeFlags, for those that join
};

struct PortInfo {
    std::uint32_t ifindex = 0;
    std::string name;   // as the kernel lets interfaces be named: at most 15 letters
    std::string alias;  // a longer name of the same port; may be empty
    std::uint32_t mtu = 0;
    std::array<std::uint8_t, 6> address{};
    bool is_up = false;
    bool has_carrier = false;
    std::uint32_t rx_queues = 0;
    std::uint32_t tx_queues = 0;
    Attachment attachment;
};

/// Plain functions, set once. All run on a control thread.
struct PortHooks {
    /// The kernel's rules and words (lib/xdp/attach_rules.h); ENODEV: no such port.
    Status (*change)(std::uint32_t ifindex, const PortChange& change);
    /// Puts `next` in the place of `current`, which a link holds there; -ENODEV when the port or
    /// that program is gone.
    int (*replace)(std::uint32_t ifindex,
                   const LoadedProgram& current,
                   const std::shared_ptr<const LoadedProgram>& next);
    /// Nothing when the port or that program is gone.
    void (*detach)(std::uint32_t ifindex, const LoadedProgram& current);
    /// The rules of after_chain_change() (lib/xdp/attach_rules.h); ENODEV: no such port.
    Status (*change_chain)(std::uint32_t ifindex, const ChainChange& change);
    /// Those that a program can be attached to, by number.
    std::vector<PortInfo> (*list)();
};

void set_port_hooks(const PortHooks& hooks);
[[nodiscard]] const PortHooks& port_hooks();

}  // namespace crema::ebpf::syscall
