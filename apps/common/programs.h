// SPDX-License-Identifier: BSD-3-Clause
//
// Programs and maps of a running data path as its user names them: OBJECT[:PROGRAM] on a port, and
// map settings MAP:KEY=VALUE that stay in force, so that an object that replaces another finds the
// same devmap and cpumap entries. Control thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/common/map_entries.h"
#include "lib/base/result.h"
#include "lib/ebpf/loader/object.h"

namespace crema::app {

/// [PORT=]OBJECT[:PROGRAM][,prio=N][,chain-call=VERDICT,VERDICT...]
struct ProgramSpec {
    std::optional<std::string> port;  // number or ethdev name; none: every port
    std::string object;
    std::string program;  // empty: the first that attaches to a port
    // Its place among others on the port; none: what the object says.
    std::optional<std::uint32_t> priority;
    std::optional<std::uint32_t> actions;  // as ebpf::RunConfig::actions

    /// EINVAL: not of that form.
    [[nodiscard]] static Result<ProgramSpec> parse(std::string_view text);
};

/// Number or name of an ethdev port.
[[nodiscard]] Result<std::uint16_t> port_of(std::string_view text);

class Programs {
  public:
    enum class How : std::uint8_t {
        alone,   // in place of what runs there
        joined,  // beside it
    };

    /// Loads the object (once per call) and attaches its program to all of `ports`. Nothing changes
    /// on ports that come after a failing one.
    [[nodiscard]] Status attach(const ProgramSpec& spec,
                                const std::vector<std::uint16_t>& ports,
                                How how);
    /// Everything that runs there.
    [[nodiscard]] Status detach(std::uint16_t port_id);
    /// One program by its number.
    [[nodiscard]] Status detach(std::uint16_t port_id, std::uint32_t id);
    void detach_all();

    /// Keeps the setting for objects loaded later and applies it to those that are loaded. ENOENT:
    /// objects are loaded and none has the map.
    [[nodiscard]] Status set(const MapSetting& setting);

    /// Only for later loads.
    void keep(MapSetting setting) { settings_.push_back(std::move(setting)); }

    /// ENOENT: no loaded object has the map of some setting.
    [[nodiscard]] Status check_settings() const;

    /// Contents, one line per entry. ENOENT: no loaded object has it.
    [[nodiscard]] Result<std::string> dump(const std::string& map) const;

    /// What runs there, in that order: "OBJECT:PROGRAM, ..."; those of others by their names alone.
    [[nodiscard]] std::string name_on(std::uint16_t port_id) const;

  private:
    struct Loaded {
        std::string path;
        ebpf::loader::Object object;
    };

    struct OnPort {
        std::shared_ptr<Loaded> loaded;
        std::uint32_t id = 0;
    };

    [[nodiscard]] Status apply(const MapSetting& setting, const Loaded& loaded) const;
    [[nodiscard]] std::vector<std::shared_ptr<Loaded>> loaded() const;

    /// Forgets what somebody outside has taken away.
    void forget_gone();

    std::map<std::uint16_t, std::vector<OnPort>> ports_;
    std::vector<MapSetting> settings_;
};

}  // namespace crema::app
