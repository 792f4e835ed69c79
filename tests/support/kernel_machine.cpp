// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/kernel_machine.h"

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <net/if.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

namespace crema::test {
namespace {

/// A frame lies in one page: no program makes it longer by more.
constexpr std::size_t kGrowthMax = 4096;

std::uint32_t g_cpu = 0;
std::string g_libbpf_log;

int collect_log(libbpf_print_level level, const char* format, va_list arguments) {
    if (level != LIBBPF_WARN) {
        return 0;
    }
    va_list again;
    va_copy(again, arguments);
    const int length = std::vsnprintf(nullptr, 0, format, again);
    va_end(again);
    if (length > 0) {
        // A verifier's log is one message.
        std::string text(static_cast<std::size_t>(length) + 1, '\0');
        (void)std::vsnprintf(text.data(), text.size(), format, arguments);
        text.pop_back();
        g_libbpf_log += text;
    }
    return 0;
}

/// Runs a program found in PATH; true when it ends with 0.
bool succeeds(std::vector<const char*> command) {
    command.push_back(nullptr);
    pid_t child = 0;
    auto* const arguments = const_cast<char* const*>(command.data());
    int status = 0;
    return posix_spawnp(&child, command[0], nullptr, nullptr, arguments, environ) == 0 &&
           waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

Status KernelMachine::update(const MapUpdate& update) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object_.get()) {
        if (canonical_map_name(bpf_map__name(map)) == update.map) {
            const int error = bpf_map__update_elem(map, update.key.data(), update.key.size(),
                                                   update.value.data(), update.value.size(), 0);
            if (error != 0) {
                return fail(-error, "kernel: update of map {}: {}", update.map,
                            std::strerror(-error));
            }
            return {};
        }
    }
    return fail(ENOENT, "kernel: no map {} in the object", update.map);
}

Outcome KernelMachine::run(const Bytes& packet, std::uint32_t ingress_ifindex) {
    xdp_md context = {};
    context.data_end = static_cast<std::uint32_t>(packet.size());
    context.ingress_ifindex = ingress_ifindex;
    Outcome outcome;
    outcome.bytes.resize(packet.size() + kGrowthMax);
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = packet.data();
    options.data_size_in = static_cast<std::uint32_t>(packet.size());
    options.data_out = outcome.bytes.data();
    options.data_size_out = static_cast<std::uint32_t>(outcome.bytes.size());
    options.ctx_in = &context;
    options.ctx_size_in = sizeof(context);
    options.repeat = 1;
    const int error = bpf_prog_test_run_opts(program_, &options);
    if (error != 0) {
        return {.error = -error, .retval = 0, .bytes = {}};
    }
    outcome.retval = options.retval;
    outcome.bytes.resize(options.data_size_out);
    return outcome;
}

MapState KernelMachine::maps() {
    MapState state;
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object_.get()) {
        if (holds_objects(bpf_map__type(map))) {
            continue;
        }
        const bool is_per_cpu = has_percpu_values(bpf_map__type(map));
        const std::size_t value_bytes = bpf_map__value_size(map);
        const auto cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
        Bytes values(is_per_cpu ? (value_bytes + 7) / 8 * 8 * cpus : value_bytes);
        Bytes key(bpf_map__key_size(map));
        Bytes next(key.size());
        const std::string name = canonical_map_name(bpf_map__name(map));
        const std::uint8_t* at = nullptr;
        for (std::size_t n = 0;
             n < kEntriesCompared && bpf_map__get_next_key(map, at, next.data(), next.size()) == 0;
             ++n) {
            key = next;
            at = key.data();
            if (bpf_map__lookup_elem(map, key.data(), key.size(), values.data(), values.size(),
                                     0) == 0) {
                add_entry(state, name, key, values, value_bytes, is_per_cpu, g_cpu);
            }
        }
    }
    return state;
}

std::uint64_t KernelMachine::verified_insns() const {
    bpf_prog_info info = {};
    std::uint32_t bytes = sizeof info;
    return bpf_obj_get_info_by_fd(program_, &info, &bytes) == 0 ? info.verified_insns : 0;
}

const std::string& libbpf_log() {
    return g_libbpf_log;
}

void clear_libbpf_log() {
    g_libbpf_log.clear();
}

Status prepare_kernel() {
    g_cpu = pin_to_one_cpu();
    libbpf_set_print(collect_log);
    LIBBPF_OPTS(bpf_map_create_opts, options);
    const int probe = bpf_map_create(BPF_MAP_TYPE_DEVMAP, "crema_probe", 4, 4, 1, &options);
    if (probe < 0) {
        return fail(-probe,
                    "bpf(2) refuses to make a devmap ({}): run as root, or with CAP_BPF "
                    "and CAP_NET_ADMIN",
                    std::strerror(-probe));
    }
    close(probe);
    if (unshare(CLONE_NEWNET) != 0) {
        return fail(errno, "no network namespace ({}): run as root", std::strerror(errno));
    }
    if (!succeeds({"ip", "link", "add", "oracle2", "type", "veth", "peer", "name", "oracle3"})) {
        return fail(EOPNOTSUPP,
                    "`ip link add ... type veth` failed: is iproute2 installed and veth "
                    "in the kernel?");
    }
    for (std::uint32_t ifindex = 1; ifindex <= kIfindexes; ++ifindex) {
        std::array<char, IF_NAMESIZE> name{};
        if (if_indextoname(ifindex, name.data()) == nullptr) {
            return fail(ENODEV, "the new network namespace has no interface {}", ifindex);
        }
    }
    return {};
}

LoadedMachine load_into_kernel(const std::string& path, const std::string& program) {
    clear_libbpf_log();
    const KernelObject object(bpf_object__open(path.c_str()), bpf_object__close);
    if (object == nullptr) {
        return fail(errno, "kernel: {} cannot be opened: {}", path, g_libbpf_log);
    }
    const bpf_program* found = bpf_object__find_program_by_name(object.get(), program.c_str());
    if (found == nullptr) {
        return fail(ENOENT, "kernel: no program {} in {}", program, path);
    }
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
        (void)bpf_map__set_pin_path(map, nullptr);
    }
    const int error = bpf_object__load(object.get());
    if (error != 0) {
        return fail(-error, "kernel: {} does not load: {}", path, g_libbpf_log);
    }
    return std::make_unique<KernelMachine>(object, bpf_program__fd(found));
}

}  // namespace crema::test
