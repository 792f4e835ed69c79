// SPDX-License-Identifier: BSD-3-Clause
//
// Which context the programs of the calling thread run on, for helpers whose arguments leave no
// room for it (trace_printk has five of its own) and that follow addresses: they must know where
// the frame lies, and which part of the thread's stack is the programs'. Whoever runs programs
// opens a scope around a burst. A helper outside of any scope follows no address into frames or
// stacks.
#pragma once

#include "lib/ebpf/abi/xdp_buff.h"

namespace crema::ebpf {

class RunScope {
  public:
    // Inlined: the address is that of the frame that opens the scope, below which programs run.
    [[gnu::always_inline]] explicit RunScope(const XdpBuff& buff)
        : outer_(t_current), outer_stack_end_(t_stack_end) {
        t_current = &buff;
        t_stack_end = __builtin_frame_address(0);
    }

    RunScope(const RunScope&) = delete;
    RunScope& operator=(const RunScope&) = delete;

    ~RunScope() {
        t_current = outer_;
        t_stack_end = outer_stack_end_;
    }

    /// Null outside of any scope.
    [[nodiscard]] static const XdpBuff* current() { return t_current; }

    /// Programs' frames are below it. Null outside of any scope.
    [[nodiscard]] static const void* stack_end() { return t_stack_end; }

  private:
    [[gnu::tls_model("initial-exec")]] static constinit thread_local const XdpBuff* t_current;
    [[gnu::tls_model("initial-exec")]] static constinit thread_local const void* t_stack_end;
    const XdpBuff* outer_;
    const void* outer_stack_end_;
};

inline constinit thread_local const XdpBuff* RunScope::t_current = nullptr;
inline constinit thread_local const void* RunScope::t_stack_end = nullptr;

}  // namespace crema::ebpf
