// SPDX-License-Identifier: BSD-3-Clause
#include "tests/conformance/redirect/kernel_trace.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace crema::test::redirect {
namespace {

constexpr const char* kTracefs = "/sys/kernel/tracing";

bool write_file(const std::string& path, const char* text) {
    std::ofstream file(path);
    file << text;
    file.flush();
    return file.good();
}

/// "... name=123 ..."; 0 when it is not there.
std::int64_t number_in(const std::string& line, std::string_view name) {
    const std::string wanted = fmt::format(" {}=", name);
    const std::size_t at = line.find(wanted);
    std::int64_t value = 0;
    if (at != std::string::npos) {
        std::from_chars(line.data() + at + wanted.size(), line.data() + line.size(), value);
    }
    return value;
}

}  // namespace

Result<std::unique_ptr<KernelTrace>> KernelTrace::open(Traced traced) {
    const std::string folder = fmt::format("{}/instances/crema{}", kTracefs, getpid());
    if (::mkdir(folder.c_str(), 0700) != 0) {
        return fail(errno, "no trace instance {}: {}: the kernel's counts cannot be read", folder,
                    std::strerror(errno));
    }
    auto made = std::unique_ptr<KernelTrace>(new KernelTrace(folder, std::move(traced)));
    if (!write_file(folder + "/events/xdp/enable", "1")) {
        return fail(EOPNOTSUPP, "the kernel has no tracepoints of XDP");
    }
    return made;
}

KernelTrace::~KernelTrace() {
    (void)write_file(folder_ + "/events/xdp/enable", "0");
    ::rmdir(folder_.c_str());
}

void KernelTrace::count_line(const std::string& line, Counts& counts) const {
    const auto has = [&line](std::string_view event) {
        return line.find(fmt::format(" {}: ", event)) != std::string::npos;
    };
    const auto is_ours = [&](std::string_view name) {
        return traced_.programs.contains(static_cast<std::uint64_t>(number_in(line, name)));
    };
    const auto is_our_map = [&] {
        return traced_.maps.contains(static_cast<std::uint64_t>(number_in(line, "map_id")));
    };
    const auto add = [&](const std::string& what, std::int64_t by) {
        counts[what] += static_cast<std::uint64_t>(by);
    };
    if (has("xdp_exception") && is_ours("prog_id")) {
        add("exceptions", 1);
    } else if (has("xdp_redirect") && is_ours("prog_id")) {
        add("redirected", 1);
    } else if (has("xdp_redirect_err") && is_ours("prog_id")) {
        const auto map = traced_.maps.find(static_cast<std::uint64_t>(number_in(line, "map_id")));
        add(fmt::format("refused {}: {}", map == traced_.maps.end() ? "ifindex" : map->second,
                        strerrorname_np(static_cast<int>(-number_in(line, "err")))),
            1);
    } else if (has("xdp_devmap_xmit")) {
        const std::int64_t port = number_in(line, "to_ifindex") - traced_.first_ifindex;
        if (port >= 0 && port < kPorts) {
            add("dropped on the way to a port", number_in(line, "drops"));
        }
    } else if (has("xdp_cpumap_enqueue") && is_our_map()) {
        add("cpumap: no room", number_in(line, "drops"));
    } else if (has("xdp_cpumap_kthread") && is_our_map()) {
        add("cpumap: received", number_in(line, "processed"));
        add("cpumap: dropped there", number_in(line, "xdp_drop"));
        add("cpumap: redirected there", number_in(line, "xdp_redirect"));
    }
}

void KernelTrace::take(Counts& counts) {
    std::ifstream trace(folder_ + "/trace");
    for (std::string line; std::getline(trace, line);) {
        count_line(line, counts);
    }
    (void)write_file(folder_ + "/trace", "");
}

}  // namespace crema::test::redirect
