// SPDX-License-Identifier: BSD-3-Clause
#include "apps/common/programs.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <rte_ethdev.h>

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

}  // namespace

Result<ProgramSpec> ProgramSpec::parse(std::string_view text) {
    ProgramSpec spec;
    std::string_view rest = text;
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
        return fail(EINVAL, "'{}' is not of the form [PORT=]OBJECT[:PROGRAM]", text);
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

Status Programs::attach(const ProgramSpec& spec, const std::vector<std::uint16_t>& ports) {
    auto object = ebpf::loader::Object::load(spec.object);
    if (!object) {
        return forward_error(object);
    }
    auto loaded = std::make_shared<Loaded>(Loaded{spec.object, std::move(*object)});
    const auto program = loaded->object.program(spec.program);
    if (!program) {
        return forward_error(program);
    }
    for (const MapSetting& setting : settings_) {
        if (Status done = apply(setting, *loaded); !done) {
            return done;
        }
    }
    for (const std::uint16_t port : ports) {
        if (Status done = xdp::attach(port, *program); !done) {
            return done;
        }
        ports_[port] = {
            .loaded = loaded, .program = (*program)->program.name, .id = (*program)->id};
    }
    return {};
}

Status Programs::detach(std::uint16_t port_id) {
    Status done = xdp::detach(port_id);
    if (done) {
        ports_.erase(port_id);
    }
    return done;
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
        if (std::find(all.begin(), all.end(), own.loaded) == all.end()) {
            all.push_back(own.loaded);
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
    const auto found = ports_.find(port_id);
    // Somebody outside may have put another program there, or taken this one away.
    const auto running = xdp::attached(port_id);
    return found == ports_.end() || running == nullptr || running->id != found->second.id
               ? std::string{}
               : fmt::format("{}:{}", found->second.loaded->path, found->second.program);
}

}  // namespace crema::app
