// SPDX-License-Identifier: BSD-3-Clause
//
// Answers `crema stats`, `crema monitor` and `crema dump` on connections that came by the control
// socket. A request is one line of JSON, {"ask": ...}, and so is its answer; an error is
// {"error": "..."}. A descriptor comes with the first byte of the answer that names it.
//
//   {"ask": "stats"}        the document of snapshot.h
//   {"ask": "count_runs"}   runs and time of programs are counted while the connection lives
//   {"ask": "events"}       the board of lib/xdp/events.h, with a descriptor
//   {"ask": "capture", ...} a file of lib/xdp/capture_ring.h, with a descriptor; ends with the
//                           connection. port: ifindex, 0 for all; programs: numbers, empty for
//                           those on the port; entry, exit: bool; snap, ring: bytes; filter:
//                           hexadecimal
//
// Clients may send anything, be slow or leave: each has its own bounded memory, none waits for
// another, and none for the packet path.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "apps/common/snapshot.h"
#include "lib/base/result.h"
#include "lib/base/unique_fd.h"

namespace crema::app {

class WatchService {
  public:
    /// Called on the service's thread, one call at a time.
    using TakeSnapshot = std::function<Snapshot()>;

    [[nodiscard]] static Result<std::unique_ptr<WatchService>> start(TakeSnapshot take);

    /// Captures end, connections are closed.
    ~WatchService();
    WatchService(const WatchService&) = delete;
    WatchService& operator=(const WatchService&) = delete;

    /// A new connection. Any thread.
    void take(UniqueFd connection);

  private:
    struct Client;

    WatchService(TakeSnapshot take, UniqueFd wake);

    void work();
    void adopt();
    void follow_programs();
    /// False: the client is gone.
    [[nodiscard]] bool serve(Client& client, short events);

    TakeSnapshot snapshot_;
    UniqueFd wake_;  // a new connection, or the end
    std::mutex mutex_;
    std::vector<UniqueFd> arrived_;
    bool stop_ = false;
    std::list<Client> clients_;
    std::thread thread_;
};

}  // namespace crema::app
