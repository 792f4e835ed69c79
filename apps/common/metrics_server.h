// SPDX-License-Identifier: BSD-3-Clause
//
// Serves metrics over HTTP, to Prometheus and to nobody else: GET /metrics, one answer per
// connection. Clients may be slow, endless or hostile: each has a few kilobytes and a few seconds,
// there are only so many of them, and none waits for another.
//
// Does not hold TLS, authentication and other paths: what is to be reached from elsewhere goes
// behind a proxy.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "apps/common/open_metrics.h"
#include "lib/base/result.h"
#include "lib/base/unique_fd.h"

namespace crema::app {

class MetricsServer {
  public:
    using Write = std::function<std::string(MetricsForm)>;

    /// address: [HOST:]PORT (HOST 127.0.0.1 without one, [...] around IPv6; PORT 0: any) or
    /// unix:PATH. Errors: EINVAL no such address, those of bind(2).
    [[nodiscard]] static Result<std::unique_ptr<MetricsServer>> listen(const std::string& address,
                                                                       Write write);
    ~MetricsServer();
    MetricsServer(const MetricsServer&) = delete;
    MetricsServer& operator=(const MetricsServer&) = delete;

    /// Where it listens, with the port that was chosen.
    [[nodiscard]] const std::string& address() const { return address_; }

  private:
    struct Client;

    MetricsServer(Write write, UniqueFd listening, UniqueFd stop);

    void work();
    void accept_all();
    /// False: it is over.
    [[nodiscard]] bool serve(Client& client) const;
    [[nodiscard]] std::string answer_to(std::string_view head) const;

    Write write_;
    UniqueFd listening_;
    UniqueFd stop_;
    std::string address_;
    std::string path_;  // of a UNIX socket
    std::list<Client> clients_;
    std::thread thread_;
};

}  // namespace crema::app
