// SPDX-License-Identifier: BSD-3-Clause
//
// Commands that ask, of programs as a whole: ENABLE_STATS, and two whose answer here is always that
// there is nothing of that kind.
#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>

#include "lib/base/caller.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/run_stats.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {

long enable_stats(Call& call) {
    if (call.attr.enable_stats.type != BPF_STATS_RUN_TIME) {
        return -EINVAL;
    }
    return publish(StatsObject{.user = std::make_shared<run_stats::User>()});
}

long prog_query(Call& call) {
    const auto& query = call.attr.query;
    // Of network namespaces: tools look for these two wherever they list programs.
    const bool is_of_namespace =
        query.attach_type == BPF_FLOW_DISSECTOR || query.attach_type == BPF_SK_LOOKUP;
    if (!is_of_namespace || query.query_flags != 0) {
        return -EINVAL;
    }
    const std::string target = caller::link_of_descriptor(static_cast<int>(query.target_fd));
    if (!target.starts_with("net:[")) {
        return target.empty() ? -EBADF : -EINVAL;
    }
    const std::uint32_t none = 0;
    const int err =
        copy_out(call.user_attr + offsetof(bpf_attr, query.attach_flags), &none, sizeof none);
    return err != 0
               ? err
               : copy_out(call.user_attr + offsetof(bpf_attr, query.prog_cnt), &none, sizeof none);
}

long task_fd_query(Call& call) {
    const auto& query = call.attr.task_fd_query;
    if (query.flags != 0) {
        return -EINVAL;
    }
    std::error_code ignored;
    const auto process = fmt::format("/proc/{}", query.pid);
    if (!std::filesystem::exists(process, ignored)) {
        return -ENOENT;
    }
    // Neither trace points nor probes: there is nothing to tell of any descriptor.
    const auto file =
        std::filesystem::symlink_status(fmt::format("{}/fd/{}", process, query.fd), ignored);
    return std::filesystem::exists(file) ? -maps::kNotSupported : -EBADF;
}

}  // namespace crema::ebpf::syscall
