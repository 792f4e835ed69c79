// SPDX-License-Identifier: BSD-3-Clause
//
// When may an old program, target or port go? Readers (a polled RX queue, a cpumap poller) go
// online for the length of a burst, so any application that polls is covered, also one that knows
// nothing of us. Built on rte_rcu_qsbr; two fences per burst.
#pragma once

#include <cstdint>

struct rte_rcu_qsbr;

namespace crema::xdp {

/// A reader's place; one per RX queue or cpumap poller. Not per thread: only one thread polls it.
class Reader {
  public:
    Reader();
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    void enter();  // start of a burst
    void leave();  // end of a burst: nothing read inside is used any more

  private:
    std::uint32_t id_;
    rte_rcu_qsbr* qsbr_ = nullptr;
};

/// Returns when every burst that ran at the time of the call has ended. Control threads only:
/// called between enter() and leave() it would wait for itself.
void synchronize();

}  // namespace crema::xdp
