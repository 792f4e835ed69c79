// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/loader/opening.h"

#include <cerrno>
#include <string_view>

#include <bpf/libbpf.h>

#include "lib/ebpf/syscall/session.h"

namespace crema::ebpf::loader {
namespace {

/// Name by which libbpf calls the object, as if it had opened the file: without folders, cut at the
/// first dot. Names of global-data maps are made of it.
std::string object_name(const std::string& path) {
    const std::string file = path.substr(path.rfind('/') + 1);
    const std::string name = file.substr(0, file.find('.'));
    return name.empty() ? "object" : name;
}

}  // namespace

void CloseObject::operator()(bpf_object* object) const {
    bpf_object__close(object);
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) {
        text += (text.empty() ? "" : ", ") + name;
    }
    return text;
}

Result<ObjectHandle> open_object(const std::string& path,
                                 const std::vector<std::uint8_t>& bytes,
                                 const LibbpfMessages& messages) {
    const std::string name = object_name(path);
    LIBBPF_OPTS(bpf_object_open_opts, options);
    options.object_name = name.c_str();
    options.btf_custom_path = syscall::kHostKernelTypes;  // for CO-RE; externs are found here
    ObjectHandle object(bpf_object__open_mem(bytes.data(), bytes.size(), &options));
    if (object == nullptr) {
        // libbpf has error numbers of its own (4000 and up) beside errno's.
        const int code = errno > 0 && errno < 4000 ? errno : ENOEXEC;
        return fail(code, "{}: not an object that libbpf {} opens: {}", path,
                    libbpf_version_string(), messages.first_warning());
    }
    return object;
}

Status select_programs(const std::string& path, bpf_object* object) {
    std::vector<std::string> others;
    bool any = false;
    bpf_program* program = nullptr;
    while ((program = bpf_object__next_program(object, program)) != nullptr) {
        const std::string_view section = bpf_program__section_name(program);
        if (bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC) {
            bpf_program__set_type(program, BPF_PROG_TYPE_XDP);
            bpf_program__set_expected_attach_type(program, BPF_XDP);
        }
        if (bpf_program__type(program) == BPF_PROG_TYPE_XDP) {
            any = any || bpf_program__autoload(program);
        } else {
            bpf_program__set_autoload(program, false);
        }
        if (bpf_program__type(program) != BPF_PROG_TYPE_XDP || !bpf_program__autoload(program)) {
            others.push_back(
                fmt::format("'{}' in section '{}'", bpf_program__name(program), section));
        }
    }
    if (any) {
        return {};
    }
    return fail(ENOENT, "{}: no XDP program to load in it ({}): put one in SEC(\"xdp\")", path,
                others.empty() ? "it has no program at all" : "it has " + joined(others));
}

void clear_pin_paths(bpf_object* object) {
    bpf_map* map = nullptr;
    while ((map = bpf_object__next_map(object, map)) != nullptr) {
        bpf_map__set_pin_path(map, nullptr);
    }
}

}  // namespace crema::ebpf::loader
