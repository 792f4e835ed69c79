// SPDX-License-Identifier: BSD-3-Clause
//
// crema: the control command. Everything below `crema xdp` so far works on an object file alone, in
// this process, without rights: no device, no EAL, no running data path. `crema bpf` runs programs
// of others.
#include <cstdio>
#include <string>
#include <vector>

#include "apps/common/exit_code.h"
#include "apps/crema/options.h"
#include "apps/crema/output.h"
#include "apps/crema/verbs.h"

// NOLINTNEXTLINE(bugprone-exception-escape): memory that runs out ends the command
int main(int argc, char** argv) {
    using namespace crema;
    const auto verb = command::parse_command_line({argv + 1, argv + argc});
    if (!verb) {
        const bool failed = verb.error().exit_code != app::kDone;
        (void)std::fprintf(failed ? stderr : stdout, failed ? "%s\n" : "%s",
                           verb.error().text.c_str());
        return verb.error().exit_code;
    }
    return std::visit([](const auto& options) { return command::run_verb(options); }, *verb);
}
