// SPDX-License-Identifier: BSD-3-Clause
//
// The command line of crema-neta-model.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace crema::neta_model {

struct Options {
    std::string socket{};
    std::string wire = "null";
    std::string variant{};
    std::string clock{};
    std::string faults{};
    std::string name = "neta-model";  // the address at power-on follows from it
    bool pci = false;
};

/// Why there is nothing to run: help, version, wrong usage.
struct Early {
    int exit_code = 0;
    std::string text{};
};

[[nodiscard]] tl::expected<Options, Early> parse_options(const std::vector<std::string>& words);

}  // namespace crema::neta_model
