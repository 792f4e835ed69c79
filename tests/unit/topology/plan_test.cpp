// SPDX-License-Identifier: BSD-3-Clause
//
// The plan on machines that are made up, by hwloc's synthetic ones and by hand: two nodes, two
// threads per core, isolated CPUs; and what may be overridden.
#include "lib/topology/plan.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <gtest/gtest.h>

namespace crema::topology {
namespace {

/// hwloc's synthetic machine while it lives.
class Synthetic {
  public:
    explicit Synthetic(const char* description) {
        setenv("HWLOC_SYNTHETIC", description, 1);
        setenv("HWLOC_THISSYSTEM", "0", 1);
    }

    ~Synthetic() {
        unsetenv("HWLOC_SYNTHETIC");
        unsetenv("HWLOC_THISSYSTEM");
    }

    Synthetic(const Synthetic&) = delete;
    Synthetic& operator=(const Synthetic&) = delete;
};

/// Two nodes of four cores of two threads; CPUs 2i and 2i+1 are threads of core i.
constexpr char kTwoNodes[] = "numa:2 core:4 pu:2";

std::vector<Cpu> machine(const char* description,
                         const std::optional<std::vector<std::uint32_t>>& isolated = {}) {
    const Synthetic synthetic(description);
    const auto found = cpus(isolated);
    EXPECT_TRUE(found) << found.error().message;
    return found.value_or(std::vector<Cpu>{});
}

std::vector<QueueToPoll> queues(int node, std::uint16_t n) {
    std::vector<QueueToPoll> all;
    for (std::uint16_t i = 0; i < n; ++i) {
        all.push_back({.port = "port", .queue = i, .node = node});
    }
    return all;
}

std::vector<std::uint32_t> numbers(const Plan& plan) {
    std::vector<std::uint32_t> all;
    for (const PlannedWorker& each : plan.workers) {
        all.push_back(each.cpu.number);
    }
    return all;
}

using Numbers = std::vector<std::uint32_t>;

Plan planned(std::span<const Cpu> cpus,
             std::span<const QueueToPoll> queues,
             const PlanOptions& options = {}) {
    const auto plan = make_plan(cpus, queues, options, plain_distance);
    EXPECT_TRUE(plan) << plan.error().message;
    return plan.value_or(Plan{});
}

TEST(TopologyMachine, SyntheticOnesAreReadWhole) {
    const auto two = machine(kTwoNodes);
    ASSERT_EQ(two.size(), 16U);
    for (const Cpu& cpu : two) {
        EXPECT_EQ(cpu.node, cpu.number < 8 ? 0 : 1);
        EXPECT_EQ(cpu.core, cpu.number / 2);
        EXPECT_EQ(cpu.sibling, cpu.number % 2);
        EXPECT_FALSE(cpu.isolated);
    }
    const auto isolated = machine(kTwoNodes, Numbers{3, 9});
    EXPECT_EQ(std::ranges::count_if(isolated, &Cpu::isolated), 2);
    EXPECT_TRUE(is_this_machine());
    const Synthetic synthetic(kTwoNodes);
    EXPECT_FALSE(is_this_machine());
}

TEST(TopologyPlan, WorkersAreOnThePortsNodeAndOnCoresOfTheirOwn) {
    const auto cpus = machine(kTwoNodes);
    const Plan plan = planned(cpus, queues(1, 3));
    EXPECT_EQ(plan.main.number, 8U);
    EXPECT_EQ(numbers(plan), (Numbers{10, 12, 14}));
    EXPECT_EQ(plan.lcores(), "0@8,1@10,2@12,3@14");
    for (const PlannedQueue& each : plan.queues) {
        EXPECT_EQ(each.memory_node, 1);
        EXPECT_EQ(each.why, "on the port's node");
    }
    EXPECT_NE(plan.workers[0].why.find("on the node of a port"), std::string::npos);
}

TEST(TopologyPlan, NearSiblingsComeBeforeFarCores) {
    const auto cpus = machine(kTwoNodes);
    const Plan plan = planned(cpus, queues(0, 8), {.workers = 8});
    // Cores 1 to 3, their siblings, the main CPU's sibling, then the other node.
    EXPECT_EQ(numbers(plan), (Numbers{2, 4, 6, 3, 5, 7, 1, 8}));
    EXPECT_NE(plan.workers[3].why.find("sibling"), std::string::npos);
    EXPECT_NE(plan.workers[6].why.find("beside the main CPU"), std::string::npos);
    EXPECT_NE(plan.workers[7].why.find("no CPU is left on a node of a port"), std::string::npos);
}

TEST(TopologyPlan, WithoutAnOrderNoSiblingIsUsed) {
    const auto cpus = machine("numa:1 core:4 pu:2");
    const Plan plan = planned(cpus, queues(0, 16));
    EXPECT_EQ(numbers(plan), (Numbers{2, 4, 6}));
    std::vector<std::size_t> load(3);
    for (const PlannedQueue& each : plan.queues) {
        ++load[each.worker];
    }
    EXPECT_EQ(load, (std::vector<std::size_t>{6, 5, 5}));
}

TEST(TopologyPlan, IsolatedCpusWorkAndNeverControl) {
    const auto cpus = machine(kTwoNodes, Numbers{0, 2, 4});
    const Plan plan = planned(cpus, queues(0, 3));
    EXPECT_EQ(plan.main.number, 1U);
    EXPECT_EQ(numbers(plan), (Numbers{2, 4, 0}));
    EXPECT_NE(plan.workers[0].why.find("isolated: "), std::string::npos);
    EXPECT_NE(plan.main_why.find("not isolated"), std::string::npos);
}

TEST(TopologyPlan, PortsOfTwoNodesEachHaveNearWorkers) {
    const auto cpus = machine(kTwoNodes);
    auto all = queues(0, 2);
    const auto far = queues(1, 2);
    all.insert(all.end(), far.begin(), far.end());
    const Plan plan = planned(cpus, all, {.worker_cpus = {2, 4, 10, 12}});
    for (const PlannedQueue& each : plan.queues) {
        EXPECT_EQ(plan.workers[each.worker].cpu.node, each.queue.node);
        EXPECT_EQ(each.memory_node, each.queue.node);
    }
}

TEST(TopologyPlan, MemoryOfAPortWithoutNodeIsWhereItIsPolled) {
    const auto cpus = machine(kTwoNodes);
    const Plan plan = planned(cpus, queues(-1, 1), {.worker_cpus = {10}});
    EXPECT_EQ(plan.queues[0].memory_node, 1);
}

TEST(TopologyPlan, EverythingCanBeOverridden) {
    const auto cpus = machine(kTwoNodes);
    auto all = queues(0, 2);
    all[0].cpu = 15;
    const Plan plan = planned(cpus, all, {.main_cpu = 7, .worker_cpus = {15, 3}});
    EXPECT_EQ(plan.main.number, 7U);
    EXPECT_EQ(plan.main_why, "asked for");
    EXPECT_EQ(numbers(plan), (Numbers{15, 3}));
    EXPECT_EQ(plan.queues[0].worker, 0U);
    EXPECT_EQ(plan.queues[0].why, "asked for");
    EXPECT_EQ(plan.queues[1].worker, 1U);
}

TEST(TopologyPlan, ASmallMachineIsSharedAndSaysSo) {
    const auto one = machine("core:1 pu:1");
    const Plan alone = planned(one, queues(0, 4));
    EXPECT_EQ(numbers(alone), (Numbers{0}));
    EXPECT_NE(alone.workers[0].why.find("shared with the main CPU"), std::string::npos);
    const auto two = machine("core:1 pu:2");
    EXPECT_EQ(numbers(planned(two, queues(-1, 4))), (Numbers{1}));
}

TEST(TopologyPlan, WhatCannotBeIsRefused) {
    const auto cpus = machine(kTwoNodes);
    const auto refusal = [&cpus](const std::vector<QueueToPoll>& all, const PlanOptions& options,
                                 const char* words) {
        const auto plan = make_plan(cpus, all, options, plain_distance);
        ASSERT_FALSE(plan);
        EXPECT_EQ(plan.error().code, EINVAL);
        EXPECT_NE(plan.error().message.find(words), std::string::npos) << plan.error().message;
    };
    refusal(queues(0, 1), {.main_cpu = 16}, "no CPU 16");
    refusal(queues(0, 1), {.worker_cpus = {99}}, "no CPU 99");
    refusal(queues(0, 1), {.worker_cpus = {3, 3}}, "named twice");
    refusal(queues(0, 1), {.workers = 16}, "16 workers asked for, 15 CPUs");
    refusal({{.port = "p", .queue = 0, .node = 0, .cpu = 5}}, {.worker_cpus = {3}},
            "CPU 5 is no worker");
}

TEST(TopologyPlan, IsDrawnAsATree) {
    const auto cpus = machine("numa:2 core:1 pu:2", Numbers{2});
    const std::string text = draw(cpus, planned(cpus, queues(1, 1)));
    EXPECT_EQ(text,
              "node 0\n"
              "  core 0\n"
              "    CPU 0\n"
              "    CPU 1\n"
              "node 1\n"
              "  core 1\n"
              "    CPU 2 (isolated)\n"
              "      worker, lcore 1: isolated: the scheduler leaves it alone, on the node of a "
              "port, first thread of its core, beside the main CPU\n"
              "        port queue 0, memory on node 1: on the port's node\n"
              "    CPU 3  main: the first that is not isolated, on the node of a port\n"
              "EAL: --lcores 0@3,1@2\n");
}

}  // namespace
}  // namespace crema::topology
