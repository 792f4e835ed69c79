// SPDX-License-Identifier: BSD-3-Clause
//
// Serves the bpf(2) calls of other processes, those that trap.h sent here: each call goes to
// lib/ebpf/syscall with the memory and descriptors of the process that made it, and new
// descriptors are put into that process. A call waits in the kernel until it is answered.
//
// Two processes of one supervisor see the same objects, as two processes on one kernel do.
// Commands run one at a time, but test runs beside them.
#pragma once

#include <memory>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"

namespace crema::ebpf::supervise {

/// Drops the objects that no process has open any more. Taking turns with the commands of all
/// supervisors, as they touch the same objects. Who keeps supervisors calls it now and then: a link
/// must go with the process that held it although nobody asks, and that process may end after the
/// last of its calls was noticed to be the last.
void collect_objects();

class Supervisor {
  public:
    struct Options {
        bool verbose = false;  // a line on stderr for what is refused because it is not served
    };

    /// listener: of trap_bpf_calls().
    [[nodiscard]] static Result<std::unique_ptr<Supervisor>> start(UniqueFd listener,
                                                                   Options options);

    struct State;

    explicit Supervisor(std::shared_ptr<State> state) : state_(std::move(state)) {}

    /// Calls that come later fail with ENOSYS. Waits for those that are being served, some seconds.
    ~Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    /// True when no supervised process is left.
    [[nodiscard]] bool finished() const;

  private:
    std::shared_ptr<State> state_;
};

}  // namespace crema::ebpf::supervise
