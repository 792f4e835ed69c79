// SPDX-License-Identifier: BSD-3-Clause
//
// The types of the "kernel" that programs of this process meet: the kfuncs of kfuncs.h with their
// prototypes, and nothing that does not exist here. libbpf resolves `extern ... __ksym` against it,
// so an object that needs another function is refused by that function's name, and weak externs
// that are missing are null.
//
// Type numbers are the same in every process of one build.
#pragma once

#include <cstdint>
#include <memory>

#include "lib/ebpf/program/btf.h"

namespace crema::ebpf::kfuncs {

struct Function;

[[nodiscard]] std::shared_ptr<const Btf> kernel_btf();

/// The type number by which calls name `function`, a row of all().
[[nodiscard]] std::int32_t btf_id_of(const Function& function);

}  // namespace crema::ebpf::kfuncs
