// SPDX-License-Identifier: BSD-3-Clause
//
// The options of `crema topology`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "apps/crema/options.h"
#include "lib/base/result.h"

namespace crema::command {

class TopologyVerb {
  public:
    void declare(CLI::App& app, const std::string& exits);
    /// After parsing. EINVAL: a word that is not of its form; says which.
    [[nodiscard]] Result<TopologyOptions> options() const;

  private:
    TopologyOptions plain_;
    std::vector<std::string> ports_;
    std::vector<std::string> pins_;
    std::string cpus_;
    std::string isolated_;
    int main_ = -1;
    const CLI::App* verb_ = nullptr;
};

}  // namespace crema::command
