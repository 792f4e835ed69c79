// SPDX-License-Identifier: BSD-3-Clause
//
// A vfio-user server on a thread of the test's process.
#pragma once

#include <atomic>
#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>

#include "lib/vfio/user/server.h"

namespace crema::vfio {

/// A server on a thread.
class ServerThread {
  public:
    explicit ServerThread(const std::string& chip,
                          const ModelArgs& args = {},
                          user::Flavour flavour = user::Flavour::plain,
                          const std::string& at = "") {
        static std::atomic<unsigned> number{0};
        path = !at.empty() ? at
                           : "/tmp/crema-vfio-" + std::to_string(::getpid()) + "-" +
                                 std::to_string(number++);
        auto made = user::Server::create(path, flavour, chip, args);
        if (!made) {
            ADD_FAILURE() << made.error().message;
            std::abort();
        }
        server = std::move(*made);
        thread_ = std::thread([this] { server->run(stop_); });
    }

    ~ServerThread() { end(); }

    ServerThread(const ServerThread&) = delete;
    ServerThread& operator=(const ServerThread&) = delete;

    void end() {
        stop_.store(true, std::memory_order_release);
        if (thread_.joinable()) {
            thread_.join();
        }
        server.reset();
    }

    std::string path;
    std::unique_ptr<user::Server> server;

  private:
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace crema::vfio
