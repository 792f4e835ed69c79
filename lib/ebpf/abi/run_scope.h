// SPDX-License-Identifier: BSD-3-Clause
//
// Which context the programs of the calling thread run on, for helpers whose arguments leave no
// room for it (trace_printk has five of its own) and that follow addresses: they must know where
// the frame lies. Whoever runs programs opens a scope around a burst. A helper outside of any scope
// follows no address into frames or stacks.
#pragma once

#include "lib/ebpf/abi/xdp_buff.h"

namespace crema::ebpf {

class RunScope {
  public:
    explicit RunScope(const XdpBuff& buff) : outer_(t_current) { t_current = &buff; }

    RunScope(const RunScope&) = delete;
    RunScope& operator=(const RunScope&) = delete;

    ~RunScope() { t_current = outer_; }

    /// Null outside of any scope.
    [[nodiscard]] static const XdpBuff* current() { return t_current; }

  private:
    [[gnu::tls_model("initial-exec")]] static constinit thread_local const XdpBuff* t_current;
    const XdpBuff* outer_;
};

inline constinit thread_local const XdpBuff* RunScope::t_current = nullptr;

}  // namespace crema::ebpf
