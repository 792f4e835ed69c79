// SPDX-License-Identifier: BSD-3-Clause
//
// Asks a running data path for statistics, events and captures (apps/common/watch_service.h), over
// its control socket. No rights and no seccomp are needed, and nothing else of this process is
// served there.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"

namespace crema::command {

class WatchClient {
  public:
    [[nodiscard]] static Result<WatchClient> join(const std::string& path);

    /// The answer. Errors: the data path's words; ECONNRESET: it has ended; ETIMEDOUT: it does not
    /// answer.
    [[nodiscard]] Result<nlohmann::ordered_json> ask(const nlohmann::ordered_json& request);

    /// What came with the last answer; invalid: nothing.
    [[nodiscard]] UniqueFd take_descriptor() { return std::move(passed_); }

    /// False: the data path has ended.
    [[nodiscard]] bool is_alive() const;

  private:
    WatchClient(std::string path, UniqueFd socket)
        : path_(std::move(path)), socket_(std::move(socket)) {}

    [[nodiscard]] Status send(const std::string& line) const;
    [[nodiscard]] Result<std::string> receive();

    std::string path_;
    UniqueFd socket_;
    UniqueFd passed_{};
    std::string rest_{};
};

}  // namespace crema::command
