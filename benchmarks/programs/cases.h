// SPDX-License-Identifier: BSD-3-Clause
//
// The programs that are measured, their packet, and what their maps hold: the same for every
// engine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/common/turns.h"

namespace crema::bench {

struct MapFill {
    std::string map;
    app::Bytes key;
    app::Bytes value;     // as bpf(2) takes it; ifindex 1 exists everywhere
    std::string program;  // instead of a value: program of the object, for a program array
};

struct Case {
    std::string name;
    std::string kind;     // one line: what it stands for
    std::string object;   // path
    std::string program;  // function in it
    std::string twin;     // path of the native twin; empty: there is no source
    app::Bytes packet;
    std::vector<MapFill> fill;
};

[[nodiscard]] std::vector<Case> all_cases();

}  // namespace crema::bench
