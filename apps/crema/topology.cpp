// SPDX-License-Identifier: BSD-3-Clause
//
// crema topology: which CPUs a data path with these ports should run on, and why, by the rule that
// the programs share (lib/topology/plan.h). Nothing has to run, and no EAL is started.
#include <nlohmann/json.hpp>

#include "apps/common/exit_code.h"
#include "apps/crema/output.h"
#include "apps/crema/verbs.h"
#include "lib/topology/plan.h"

namespace crema::command {
namespace {

nlohmann::ordered_json cpu_json(const topology::Cpu& cpu) {
    return {{"cpu", cpu.number},
            {"node", cpu.node},
            {"core", cpu.core},
            {"thread", cpu.sibling},
            {"isolated", cpu.isolated}};
}

nlohmann::ordered_json to_json(const std::vector<topology::Cpu>& cpus, const topology::Plan& plan) {
    nlohmann::ordered_json machine = nlohmann::ordered_json::array();
    for (const topology::Cpu& cpu : cpus) {
        machine.push_back(cpu_json(cpu));
    }
    nlohmann::ordered_json workers = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < plan.workers.size(); ++i) {
        workers.push_back(
            {{"lcore", i + 1}, {"cpu", plan.workers[i].cpu.number}, {"why", plan.workers[i].why}});
    }
    nlohmann::ordered_json queues = nlohmann::ordered_json::array();
    for (const topology::PlannedQueue& each : plan.queues) {
        const int node = each.queue.node;
        queues.push_back(
            {{"port", each.queue.port},
             {"queue", each.queue.queue},
             {"node", node < 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(node)},
             {"cpu", plan.workers[each.worker].cpu.number},
             {"memory_node", each.memory_node},
             {"why", each.why}});
    }
    return {{"cpus", machine},
            {"main", {{"lcore", 0}, {"cpu", plan.main.number}, {"why", plan.main_why}}},
            {"workers", workers},
            {"queues", queues},
            {"lcores", plan.lcores()}};
}

}  // namespace

int run_verb(const TopologyOptions& options) {
    const auto cpus = topology::cpus(options.isolated);
    if (!cpus) {
        say_error(cpus.error().message);
        return app::kFailed;
    }
    // Distances are of this machine's firmware; of another one only that nodes differ is known.
    const auto plan = topology::make_plan(
        *cpus, options.queues, options.plan,
        topology::is_this_machine() ? topology::firmware_distance : topology::plain_distance);
    if (!plan) {
        say_error(plan.error().message);
        return app::kFailed;
    }
    print(options.json ? to_json(*cpus, *plan).dump() + "\n" : topology::draw(*cpus, *plan));
    return app::kDone;
}

}  // namespace crema::command
