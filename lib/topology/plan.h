// SPDX-License-Identifier: BSD-3-Clause
//
// Which CPUs a data path should run on, which of them polls which queue, where the memory of a
// queue lies, and why: the one rule that programs and `crema topology` share. Nothing is pinned
// here, EAL's lcores do that; every choice can be overridden.
//
// The rule
//   main CPU   it controls and does not forward: the first that is not isolated, on the node of the
//              ports where there is one, as it is near enough and takes nothing from far ones
//   workers    as many as there are queues, at most one per core that is left; in this order:
//              isolated CPUs before others, CPUs on a node of a port before others, first hardware
//              threads before siblings, cores other than the main CPU's before its own, by number
//   queues     the nearest worker, of those the one with the fewest queues (assign_queues())
//   memory     of the port's node; of a port without one, of the node of the worker that polls it
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/topology/cpus.h"

namespace crema::topology {

/// A queue that is to be polled.
struct QueueToPoll {
    std::string port;
    std::uint16_t queue = 0;
    int node = -1;                          // of the device; -1: it has none
    std::optional<std::uint32_t> cpu = {};  // override: this CPU polls it
};

struct PlanOptions {
    std::optional<std::uint32_t> main_cpu = {};
    std::vector<std::uint32_t> worker_cpus = {};  // exactly these; empty: by the rule
    std::size_t workers = 0;                      // how many; 0: by the rule
};

struct PlannedWorker {
    Cpu cpu;
    std::string why;
};

struct PlannedQueue {
    QueueToPoll queue;
    std::size_t worker = 0;  // index
    int memory_node = 0;
    std::string why;
};

struct Plan {
    Cpu main;
    std::string main_why;
    std::vector<PlannedWorker> workers;
    std::vector<PlannedQueue> queues;

    /// As EAL takes it: the main lcore is 0, worker i is lcore i + 1.
    [[nodiscard]] std::string lcores() const;
};

/// cpus: of the machine, not empty. Errors: EINVAL a CPU that is not there or named twice, more
/// workers than CPUs, a queue's CPU that is no worker; ENODEV no CPU is left for a worker. On one
/// CPU main and worker share it.
[[nodiscard]] Result<Plan> make_plan(std::span<const Cpu> cpus,
                                     std::span<const QueueToPoll> queues,
                                     const PlanOptions& options = {},
                                     Distance distance = firmware_distance);

/// The machine and the plan as a tree: nodes, cores, CPUs, and what each does and why.
[[nodiscard]] std::string draw(std::span<const Cpu> cpus, const Plan& plan);

}  // namespace crema::topology
