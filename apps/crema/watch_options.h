// SPDX-License-Identifier: BSD-3-Clause
//
// The part of the command line that looks at running data paths: crema stats, monitor, dump.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/crema/options.h"

namespace CLI {
class App;
}

namespace crema::command {

/// Options of these verbs; the one that was named is handed out. Stays where it is: the parser
/// holds addresses inside.
class WatchVerbs {
  public:
    WatchVerbs() = default;
    WatchVerbs(const WatchVerbs&) = delete;
    WatchVerbs& operator=(const WatchVerbs&) = delete;
    ~WatchVerbs() = default;

    void declare(CLI::App& app);

    /// Nothing: `verb` is no such verb.
    [[nodiscard]] std::optional<Verb> named(const CLI::App& verb);

  private:
    StatsOptions stats_;
    MonitorOptions monitor_;
    DumpOptions dump_;
    std::string places_ = "entry";
    std::vector<std::string> filter_words_;
    const CLI::App* stats_verb_ = nullptr;
    const CLI::App* monitor_verb_ = nullptr;
    const CLI::App* dump_verb_ = nullptr;

    void declare_dump(CLI::App& app);
};

}  // namespace crema::command
