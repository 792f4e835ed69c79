// SPDX-License-Identifier: BSD-3-Clause
//
// crema xdp attach, detach, status: programs on the ports of a running data path, one after the
// other where there are several. What is attached stays when this command ends. JSON is that of
// `bpftool net`, and what it does not know.
#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "apps/common/exit_code.h"
#include "apps/common/programs.h"
#include "apps/crema/data_path.h"
#include "apps/crema/output.h"
#include "apps/crema/remote_output.h"
#include "apps/crema/remote_port.h"
#include "apps/crema/verbs.h"
#include "lib/ebpf/loader/elsewhere.h"
#include "lib/ebpf/program/run_config.h"
#include "lib/ebpf/syscall/ports.h"

namespace crema::command {
namespace {

using nlohmann::ordered_json;

std::uint32_t mode_flag(const std::string& mode) {
    return mode == "native"    ? ebpf::syscall::kDrvMode
           : mode == "generic" ? ebpf::syscall::kSkbMode
                               : 0;
}

/// What was loaded for one OBJECT[:PROGRAM]..., and how it is to stand.
struct Loaded {
    ebpf::loader::LoadedElsewhere program;
    Joining joining;
};

Result<Loaded> load(const AttachOptions& options, const std::string& text) {
    const auto spec = app::ProgramSpec::parse(text);
    if (!spec) {
        return forward_error(spec);
    }
    if (spec->port) {
        return fail(EINVAL, "'{}' is not of the form OBJECT[:PROGRAM]: the port comes before it",
                    text);
    }
    auto loaded = ebpf::loader::load_elsewhere(
        spec->object, spec->program.empty() ? options.program : spec->program);
    if (!loaded) {
        return forward_error(loaded);
    }
    const Joining joining = {.fd = loaded->fd.get(),
                             .priority = spec->priority ? spec->priority : options.priority,
                             .actions = spec->actions ? spec->actions : options.actions};
    return Loaded{.program = std::move(*loaded), .joining = joining};
}

Status attach(const AttachOptions& options) {
    const auto port = find_port(options.port);
    if (!port) {
        return forward_error(port);
    }
    std::vector<Loaded> all;  // their descriptors stay until they are attached
    ProgramsChange change;
    for (const std::string& object : options.objects) {
        auto one = load(options, object);
        if (!one) {
            return forward_error(one);
        }
        change.join.push_back(one->joining);
        all.push_back(std::move(*one));
    }
    if (options.instead_of) {
        change.leave.push_back(*options.instead_of);
    }
    change.all_leave = options.replace;
    change.flags = mode_flag(options.mode);
    return change_programs(*port, change);
}

Status detach(const AttachOptions& options) {
    const auto port = find_port(options.port);
    if (!port) {
        return forward_error(port);
    }
    if (port->programs.size() > 1 && !options.id && !options.all) {
        return fail(EINVAL, "{}: {} programs are attached: say --id NUMBER, or --all", port->name,
                    port->programs.size());
    }
    ProgramsChange change;
    change.all_leave = !options.id;
    if (options.id) {
        change.leave.push_back(*options.id);
    }
    return change_programs(*port, change);
}

ordered_json json_of(const RemotePort& port) {
    ordered_json programs = ordered_json::array();
    for (const RemoteProgram& each : port.programs) {
        programs.push_back({{"prio", each.priority},
                            {"name", each.name},
                            {"id", each.id},
                            {"tag", each.tag},
                            {"chain_call_actions", ebpf::actions_text(each.actions)}});
    }
    return {{"devname", port.name},
            {"ifindex", port.ifindex},
            {"mode", port.mode},
            {"id", port.programs.front().id},
            {"programs", programs}};
}

/// Two lines, and one for each program, in the columns of xdp-loader's.
std::string text_of(const RemotePort& port) {
    const std::string name = fmt::format("{}: {}{}", port.ifindex, port.name,
                                         port.alias.empty() ? "" : " (" + port.alias + ")");
    if (port.programs.empty()) {
        return fmt::format("{:<22} <No XDP program loaded!>\n", name);
    }
    std::string text =
        fmt::format("{:<40} {}\n", name, port.mode == "driver" ? std::string("native") : port.mode);
    for (const RemoteProgram& each : port.programs) {
        text += fmt::format("{:<16} {:<5}  {:<16} {:<8} {:<4} {:<17} {}\n", " =>", each.priority,
                            each.name, "", each.id, each.tag, ebpf::actions_text(each.actions));
    }
    return text;
}

Status status(const AttachOptions& options) {
    const auto all = ports();
    if (!all) {
        return forward_error(all);
    }
    ordered_json attached = ordered_json::array();
    std::string text =
        fmt::format("{:<16} {:<5} {:<17} {:<8} {:<4} {:<17} {}\n{:-<86}\n", "Interface", "Prio",
                    "Program name", "Mode", "ID", "Tag", "Chain actions", "");
    for (const RemotePort& port : *all) {
        if (!port.programs.empty()) {
            attached.push_back(json_of(port));
        }
        text += text_of(port);
    }
    const ordered_json document =
        ordered_json::array({{{"xdp", attached},
                              {"tc", ordered_json::array()},
                              {"flow_dissector", ordered_json::array()}}});
    print_either(options, document, text);
    return {};
}

}  // namespace

int run_verb(const AttachOptions& options) {
    Status done = join_data_path(options.to);
    if (done) {
        done = options.what == AttachOptions::What::attach   ? attach(options)
               : options.what == AttachOptions::What::detach ? detach(options)
                                                             : status(options);
    }
    if (!done) {
        say_error(done.error().message);
        return app::kFailed;
    }
    return app::kDone;
}

}  // namespace crema::command
