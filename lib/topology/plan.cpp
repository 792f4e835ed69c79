// SPDX-License-Identifier: BSD-3-Clause
#include "lib/topology/plan.h"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "lib/base/check.h"

namespace crema::topology {
namespace {

const Cpu* find_cpu(std::span<const Cpu> cpus, std::uint32_t number) {
    const auto found = std::ranges::find(cpus, number, &Cpu::number);
    return found == cpus.end() ? nullptr : &*found;
}

/// Nodes of the ports that have one.
std::set<int> nodes_of(std::span<const QueueToPoll> queues) {
    std::set<int> nodes;
    for (const QueueToPoll& each : queues) {
        if (each.node >= 0) {
            nodes.insert(each.node);
        }
    }
    return nodes;
}

/// To the nearest port; 0 where no port has a node.
int away_from_ports(const Cpu& cpu, const std::set<int>& nodes, Distance distance) {
    int best = nodes.empty() ? 0 : std::numeric_limits<int>::max();
    for (const int node : nodes) {
        best = std::min(best, distance(node, cpu.node));
    }
    return best;
}

const Cpu& choose_main(std::span<const Cpu> cpus, const std::set<int>& nodes, Distance distance) {
    return *std::ranges::min_element(cpus, {}, [&](const Cpu& cpu) {
        return std::tuple(cpu.isolated, away_from_ports(cpu, nodes, distance), cpu.number);
    });
}

std::string why_main(const Cpu& cpu, const std::set<int>& nodes) {
    std::string why = cpu.isolated ? "every CPU is isolated" : "the first that is not isolated";
    if (nodes.contains(cpu.node)) {
        why += ", on the node of a port";
    }
    return why;
}

std::string why_worker(const Cpu& cpu, const Cpu& main, const std::set<int>& nodes) {
    std::string why = cpu.isolated ? "isolated: the scheduler leaves it alone" : "not isolated";
    if (!nodes.empty()) {
        why += nodes.contains(cpu.node) ? ", on the node of a port"
                                        : ", no CPU is left on a node of a port";
    }
    if (cpu.number == main.number) {
        return why + ", shared with the main CPU: there is no other";
    }
    why += cpu.sibling == 0 ? ", first thread of its core" : ", a sibling: better CPUs are taken";
    if (cpu.core == main.core) {
        why += ", beside the main CPU";
    }
    return why;
}

/// Those that may work, best first.
std::vector<Cpu> candidates(std::span<const Cpu> cpus,
                            const Cpu& main,
                            const std::set<int>& nodes,
                            Distance distance) {
    std::vector<Cpu> all;
    std::ranges::copy_if(cpus, std::back_inserter(all),
                         [&](const Cpu& cpu) { return cpu.number != main.number; });
    if (all.empty()) {
        all.push_back(main);
    }
    std::ranges::stable_sort(all, {}, [&](const Cpu& cpu) {
        return std::tuple(!cpu.isolated, away_from_ports(cpu, nodes, distance), cpu.sibling != 0,
                          cpu.core == main.core, cpu.number);
    });
    return all;
}

/// Cores that have a worker of their own if one is chosen per core.
std::size_t cores_of(const std::vector<Cpu>& cpus, const Cpu& main) {
    std::set<std::uint32_t> cores;
    for (const Cpu& cpu : cpus) {
        if (cpu.core != main.core) {
            cores.insert(cpu.core);
        }
    }
    return std::max<std::size_t>(cores.size(), 1);
}

Result<std::vector<PlannedWorker>> named_workers(std::span<const Cpu> cpus,
                                                 const std::vector<std::uint32_t>& numbers) {
    std::vector<PlannedWorker> workers;
    for (const std::uint32_t number : numbers) {
        const Cpu* const cpu = find_cpu(cpus, number);
        if (cpu == nullptr) {
            return fail(EINVAL, "topology: there is no CPU {} that may be used", number);
        }
        if (std::ranges::any_of(workers, [number](const PlannedWorker& each) {
                return each.cpu.number == number;
            })) {
            return fail(EINVAL, "topology: CPU {} is named twice: one worker per CPU", number);
        }
        workers.push_back({.cpu = *cpu, .why = "asked for"});
    }
    return workers;
}

Result<std::vector<PlannedWorker>> chosen_workers(std::span<const Cpu> cpus,
                                                  std::size_t queues,
                                                  const Cpu& main,
                                                  const std::set<int>& nodes,
                                                  const PlanOptions& options,
                                                  Distance distance) {
    const std::vector<Cpu> best = candidates(cpus, main, nodes, distance);
    const std::size_t wanted =
        options.workers != 0 ? options.workers
                             : std::min(std::max<std::size_t>(queues, 1), cores_of(best, main));
    if (wanted > best.size()) {
        return fail(EINVAL, "topology: {} workers asked for, {} CPUs are left beside the main one",
                    wanted, best.size());
    }
    std::vector<PlannedWorker> workers;
    for (std::size_t i = 0; i < wanted; ++i) {
        workers.push_back({.cpu = best[i], .why = why_worker(best[i], main, nodes)});
    }
    return workers;
}

Result<std::vector<PlannedQueue>> place_queues(std::span<const QueueToPoll> queues,
                                               const std::vector<PlannedWorker>& workers,
                                               Distance distance) {
    std::vector<Worker> places;
    for (const PlannedWorker& each : workers) {
        places.push_back({.lcore = static_cast<unsigned>(places.size() + 1), .cpu = each.cpu});
    }
    std::vector<int> nodes;
    for (const QueueToPoll& each : queues) {
        nodes.push_back(each.node);
    }
    const std::vector<std::size_t> nearest = assign_queues(nodes, places, distance);
    std::vector<PlannedQueue> placed;
    for (std::size_t i = 0; i < queues.size(); ++i) {
        PlannedQueue queue{.queue = queues[i], .worker = nearest[i], .memory_node = 0, .why = {}};
        if (queue.queue.cpu) {
            const auto at = std::ranges::find_if(workers, [&](const PlannedWorker& each) {
                return each.cpu.number == *queue.queue.cpu;
            });
            if (at == workers.end()) {
                return fail(EINVAL, "topology: queue {} of {}: CPU {} is no worker",
                            queue.queue.queue, queue.queue.port, *queue.queue.cpu);
            }
            queue.worker = static_cast<std::size_t>(at - workers.begin());
            queue.why = "asked for";
        } else if (queue.queue.node < 0) {
            queue.why = "its port has no node; fewest queues";
        } else {
            queue.why = workers[queue.worker].cpu.node == queue.queue.node
                            ? "on the port's node"
                            : "the nearest to the port's node";
        }
        const int own = workers[queue.worker].cpu.node;
        queue.memory_node = queue.queue.node < 0 ? own : queue.queue.node;
        placed.push_back(std::move(queue));
    }
    return placed;
}

}  // namespace

std::string Plan::lcores() const {
    std::string text = fmt::format("0@{}", main.number);
    for (std::size_t i = 0; i < workers.size(); ++i) {
        fmt::format_to(std::back_inserter(text), ",{}@{}", i + 1, workers[i].cpu.number);
    }
    return text;
}

Result<Plan> make_plan(std::span<const Cpu> cpus,
                       std::span<const QueueToPoll> queues,
                       const PlanOptions& options,
                       Distance distance) {
    CREMA_CHECK(!cpus.empty());
    const std::set<int> nodes = nodes_of(queues);
    Plan plan;
    if (options.main_cpu) {
        const Cpu* const named = find_cpu(cpus, *options.main_cpu);
        if (named == nullptr) {
            return fail(EINVAL, "topology: there is no CPU {} that may be used", *options.main_cpu);
        }
        plan.main = *named;
        plan.main_why = "asked for";
    } else {
        plan.main = choose_main(cpus, nodes, distance);
        plan.main_why = why_main(plan.main, nodes);
    }
    auto workers = options.worker_cpus.empty()
                       ? chosen_workers(cpus, queues.size(), plan.main, nodes, options, distance)
                       : named_workers(cpus, options.worker_cpus);
    if (!workers) {
        return forward_error(workers);
    }
    plan.workers = std::move(*workers);
    auto placed = place_queues(queues, plan.workers, distance);
    if (!placed) {
        return forward_error(placed);
    }
    plan.queues = std::move(*placed);
    return plan;
}

std::string draw(std::span<const Cpu> cpus, const Plan& plan) {
    // node, core, CPU
    std::map<int, std::map<std::uint32_t, std::vector<Cpu>>> machine;
    for (const Cpu& cpu : cpus) {
        machine[cpu.node][cpu.core].push_back(cpu);
    }
    std::string text;
    const auto out = std::back_inserter(text);
    for (const auto& [node, cores] : machine) {
        fmt::format_to(out, "node {}\n", node);
        for (const auto& [core, threads] : cores) {
            fmt::format_to(out, "  core {}\n", core);
            for (const Cpu& cpu : threads) {
                fmt::format_to(out, "    CPU {}{}", cpu.number, cpu.isolated ? " (isolated)" : "");
                if (cpu.number == plan.main.number) {
                    fmt::format_to(out, "  main: {}", plan.main_why);
                }
                text += '\n';
                for (std::size_t i = 0; i < plan.workers.size(); ++i) {
                    const PlannedWorker& worker = plan.workers[i];
                    if (worker.cpu.number != cpu.number) {
                        continue;
                    }
                    fmt::format_to(out, "      worker, lcore {}: {}\n", i + 1, worker.why);
                    for (const PlannedQueue& queue : plan.queues) {
                        if (queue.worker == i) {
                            fmt::format_to(out, "        {} queue {}, memory on node {}: {}\n",
                                           queue.queue.port, queue.queue.queue, queue.memory_node,
                                           queue.why);
                        }
                    }
                }
            }
        }
    }
    fmt::format_to(out, "EAL: --lcores {}\n", plan.lcores());
    return text;
}

}  // namespace crema::topology
