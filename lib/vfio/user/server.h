// SPDX-License-Identifier: BSD-3-Clause
//
// A modelled device on a socket: one client at a time, the next one when it has gone. Between
// messages the device works; when it has nothing to do, the server sleeps on socket and wire.
// A client that vanishes loses its memory here before anything else happens; then the device is as
// after power-on. Nothing that a client does ends the server.
// One thread: run().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/vfio/device.h"
#include "lib/vfio/user/guest_memory.h"
#include "lib/vfio/user/session.h"

namespace crema::vfio::user {

class Server {
  public:
    /// Makes the model `chip` and a socket at `path`, where nobody may be listening. Errors: what
    /// the model says, EADDRINUSE, and what the system says of the path.
    [[nodiscard]] static Result<std::unique_ptr<Server>> create(const std::string& path,
                                                                Flavour flavour,
                                                                const std::string& chip,
                                                                const ModelArgs& args);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Serves clients until `stop` or a signal that sets it; looks at it ten times a second.
    void run(const std::atomic<bool>& stop);

    [[nodiscard]] std::string describe() const { return model_->about(); }

    /// Clients that have come so far.
    [[nodiscard]] std::uint32_t clients() const { return clients_.load(std::memory_order_relaxed); }

    /// Ranges of the present client's memory.
    [[nodiscard]] std::size_t ranges() const { return ranges_.load(std::memory_order_relaxed); }

  private:
    Server(std::string path, UniqueFd socket, Flavour flavour);

    void serve(UniqueFd client, const std::atomic<bool>& stop);
    [[nodiscard]] bool take_messages(Channel& channel, Session& session, bool& busy);
    [[nodiscard]] bool answer(Channel& channel, Session& session);
    void sleep(const Channel& channel);

    std::string path_;
    UniqueFd socket_;
    Flavour flavour_;
    GuestMemory memory_;
    std::unique_ptr<Servable> model_;
    Session::Out reply_;
    std::string why_;  // the client's connection ended
    std::atomic<std::uint32_t> clients_{0};
    std::atomic<std::size_t> ranges_{0};
};

}  // namespace crema::vfio::user
