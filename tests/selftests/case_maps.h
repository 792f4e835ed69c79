// SPDX-License-Identifier: BSD-3-Clause
//
// The maps that the table's cases name by kind ("hash_48b", "timer" ...), made through either face
// of bpf(2). Sizes and types are those that the cases are written for.
#pragma once

#include <string_view>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "tests/selftests/bpf_face.h"

namespace crema::test {

/// A new map of this kind, or why there is none (errno and one line).
[[nodiscard]] Result<UniqueFd> make_case_map(BpfFace& face, std::string_view kind);

}  // namespace crema::test
