// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/data_path.h"

#include <cstring>

#include "lib/ebpf/supervise/control_socket.h"
#include "lib/ebpf/supervise/trap.h"
#include "lib/ebpf/syscall/serve.h"

namespace crema::command {
namespace {

constexpr std::string_view kBpfFs = "/sys/fs/bpf/";

/// The folder that stands for kBpfFs; empty before the data path is joined.
std::string& pin_folder() {
    static std::string folder;
    return folder;
}

}  // namespace

Status join_data_path(const std::string& socket) {
    const auto listener = ebpf::supervise::trap_bpf_calls();
    if (!listener) {
        return forward_error(listener);
    }
    const auto folder = ebpf::supervise::hand_over(socket, *listener);
    if (!folder) {
        return forward_error(folder);
    }
    pin_folder() = *folder;
    return {};
}

Result<std::string> place_of_pin(const std::string& path) {
    const bool is_name = path.find('/') == std::string::npos;
    if (!is_name && !path.starts_with(kBpfFs)) {
        return fail(EINVAL, "{}: pins lie below {}", path, kBpfFs);
    }
    const std::string rest = is_name ? path : path.substr(kBpfFs.size());
    if (rest.empty() || rest == "." || rest == ".." || rest.find("../") != std::string::npos) {
        return fail(EINVAL, "'{}' is no name of a pin", path);
    }
    return pin_folder() + "/" + rest;
}

tl::unexpected<Error> refused(const std::string& what, long result) {
    const int code = static_cast<int>(-result);
    return fail(code, "{}: {}", what, std::strerror(code));
}

}  // namespace crema::command
