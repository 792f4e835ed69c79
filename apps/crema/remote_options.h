// SPDX-License-Identifier: BSD-3-Clause
//
// The part of the command line that is about running data paths: crema map, and crema xdp attach,
// detach, status.
#pragma once

#include <optional>
#include <vector>

#include "apps/crema/options.h"

namespace CLI {
class App;
}

namespace crema::command {

inline constexpr char kExits[] = "Exit code: 0 done, 1 failed, 2 wrong usage.";

/// Options of all these verbs; the one that was named is handed out. Stays where it is: the parser
/// holds addresses inside.
class RemoteVerbs {
  public:
    RemoteVerbs();
    RemoteVerbs(const RemoteVerbs&) = delete;
    RemoteVerbs& operator=(const RemoteVerbs&) = delete;
    ~RemoteVerbs() = default;

    /// Adds "map" to `app`, and to its command `xdp` what works on ports.
    void declare(CLI::App& app, CLI::App& xdp);

    /// Nothing: `verb` is no such verb.
    [[nodiscard]] std::optional<Verb> named(const CLI::App& verb) const;

  private:
    void declare_map(CLI::App& app);
    void declare_attach(CLI::App& xdp);

    std::vector<MapOptions> map_;
    std::vector<AttachOptions> attach_;
    std::vector<const CLI::App*> map_verbs_;
    std::vector<const CLI::App*> attach_verbs_;
};

}  // namespace crema::command
