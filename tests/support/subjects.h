// SPDX-License-Identifier: BSD-3-Clause
//
// The programs that both machines run, and how their maps are set up before the first packet.
#pragma once

#include <string>
#include <vector>

#include "tests/support/machine.h"

namespace crema::test {

struct Subject {
    std::string object;   // file name without ".bpf.o"
    std::string program;  // function in it
    bool is_shipped;      // from bpf/, not from tests/support/bpf
    std::vector<MapUpdate> setup;
};

/// Instruction set versions as suffixes of the object's name: "", ".v1", ".v2".
inline constexpr const char* kIsaSuffixes[] = {"", ".v1", ".v2"};

[[nodiscard]] const std::vector<Subject>& subjects();

/// Path of the object in the build folder.
[[nodiscard]] std::string object_path(const Subject& subject, const std::string& isa_suffix);

/// Applies the set-up; the first error.
[[nodiscard]] Status set_up(Machine& machine, const Subject& subject);

/// All packets for this program, in order: the fixed ones, then its own requests.
[[nodiscard]] std::vector<Packet> packets_for(const Subject& subject);

}  // namespace crema::test
