// SPDX-License-Identifier: BSD-3-Clause
#include "apps/common/programs.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <rte_ethdev.h>

#include "lib/ebpf/program/run_config.h"
#include "lib/xdp/attach.h"

namespace crema::app {
namespace {

Result<std::uint32_t> ifindex_of_port(std::string_view text) {
    const auto port = port_of(text);
    if (!port) {
        return forward_error(port);
    }
    return xdp::ifindex_of(*port);
}

/// text: ",prio=N" and ",chain-call=VERDICT,VERDICT...", in any order.
Status take_place(std::string_view text, ProgramSpec& spec) {
    constexpr std::string_view kPriority = ",prio=", kActions = ",chain-call=";
    while (!text.empty()) {
        const bool is_priority = text.starts_with(kPriority);
        if (!is_priority && !text.starts_with(kActions)) {
            return fail(EINVAL, "'{}' is neither prio=N nor chain-call=VERDICT,...", text);
        }
        text.remove_prefix(is_priority ? kPriority.size() : kActions.size());
        const auto end = std::min(text.find(kPriority), text.find(kActions));
        const std::string_view value = text.substr(0, end);
        text.remove_prefix(std::min(end, text.size()));
        if (is_priority) {
            const auto number = integer_of(value);
            if (!number || *number > UINT32_MAX) {
                return fail(EINVAL, "prio={}: want a number below 2^32", value);
            }
            spec.priority = static_cast<std::uint32_t>(*number);
            continue;
        }
        const auto actions = ebpf::actions_of(value);
        if (!actions) {
            return forward_error(actions);
        }
        spec.actions = *actions;
    }
    return {};
}

}  // namespace

Result<ProgramSpec> ProgramSpec::parse(std::string_view text) {
    ProgramSpec spec;
    // A path may hold commas, too.
    const auto place = std::min(text.find(",prio="), text.find(",chain-call="));
    std::string_view rest = text.substr(0, place);
    if (place != std::string_view::npos) {
        if (const Status taken = take_place(text.substr(place), spec); !taken) {
            return fail(EINVAL, "'{}': {}", text, taken.error().message);
        }
    }
    // A path may hold '=', a port's name may not hold '/'.
    const auto equals = rest.find('=');
    if (equals != std::string_view::npos && rest.find('/') > equals) {
        spec.port = std::string(rest.substr(0, equals));
        rest.remove_prefix(equals + 1);
    }
    const auto colon = rest.rfind(':');
    if (colon != std::string_view::npos && rest.find('/', colon) == std::string_view::npos) {
        spec.program = std::string(rest.substr(colon + 1));
        rest = rest.substr(0, colon);
    }
    spec.object = std::string(rest);
    if (spec.object.empty() || (spec.port && spec.port->empty())) {
        return fail(EINVAL,
                    "'{}' is not of the form "
                    "[PORT=]OBJECT[:PROGRAM][,prio=N][,chain-call=VERDICT,...]",
                    text);
    }
    return spec;
}

Result<std::uint16_t> port_of(std::string_view text) {
    if (const auto number = integer_of(text)) {
        if (*number >= RTE_MAX_ETHPORTS ||
            rte_eth_dev_is_valid_port(static_cast<std::uint16_t>(*number)) == 0) {
            return fail(ENODEV, "port {} does not exist", text);
        }
        return static_cast<std::uint16_t>(*number);
    }
    std::uint16_t port_id = 0;
    if (rte_eth_dev_get_port_by_name(std::string(text).c_str(), &port_id) != 0) {
        return fail(ENODEV, "port '{}' does not exist", text);
    }
    return port_id;
}

Status Programs::apply(const MapSetting& setting, const Loaded& loaded) const {
    const auto map = loaded.object.map(setting.map);
    if (!map) {
        return {};  // meant for another object
    }
    if (const Status done = set_entry(**map, setting, loaded.object, ifindex_of_port); !done) {
        return fail(done.error().code, "{}: map setting {}: {}", loaded.path, setting.text(),
                    done.error().message);
    }
    return {};
}

Status Programs::attach(const ProgramSpec& spec, const std::vector<std::uint16_t>& ports, How how) {
    auto object = ebpf::loader::Object::load(spec.object);
    if (!object) {
        return forward_error(object);
    }
    auto loaded = std::make_shared<Loaded>(Loaded{spec.object, std::move(*object)});
    const auto program = loaded->object.program(spec.program);
    if (!program) {
        return forward_error(program);
    }
    auto config = ebpf::run_config_of((*program)->program);
    if (!config) {
        return forward_error(config);
    }
    config->priority = spec.priority.value_or(config->priority);
    config->actions = spec.actions.value_or(config->actions);
    for (const MapSetting& setting : settings_) {
        if (Status done = apply(setting, *loaded); !done) {
            return done;
        }
    }
    xdp::ChainChange change;
    change.join.push_back({.program = *program, .config = *config});
    change.all_leave = how == How::alone;
    for (const std::uint16_t port : ports) {
        if (Status done = xdp::change_chain(port, change); !done) {
            return done;
        }
        ports_[port].push_back({.loaded = loaded, .id = (*program)->id});
    }
    forget_gone();
    return {};
}

Status Programs::detach(std::uint16_t port_id) {
    Status done = xdp::detach(port_id);
    forget_gone();
    return done;
}

Status Programs::detach(std::uint16_t port_id, std::uint32_t id) {
    xdp::ChainChange change;
    change.leave.push_back(id);
    Status done = xdp::change_chain(port_id, change);
    forget_gone();
    return done;
}

void Programs::forget_gone() {
    for (auto& [port, own] : ports_) {
        const auto there = xdp::attachment(port).programs;
        std::erase_if(own, [&there](const OnPort& each) {
            return std::ranges::none_of(there, [&each](const xdp::ChainedProgram& running) {
                return running.program->id == each.id;
            });
        });
    }
    std::erase_if(ports_, [](const auto& each) { return each.second.empty(); });
}

void Programs::detach_all() {
    while (!ports_.empty()) {
        // A port that is gone has no program any more.
        (void)xdp::detach(ports_.begin()->first);
        ports_.erase(ports_.begin());
    }
}

std::vector<std::shared_ptr<Programs::Loaded>> Programs::loaded() const {
    std::vector<std::shared_ptr<Loaded>> all;
    for (const auto& [port, own] : ports_) {
        for (const OnPort& each : own) {
            if (std::find(all.begin(), all.end(), each.loaded) == all.end()) {
                all.push_back(each.loaded);
            }
        }
    }
    return all;
}

Status Programs::set(const MapSetting& setting) {
    bool found = false;
    for (const auto& each : loaded()) {
        found = found || each->object.map(setting.map).has_value();
        if (Status done = apply(setting, *each); !done) {
            return done;
        }
    }
    if (!found) {
        return fail(ENOENT, "map setting {}: no loaded object has a map of that name",
                    setting.text());
    }
    keep(setting);
    return {};
}

Status Programs::check_settings() const {
    const auto all = loaded();
    for (const MapSetting& setting : settings_) {
        const bool found = std::any_of(all.begin(), all.end(), [&](const auto& each) {
            return each->object.map(setting.map).has_value();
        });
        if (!found) {
            return fail(ENOENT, "map setting {}: no loaded object has a map of that name",
                        setting.text());
        }
    }
    return {};
}

Result<std::string> Programs::dump(const std::string& map) const {
    std::string out;
    bool found = false;
    for (const auto& each : loaded()) {
        if (const auto own = each->object.map(map)) {
            found = true;
            fmt::format_to(std::back_inserter(out), "{} ({}):\n", map, each->path);
            out += contents(**own);
        }
    }
    if (!found) {
        return fail(ENOENT, "map {}: no loaded object has a map of that name", map);
    }
    return out;
}

std::string Programs::name_on(std::uint16_t port_id) const {
    const auto own = ports_.find(port_id);
    std::string names;
    for (const xdp::ChainedProgram& running : xdp::attachment(port_id).programs) {
        const ebpf::LoadedProgram& loaded = *running.program;
        names += names.empty() ? "" : ", ";
        if (own != ports_.end()) {
            const auto found = std::ranges::find(own->second, loaded.id, &OnPort::id);
            names += found != own->second.end() ? found->loaded->path + ":" : "";
        }
        names += loaded.program.name;
    }
    return names;
}

}  // namespace crema::app
