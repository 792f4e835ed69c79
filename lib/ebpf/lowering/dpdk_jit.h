// SPDX-License-Identifier: BSD-3-Clause
//
// The seam to librte_bpf: machine code for a lowered program. DPDK's validator is replaced
// (--wrap) by the proof that lowering started from; any other caller of it is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/lowering/code_memory.h"
#include "lib/ebpf/lowering/gates.h"
#include "lib/ebpf/lowering/jit_rules.h"
#include "lib/ebpf/lowering/lower.h"

namespace crema::ebpf::lowering {

/// Owns the machine code of all functions; freed on destruction, so it must outlive every run.
class Code {
  public:
    struct Function {
        std::uint64_t address = 0;
        std::size_t bytes = 0;
        std::int32_t gate = -1;      // for calls; -1: they go to the address
        std::uint32_t function = 0;  // index in Program::functions
    };

    /// Where a run starts.
    [[nodiscard]] EntryPoint entry() const {
        return functions_.empty() ? nullptr
                                  : reinterpret_cast<EntryPoint>(functions_.back().address);
    }

    /// In the order of Lowered::functions.
    [[nodiscard]] const std::vector<Function>& functions() const { return functions_; }

    /// Calls of a function, by its index in Program::functions, go to `address` from now on; 0: to
    /// the function itself. Nothing happens where no call was compiled. A call that is under way
    /// ends where it is. Threads: one at a time.
    void replace(std::uint32_t function, std::uint64_t address) const;

    /// Of all functions.
    [[nodiscard]] std::size_t bytes() const { return bytes_; }

  private:
    friend Result<Code> compile(const Lowered& lowered);

    std::vector<CodeMemory> memory_;  // of each function
    std::vector<Function> functions_;
    Gates gates_;
    // Of the functions, read by compiled code (AddressOf).
    std::unique_ptr<std::uint64_t[]> addresses_;
    std::size_t bytes_ = 0;
};

/// ENOTSUP: this architecture has no JIT. ENOMEM: no executable memory (also a policy that forbids
/// making it executable). Thread: any; not on the packet path.
[[nodiscard]] Result<Code> compile(const Lowered& lowered);

}  // namespace crema::ebpf::lowering
