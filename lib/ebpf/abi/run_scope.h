// SPDX-License-Identifier: BSD-3-Clause
//
// Which context the programs of the calling thread run on, for helpers whose arguments leave no
// room for it (trace_printk has five of its own) and that follow addresses: they must know where
// the frame lies, and which part of the thread's stack is the programs'. Whoever runs programs
// opens a scope around a burst. A helper outside of any scope follows no address into frames or
// stacks.
//
// And what must be done once per burst, however many packets ask for it: waking readers of events,
// which is a system call.
#pragma once

#include <atomic>

#include "lib/ebpf/abi/xdp_buff.h"

namespace crema::ebpf {

/// Lives at least as long as the bursts whose runs ask for it: who ends one waits for readers
/// (lib/xdp/quiescence.h), and a scope ends before its reader leaves.
struct AfterRuns {
    explicit AfterRuns(void (*what)(AfterRuns&)) : act(what) {}

    void (*act)(AfterRuns&);
    AfterRuns* next = nullptr;
    std::atomic<bool> is_asked{false};  // by some thread, which has not acted yet
};

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
        if (outer_ == nullptr && t_afterwards != nullptr) [[unlikely]] {
            act();
        }
    }

    /// Has `what` done when the outermost scope of this thread ends; at once outside of any.
    static void ask(AfterRuns& what) {
        if (t_current == nullptr) {
            what.act(what);
        } else if (!what.is_asked.exchange(true)) {
            what.next = t_afterwards;
            t_afterwards = &what;
        }
    }

    /// Null outside of any scope.
    [[nodiscard]] static const XdpBuff* current() { return t_current; }

    /// Programs' frames are below it. Null outside of any scope.
    [[nodiscard]] static const void* stack_end() { return t_stack_end; }

  private:
    static void act() {
        while (t_afterwards != nullptr) {
            AfterRuns& what = *t_afterwards;
            t_afterwards = what.next;
            what.is_asked.store(false);  // who asks from here on is not served by what follows
            what.act(what);
        }
    }

    [[gnu::tls_model("initial-exec")]] static constinit thread_local const XdpBuff* t_current;
    [[gnu::tls_model("initial-exec")]] static constinit thread_local const void* t_stack_end;
    [[gnu::tls_model("initial-exec")]] static constinit thread_local AfterRuns* t_afterwards;
    const XdpBuff* outer_;
    const void* outer_stack_end_;
};

inline constinit thread_local const XdpBuff* RunScope::t_current = nullptr;
inline constinit thread_local const void* RunScope::t_stack_end = nullptr;
inline constinit thread_local AfterRuns* RunScope::t_afterwards = nullptr;

}  // namespace crema::ebpf
