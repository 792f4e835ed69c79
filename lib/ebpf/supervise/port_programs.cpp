// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/supervise/port_programs.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/ebpf/program/run_config.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/ports.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::supervise {
namespace {

using syscall::ChainChange;
using syscall::ChainedProgram;

PortProgram shown(const ChainedProgram& one) {
    const LoadedProgram& loaded = *one.program;
    PortProgram result;
    result.priority = one.config.priority;
    result.actions = one.config.actions;
    result.id = loaded.id;
    std::ranges::copy(loaded.tag, std::begin(result.tag));
    const std::string_view name = full_name_of(loaded.program);
    name.copy(result.name, kProgramNameBytes - 1);
    return result;
}

long list_programs(const PortProgramsAttr& asked) {
    for (const syscall::PortInfo& port : syscall::port_hooks().list()) {
        if (port.ifindex != asked.ifindex) {
            continue;
        }
        std::vector<PortProgram> all;
        std::ranges::transform(port.attachment.programs, std::back_inserter(all), shown);
        if (all.size() > asked.programs_n) {
            return -ENOSPC;
        }
        const int err =
            syscall::copy_out(asked.programs, all.data(), all.size() * sizeof(PortProgram));
        return err != 0 ? err : static_cast<long>(all.size());
    }
    return -ENODEV;
}

Result<ChainedProgram> joining(const PortProgram& one) {
    int error = 0;
    const auto object = syscall::object_store::find_as<syscall::ProgramObject>(one.fd, &error);
    if (object == nullptr) {
        return fail(-error, "descriptor {} is no program", one.fd);
    }
    const LoadedProgram& loaded = *object->program;
    if (loaded.extension != nullptr) {
        return fail(EINVAL, "program {} is an extension of another one", loaded.program.name);
    }
    ChainedProgram result = {.program = object->program, .config = {}};
    if (one.given != (kPriorityGiven | kActionsGiven)) {
        const auto config = run_config_of(loaded.program);
        if (!config) {
            return forward_error(config);
        }
        result.config = *config;
    }
    if ((one.given & kPriorityGiven) != 0) {
        result.config.priority = one.priority;
    }
    if ((one.given & kActionsGiven) != 0) {
        result.config.actions = one.actions;
    }
    return result;
}

Status change_programs(const PortProgramsAttr& asked) {
    if (asked.programs_n > kPortProgramsMax || asked.leave_n > kPortProgramsMax) {
        return fail(E2BIG, "at most {} programs join or leave at once", kPortProgramsMax);
    }
    std::vector<PortProgram> programs(asked.programs_n);
    ChainChange change;
    change.leave.resize(asked.leave_n);
    change.all_leave = asked.all_leave != 0;
    change.flags = asked.flags;
    const auto read = [](auto& to, std::uint64_t from) {
        return syscall::copy_in(to.data(), from, to.size() * sizeof(to.front()));
    };
    if (read(programs, asked.programs) != 0 || read(change.leave, asked.leave) != 0) {
        return fail(EFAULT, "no memory there");
    }
    for (const PortProgram& each : programs) {
        auto one = joining(each);
        if (!one) {
            return forward_error(one);
        }
        change.join.push_back(std::move(*one));
    }
    // A link that nobody holds any more makes room.
    syscall::object_store::collect();
    return syscall::port_hooks().change_chain(asked.ifindex, change);
}

/// Cut where there is no room for more.
void say(const PortProgramsAttr& asked, std::string_view words) {
    if (asked.words == 0 || asked.words_bytes == 0) {
        return;
    }
    std::string text(words.substr(0, asked.words_bytes - 1));
    // The refusal itself is told in any case.
    (void)syscall::copy_out(asked.words, text.c_str(), text.size() + 1);
}

}  // namespace

long serve_port_programs(std::uint64_t attr, std::uint32_t size) {
    PortProgramsAttr asked;
    if (size != sizeof asked) {
        return -EINVAL;
    }
    if (const int err = syscall::copy_in(&asked, attr, sizeof asked); err != 0) {
        return err;
    }
    if (asked.zero != 0 || asked.what > PortProgramsAttr::change) {
        return -EINVAL;
    }
    if (asked.what == PortProgramsAttr::list) {
        return list_programs(asked);
    }
    const Status done = change_programs(asked);
    if (!done) {
        say(asked, done.error().message);
        return -done.error().code;
    }
    return 0;
}

}  // namespace crema::ebpf::supervise
