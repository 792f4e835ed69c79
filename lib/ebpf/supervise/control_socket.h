// SPDX-License-Identifier: BSD-3-Clause
//
// Lets commands of others use the objects of this process: a socket in the file system, for the
// same user and root only. A client sends the descriptor of its trap (trap.h) and gets a line back:
// the folder that stands for the BPF file system, or "error: " and why not. From then on a
// supervisor serves it, and the socket is not needed any more. A client whose first byte is
// kGuestMark wants something else: its connection is handed to the application, which keeps it
// (statistics, events and captures: apps/common/watch_service.h).
//
// Clients may send anything, be slow, or leave: each has a few seconds, none waits for another.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/supervise/supervisor.h"

namespace crema::ebpf::supervise {

/// Nothing that passes a descriptor begins like this.
inline constexpr char kGuestMark = '{';

class ControlSocket {
  public:
    /// Takes a connection, of which nothing was read, of the same user or root. On the socket's
    /// own thread.
    using Guests = std::function<void(UniqueFd)>;

    /// path: a new socket; one that nobody listens on is replaced. Beside it "PATH.bpffs" is made
    /// for pins. EADDRINUSE somebody listens there; errors of the file system.
    [[nodiscard]] static Result<std::unique_ptr<ControlSocket>> listen(const std::string& path,
                                                                       Guests guests = {});

    /// What clients made and nobody here uses is gone afterwards; their calls fail.
    ~ControlSocket();
    ControlSocket(const ControlSocket&) = delete;
    ControlSocket& operator=(const ControlSocket&) = delete;

  private:
    ControlSocket(std::string path, Guests guests, UniqueFd listening, UniqueFd stop);

    struct Client {
        UniqueFd socket;
        std::int64_t deadline_ms;
    };

    void work();
    void accept_one();
    void serve(Client& client);
    [[nodiscard]] std::string answer_to(const Client& client);

    std::string path_;
    std::string folder_;
    Guests guests_;
    UniqueFd listening_;
    UniqueFd stop_;
    std::vector<Client> clients_;
    std::vector<std::unique_ptr<Supervisor>> supervisors_;
    std::thread thread_;
};

/// Client side: a connection to the socket at `path`. Errors say what, with the path.
[[nodiscard]] Result<UniqueFd> reach(const std::string& path);

/// Client side: has the calls of this process, which were trapped, served behind the socket at
/// `path`. Returns the folder that stands for the BPF file system.
[[nodiscard]] Result<std::string> hand_over(const std::string& path, const UniqueFd& listener);

}  // namespace crema::ebpf::supervise
