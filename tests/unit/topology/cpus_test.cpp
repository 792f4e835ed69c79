// SPDX-License-Identifier: BSD-3-Clause
//
// Topology: what is read from this machine must agree with the kernel, and the choice of workers
// is checked on machines made up here.
#include "lib/topology/cpus.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <set>

#include "lib/topology/this_cpu.h"

namespace crema::topology {
namespace {

Worker worker(unsigned lcore, std::uint32_t number, int node, std::uint32_t sibling = 0) {
    return {.lcore = lcore,
            .cpu = {.number = number, .node = node, .core = number, .sibling = sibling}};
}

int two_sockets(int from, int to) {
    return from == to ? 10 : 21;
}

TEST(TopologyCpuList, ReadsRangesAndSingles) {
    EXPECT_EQ(parse_cpu_list("0-2,5,8-9\n"), (std::vector<std::uint32_t>{0, 1, 2, 5, 8, 9}));
    EXPECT_TRUE(parse_cpu_list("\n").empty());
    EXPECT_TRUE(parse_cpu_list("").empty());
}

TEST(TopologyCpus, AgreeWithTheScheduler) {
    cpu_set_t allowed;
    ASSERT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
    const auto found = cpus();
    ASSERT_TRUE(found) << found.error().message;
    std::set<std::uint32_t> numbers;
    for (const Cpu& cpu : *found) {
        EXPECT_TRUE(numbers.insert(cpu.number).second) << "CPU " << cpu.number << " twice";
    }
    for (std::uint32_t number = 0; number < CPU_SETSIZE; ++number) {
        if (CPU_ISSET(number, &allowed)) {
            EXPECT_EQ(numbers.count(number), 1U) << "CPU " << number << " was not found";
        }
    }
    EXPECT_NE(describe(*found).find("CPU "), std::string::npos);
}

TEST(TopologyCpus, ThreadKeepsItsNumber) {
    const std::uint32_t first = cpu_of_this_thread();
    EXPECT_EQ(cpu_of_this_thread(), first);
    EXPECT_LT(first, CPU_SETSIZE);
}

TEST(TopologyWorkers, IsolatedThenCoresThenSiblings) {
    std::vector<Worker> workers = {worker(1, 4, 0, 1), worker(2, 0, 0), worker(3, 1, 0),
                                   worker(4, 3, 0)};
    workers[3].cpu.isolated = true;
    sort_best_first(workers);
    std::vector<std::uint32_t> order;
    order.reserve(workers.size());
    for (const Worker& each : workers) {
        order.push_back(each.cpu.number);
    }
    EXPECT_EQ(order, (std::vector<std::uint32_t>{3, 0, 1, 4}));
}

TEST(TopologyAssign, PrefersTheNodeOfTheDevice) {
    const std::vector<Worker> workers = {worker(1, 0, 0), worker(2, 1, 1)};
    const std::vector<int> queues = {1, 1, 0, -1};
    EXPECT_EQ(assign_queues(queues, workers, two_sockets), (std::vector<std::size_t>{1, 1, 0, 0}));
}

TEST(TopologyAssign, SpreadsOverWorkersOfOneNode) {
    const std::vector<Worker> workers = {worker(1, 0, 0), worker(2, 1, 0), worker(3, 2, 0)};
    const std::vector<int> queues = {0, 0, 0, 0};
    EXPECT_EQ(assign_queues(queues, workers, two_sockets), (std::vector<std::size_t>{0, 1, 2, 0}));
}

}  // namespace
}  // namespace crema::topology
