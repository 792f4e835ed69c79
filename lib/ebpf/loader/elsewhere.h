// SPDX-License-Identifier: BSD-3-Clause
//
// Object files for another process: this one's bpf(2) calls are served there (lib/ebpf/supervise),
// so what is loaded is that process's.
#pragma once

#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"

namespace crema::ebpf::loader {

/// Descriptors of what was loaded. Who attaches the program may close them.
struct LoadedElsewhere {
    std::string program;  // its name in full
    UniqueFd fd;
};

/// Loads one XDP program of the object at `path`; name empty: the first that attaches to a port.
/// Errors: as of Object::load; a refusal is the last line of the verifier's log.
[[nodiscard]] Result<LoadedElsewhere> load_elsewhere(const std::string& path,
                                                     const std::string& name);

}  // namespace crema::ebpf::loader
