// SPDX-License-Identifier: BSD-3-Clause
//
// What the conformance tests share: both machines made ready once per process, and the parameter
// list (program x instruction set).
#pragma once

#include <gtest/gtest.h>
#include <ostream>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "tests/support/subjects.h"
#include "tests/support/transcript.h"

namespace crema::test {

/// The reason why the kernel cannot be asked here, or success. Prepares it at the first call.
[[nodiscard]] const Status& kernel_ready();
/// The same for Crema; a failure is a failed test.
[[nodiscard]] const Status& crema_ready();

struct Variant {
    std::size_t subject;  // index into subjects()
    std::string isa;      // one of kIsaSuffixes
};

/// For GoogleTest's messages.
std::ostream& operator<<(std::ostream& out, const Variant& variant);

[[nodiscard]] std::vector<Variant> all_variants();
/// "l2fwd", "l2fwdV1": names of parameterised tests.
[[nodiscard]] std::string variant_name(const testing::TestParamInfo<Variant>& info);

/// ifindex that packet number `i` comes in on: 1, 2, 3, 1, ...
[[nodiscard]] std::uint32_t ifindex_for(std::size_t i);

[[nodiscard]] std::string recorded_path(const Subject& subject);

/// Loads, sets up and runs every packet of the subject on the machine.
[[nodiscard]] Result<Transcript> run_all(LoadedMachine machine, const Subject& subject);

/// All differences, at most a screenful, one per line.
[[nodiscard]] std::vector<std::string> differences(const Transcript& expected,
                                                   const Transcript& got);
[[nodiscard]] std::string screenful(const std::vector<std::string>& lines);

}  // namespace crema::test
