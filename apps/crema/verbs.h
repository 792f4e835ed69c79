// SPDX-License-Identifier: BSD-3-Clause
//
// The verbs of `crema`, a file each. Each prints what it has to say and returns the exit code.
#pragma once

#include "apps/crema/options.h"

namespace crema::command {

[[nodiscard]] int run_verb(const VerifyOptions& options);  // verify.cpp
[[nodiscard]] int run_verb(const DisasmOptions& options);  // disasm.cpp
[[nodiscard]] int run_verb(const RunOptions& options);     // run.cpp
[[nodiscard]] int run_verb(const BenchOptions& options);   // bench.cpp
[[nodiscard]] int run_verb(const BpfOptions& options);     // bpf.cpp
[[nodiscard]] int run_verb(const ProbeOptions& options);   // neta_probe.cpp

[[nodiscard]] int run_verb(const MapOptions& options);       // map.cpp
[[nodiscard]] int run_verb(const TopologyOptions& options);  // topology.cpp
[[nodiscard]] int run_verb(const AttachOptions& options);    // attach.cpp

[[nodiscard]] int run_verb(const StatsOptions& options);    // stats.cpp
[[nodiscard]] int run_verb(const MonitorOptions& options);  // monitor.cpp
[[nodiscard]] int run_verb(const DumpOptions& options);     // dump.cpp

}  // namespace crema::command
