// SPDX-License-Identifier: BSD-3-Clause
//
// crema xdp attach, detach, status: programs on the ports of a running data path. What is attached
// stays when this command ends. JSON is that of `bpftool net`.
#include <nlohmann/json.hpp>

#include "apps/common/exit_code.h"
#include "apps/crema/data_path.h"
#include "apps/crema/output.h"
#include "apps/crema/remote_output.h"
#include "apps/crema/remote_port.h"
#include "apps/crema/verbs.h"
#include "lib/ebpf/loader/elsewhere.h"
#include "lib/ebpf/syscall/ports.h"

namespace crema::command {
namespace {

using nlohmann::ordered_json;

std::uint32_t mode_flag(const std::string& mode) {
    return mode == "native"    ? ebpf::syscall::kDrvMode
           : mode == "generic" ? ebpf::syscall::kSkbMode
                               : 0;
}

Status attach(const AttachOptions& options) {
    const auto port = find_port(options.port);
    if (!port) {
        return forward_error(port);
    }
    const auto loaded = ebpf::loader::load_elsewhere(options.object, options.program);
    if (!loaded) {
        return forward_error(loaded);
    }
    const std::uint32_t unless = options.replace ? 0 : ebpf::syscall::kUpdateIfNoExist;
    return set_program(*port, loaded->fd.get(), mode_flag(options.mode) | unless);
}

Status detach(const AttachOptions& options) {
    const auto port = find_port(options.port);
    if (!port) {
        return forward_error(port);
    }
    if (port->program_id == 0) {
        return fail(ENOENT, "{}: no program is attached", port->name);
    }
    // In whatever mode it is shown.
    return set_program(*port, -1, mode_flag(port->mode == "driver" ? "native" : port->mode));
}

Status status(const AttachOptions& options) {
    const auto all = ports();
    if (!all) {
        return forward_error(all);
    }
    ordered_json attached = ordered_json::array();
    std::string text;
    for (const RemotePort& port : *all) {
        const bool has_program = port.program_id != 0;
        if (has_program) {
            attached.push_back({{"devname", port.name},
                                {"ifindex", port.ifindex},
                                {"mode", port.mode},
                                {"id", port.program_id}});
        }
        const std::string program =
            has_program ? fmt::format("{} id {} ({})", port.program, port.program_id, port.mode)
                        : "no program";
        text += fmt::format("{}: {}{}: {}\n", port.ifindex, port.name,
                            port.alias.empty() ? "" : " (" + port.alias + ")", program);
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
