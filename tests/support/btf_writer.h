// SPDX-License-Identifier: BSD-3-Clause
//
// The library's writer of BTF, by the name that tests use.
#pragma once

#include "lib/ebpf/program/btf_writer.h"

namespace crema::test {

using ebpf::BtfWriter;

}  // namespace crema::test
