// SPDX-License-Identifier: BSD-3-Clause
//
// A snapshot of the host's routing that is kept fresh: a control thread listens to rtnetlink and
// reads everything anew some milliseconds after a change. Programs read the newest one without
// lock, wait or system call.
//
// The mirror is of the network namespace of the thread that started it.
#pragma once

#include <atomic>
#include <cstdint>

#include "lib/base/result.h"
#include "lib/fib/snapshot.h"

namespace crema::fib {

/// Reads the first snapshot and starts the thread; nothing when it runs already. It ends with the
/// process. Error: rtnetlink's.
[[nodiscard]] Status start_mirror();

/// Reads a snapshot now, in the calling thread's namespace, and publishes it: for those who must
/// not wait for the thread. Starts no thread.
[[nodiscard]] Status refresh_mirror();

/// The newest snapshot while this object lives; null before start_mirror. Packet path; keep it
/// short: an update waits for it.
class MirrorReader {
  public:
    MirrorReader();
    ~MirrorReader();
    MirrorReader(const MirrorReader&) = delete;
    MirrorReader& operator=(const MirrorReader&) = delete;

    [[nodiscard]] const Snapshot* snapshot() const { return snapshot_; }

  private:
    std::atomic<std::uint32_t>* readers_;
    const Snapshot* snapshot_;
};

}  // namespace crema::fib
