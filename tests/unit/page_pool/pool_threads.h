// SPDX-License-Identifier: BSD-3-Clause
//
// Threads beside the one that owns a pool.
#pragma once

#include <functional>
#include <gtest/gtest.h>
#include <thread>

#include <rte_lcore.h>

namespace crema::test {

/// Runs `work` in a thread that DPDK knows as an lcore (or does not).
inline void in_thread(bool registered, const std::function<void()>& work) {
    std::thread([&] {
        if (registered) {
            ASSERT_EQ(rte_thread_register(), 0);
        }
        work();
        if (registered) {
            rte_thread_unregister();
        }
    }).join();
}

}  // namespace crema::test
