// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/loader/elsewhere.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sstream>

#include <bpf/libbpf.h>

#include "lib/ebpf/loader/elf_file.h"
#include "lib/ebpf/loader/legacy_forms.h"
#include "lib/ebpf/loader/legacy_slots.h"
#include "lib/ebpf/loader/opening.h"
#include "lib/ebpf/syscall/serve.h"

namespace crema::ebpf::loader {
namespace {

/// libbpf's calls go where this process's go.
class Elsewhere {
  public:
    Elsewhere() { syscall::serve_elsewhere(true); }

    ~Elsewhere() { syscall::serve_elsewhere(false); }

    Elsewhere(const Elsewhere&) = delete;
    Elsewhere& operator=(const Elsewhere&) = delete;
};

/// Leaves only the wanted program to be loaded.
Result<bpf_program*> choose_program(const std::string& path,
                                    bpf_object* object,
                                    const std::string& name) {
    bpf_program* chosen = nullptr;
    std::vector<std::string> names;
    bpf_program* program = nullptr;
    while ((program = bpf_object__next_program(object, program)) != nullptr) {
        const bool is_xdp = bpf_program__type(program) == BPF_PROG_TYPE_XDP;
        const bool attaches = is_xdp &&
                              bpf_program__expected_attach_type(program) != BPF_XDP_DEVMAP &&
                              bpf_program__expected_attach_type(program) != BPF_XDP_CPUMAP;
        const bool wanted =
            chosen == nullptr && (name.empty() ? attaches && bpf_program__autoload(program)
                                               : is_xdp && name == bpf_program__name(program));
        bpf_program__set_autoload(program, wanted);
        chosen = wanted ? program : chosen;
        names.emplace_back(bpf_program__name(program));
    }
    if (chosen == nullptr) {
        return fail(ENOENT, "{}: no {}: it has {}", path,
                    name.empty() ? "XDP program for a port" : "XDP program '" + name + "'",
                    joined(names));
    }
    return chosen;
}

/// What the verifier said last, without its statistics.
std::string reason_in(const std::string& log) {
    std::istringstream lines(log);
    std::string reason;
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty() && !line.starts_with("processed ")) {
            reason = line;
        }
    }
    return reason;
}

}  // namespace

Result<LoadedElsewhere> load_elsewhere(const std::string& path, const std::string& name) {
    auto bytes = read_object(path);
    if (!bytes) {
        return forward_error(bytes);
    }
    const auto file = to_current_form(path, std::move(*bytes));
    if (!file) {
        return forward_error(file);
    }
    const Elsewhere elsewhere;
    const LibbpfMessages messages;
    const auto handle = open_object(path, file->bytes, messages);
    if (!handle) {
        return forward_error(handle);
    }
    bpf_object* object = handle->get();
    if (const Status selected = select_programs(path, object); !selected) {
        return forward_error(selected);
    }
    clear_pin_paths(object);
    const auto program = choose_program(path, object, name);
    if (!program) {
        return forward_error(program);
    }
    constexpr std::size_t kLogBytes = 1U << 16U;
    std::string log(kLogBytes, '\0');
    bpf_program__set_log_buf(*program, log.data(), log.size());
    if (const int err = bpf_object__load(object); err != 0) {
        const std::string reason = reason_in(log.c_str());
        return fail(-err > 0 && -err < 4000 ? -err : EINVAL, "{}: {}", path,
                    reason.empty() ? messages.first_warning() : reason);
    }
    if (const Status filled = fill_legacy_slots(path, object, file->legacy_maps); !filled) {
        return forward_error(filled);
    }
    // The object closes its descriptors; this one stays.
    UniqueFd fd(::fcntl(bpf_program__fd(*program), F_DUPFD_CLOEXEC, 3));
    if (!fd.valid()) {
        return fail(errno, "{}: no descriptor is left (errno {})", path, errno);
    }
    return LoadedElsewhere{.program = bpf_program__name(*program), .fd = std::move(fd)};
}

}  // namespace crema::ebpf::loader
