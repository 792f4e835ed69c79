// SPDX-License-Identifier: BSD-3-Clause
//
// The seam to librte_bpf: machine code for a lowered program. DPDK's validator is replaced
// (--wrap) by the proof that lowering started from; any other caller of it is refused.
#pragma once

#include "lib/base/result.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/lowering/lower.h"

struct rte_bpf;

namespace crema::ebpf::lowering {

/// Lowering has rules for the JIT of this architecture.
#if defined(__x86_64__)
inline constexpr bool kHasJit = true;
#else
inline constexpr bool kHasJit = false;
#endif

/// Owns the machine code; freed on destruction, so it must outlive every run.
class Code {
  public:
    Code() = default;
    Code(Code&& other) noexcept;
    Code& operator=(Code&& other) noexcept;
    Code(const Code&) = delete;
    Code& operator=(const Code&) = delete;
    ~Code();

    [[nodiscard]] EntryPoint entry() const { return entry_; }

    [[nodiscard]] std::size_t bytes() const { return bytes_; }

  private:
    friend Result<Code> compile(const Lowered& lowered);
    rte_bpf* handle_ = nullptr;
    EntryPoint entry_ = nullptr;
    std::size_t bytes_ = 0;
};

/// ENOTSUP: this architecture has no JIT. ENOMEM: no executable memory (also a policy that forbids
/// making it executable). Thread: any; not on the packet path.
[[nodiscard]] Result<Code> compile(const Lowered& lowered);

}  // namespace crema::ebpf::lowering
