// SPDX-License-Identifier: BSD-3-Clause
#include "tests/selftests/known_differences.h"

#include <cerrno>
#include <fstream>

namespace crema::test {

Result<Causes> read_causes(const std::string& path) {
    std::ifstream input(path);
    if (!input) {
        return fail(ENOENT, "{} is not there", path);
    }
    Causes causes;
    std::string line;
    while (std::getline(input, line)) {
        if (line.empty() || line[0] == '#') {
            continue;
        }
        const std::size_t bar = line.rfind(" | ");
        if (bar == std::string::npos) {
            return fail(EINVAL, "{}: no ' | ' in \"{}\"", path, line);
        }
        causes[line.substr(0, bar)] = line.substr(bar + 3);
    }
    return causes;
}

}  // namespace crema::test
