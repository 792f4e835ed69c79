// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/topology_options.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <optional>
#include <string_view>

#include "lib/xdp/hook.h"

namespace crema::command {
namespace {

std::optional<int> number_of(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional(value)
                                                                    : std::nullopt;
}

/// Of the network interface or device with that name; -1: none, or it has no node.
int node_of_device(const std::string& name) {
    if (name.find('/') != std::string::npos) {
        return -1;
    }
    for (const auto& [folder, file] : {std::pair{"/sys/class/net/", "/device/numa_node"},
                                       std::pair{"/sys/bus/pci/devices/", "/numa_node"},
                                       std::pair{"/sys/bus/platform/devices/", "/numa_node"}}) {
        std::ifstream stream(folder + name + file);
        int node = -1;
        if (stream >> node) {
            return node;
        }
    }
    return -1;
}

/// NAME[,node=N][,queues=N]
Result<std::vector<topology::QueueToPoll>> parse_port(const std::string& text) {
    const std::size_t name_end = std::min(text.find(','), text.size());
    const std::string name = text.substr(0, name_end);
    std::optional<int> node;
    int queues = 1;
    for (std::size_t at = name_end; at < text.size();) {
        const std::size_t end = std::min(text.find(',', at + 1), text.size());
        const std::string_view word = std::string_view(text).substr(at + 1, end - at - 1);
        const std::size_t equals = std::min(word.find('='), word.size());
        const auto value = number_of(word.substr(std::min(equals + 1, word.size())));
        if (word.substr(0, equals) == "node" && value && *value >= -1) {
            node = value;
        } else if (word.substr(0, equals) == "queues" && value && *value >= 1 &&
                   *value <= xdp::kRxQueuesMax) {
            queues = *value;
        } else {
            return fail(EINVAL, "--port {}: '{}' is neither node=N nor queues=1..{}", text, word,
                        xdp::kRxQueuesMax);
        }
        at = end;
    }
    if (name.empty()) {
        return fail(EINVAL, "--port {}: no name", text);
    }
    std::vector<topology::QueueToPoll> all;
    all.reserve(static_cast<std::size_t>(queues));
    for (int i = 0; i < queues; ++i) {
        all.push_back({.port = name,
                       .queue = static_cast<std::uint16_t>(i),
                       .node = node ? *node : node_of_device(name)});
    }
    return all;
}

/// NAME:QUEUE=CPU
Status pin(std::vector<topology::QueueToPoll>& queues, const std::string& text) {
    const std::size_t equals = text.rfind('=');
    const std::size_t colon = equals == std::string::npos ? equals : text.rfind(':', equals);
    if (colon == std::string::npos) {
        return fail(EINVAL, "--pin {}: not of the form PORT:QUEUE=CPU", text);
    }
    const auto queue = number_of(std::string_view(text).substr(colon + 1, equals - colon - 1));
    const auto cpu = number_of(std::string_view(text).substr(equals + 1));
    if (!queue || !cpu || *cpu < 0) {
        return fail(EINVAL, "--pin {}: not of the form PORT:QUEUE=CPU", text);
    }
    const auto found = std::ranges::find_if(queues, [&](const topology::QueueToPoll& each) {
        return each.port == text.substr(0, colon) && each.queue == *queue;
    });
    if (found == queues.end()) {
        return fail(EINVAL, "--pin {}: no --port has that queue", text);
    }
    found->cpu = static_cast<std::uint32_t>(*cpu);
    return {};
}

/// A kernel CPU list that is one to its end.
Result<std::vector<std::uint32_t>> list_of(const char* option, const std::string& text) {
    const bool is_list = text.find_first_not_of("0123456789,-") == std::string::npos;
    auto numbers = topology::parse_cpu_list(text);
    if (!is_list || (numbers.empty() && !text.empty())) {
        return fail(EINVAL, "{} {}: not a list of CPUs such as 0-2,5", option, text);
    }
    return numbers;
}

}  // namespace

void TopologyVerb::declare(CLI::App& app, const std::string& exits) {
    CLI::App* const verb = app.add_subcommand(
        "topology", "Which CPUs a data path should run on, which polls which queue, and why");
    verb_ = verb;
    verb->footer(
        "Example: crema topology --port eth0,queues=4 --port net_neta0,node=1\n"
        "hwloc's HWLOC_XMLFILE and HWLOC_SYNTHETIC put another machine in place of this "
        "one.\n" +
        exits);
    verb->add_option("--port", ports_,
                     "NAME[,node=N][,queues=N]; node: of the device with that name, else none")
        ->allow_extra_args(false);
    verb->add_option("--pin", pins_, "PORT:QUEUE=CPU: this CPU polls it")->allow_extra_args(false);
    verb->add_option("--main", main_, "CPU that controls")->check(CLI::NonNegativeNumber);
    verb->add_option("--workers", plain_.plan.workers, "how many; default: by queues and cores");
    verb->add_option("--cpus", cpus_, "CPUs of the workers, such as 2-5,8");
    verb->add_option("--isolated", isolated_, "CPUs that count as isolated; default: the kernel's");
    verb->add_flag("--json", plain_.json, "one JSON document on stdout");
}

Result<TopologyOptions> TopologyVerb::options() const {
    TopologyOptions all = plain_;
    for (const std::string& text : ports_) {
        auto queues = parse_port(text);
        if (!queues) {
            return forward_error(queues);
        }
        all.queues.insert(all.queues.end(), queues->begin(), queues->end());
    }
    for (const std::string& text : pins_) {
        if (Status pinned = pin(all.queues, text); !pinned) {
            return forward_error(pinned);
        }
    }
    auto cpus = list_of("--cpus", cpus_);
    auto isolated = list_of("--isolated", isolated_);
    if (!cpus) {
        return forward_error(cpus);
    }
    if (!isolated) {
        return forward_error(isolated);
    }
    all.plan.worker_cpus = std::move(*cpus);
    if (verb_->count("--isolated") != 0) {
        all.isolated = std::move(*isolated);
    }
    if (main_ >= 0) {
        all.plan.main_cpu = static_cast<std::uint32_t>(main_);
    }
    return all;
}

}  // namespace crema::command
