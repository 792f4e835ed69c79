// SPDX-License-Identifier: BSD-3-Clause
//
// LINK_CREATE, LINK_UPDATE and LINK_DETACH of XDP programs at ports and of extensions in other
// programs; RAW_TRACEPOINT_OPEN, which is another way to put an extension in its place.
#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/extension_link.h"
#include "lib/ebpf/syscall/link.h"

namespace crema::ebpf::syscall {
namespace {

std::shared_ptr<const LoadedProgram> program_for(std::uint32_t fd, int* error) {
    const auto object = object_store::find(static_cast<int>(fd), error);
    if (object == nullptr) {
        return nullptr;
    }
    const auto* program = std::get_if<ProgramObject>(object.get());
    *error = program != nullptr ? 0 : -EINVAL;
    return program != nullptr ? program->program : nullptr;
}

std::shared_ptr<Link> link_for(std::uint32_t fd, int* error) {
    const auto object = object_store::find_as<LinkObject>(static_cast<int>(fd), error);
    return object != nullptr ? object->link : nullptr;
}

long create_at_port(const Call& call, const std::shared_ptr<const LoadedProgram>& program) {
    const auto& attr = call.attr.link_create;
    if (attr.attach_type != BPF_XDP) {
        return -EINVAL;
    }
    // A link that nobody holds any more makes room.
    object_store::collect();
    auto link = PortLink::attach(attr.target_ifindex, program, attr.flags);
    if (!link) {
        // What does not exist is a wrong argument to this command alone.
        return link.error().code == ENODEV ? -EINVAL : refuse(link.error());
    }
    return publish(LinkObject{std::move(*link)});
}

/// target null: what the extension was loaded for.
long put_in_place(const std::shared_ptr<const LoadedProgram>& extension,
                  std::shared_ptr<const LoadedProgram> target,
                  std::uint32_t btf_type) {
    object_store::collect();
    auto link = ExtensionLink::attach(extension, std::move(target), btf_type);
    if (!link) {
        return refuse(link.error());
    }
    const long fd = publish(LinkObject{std::move(*link)});
    if (fd >= 0) {
        ExtensionLink::settle(*extension);
    }
    return fd;
}

long create_in_program(const Call& call, const std::shared_ptr<const LoadedProgram>& extension) {
    const auto& attr = call.attr.link_create;
    if ((attr.target_fd != 0) != (attr.target_btf_id != 0)) {
        return -EINVAL;
    }
    std::shared_ptr<const LoadedProgram> target;
    if (attr.target_fd != 0) {
        int error = 0;
        target = program_for(attr.target_fd, &error);
        if (target == nullptr) {
            return error;
        }
    }
    return put_in_place(extension, std::move(target), attr.target_btf_id);
}

}  // namespace

long link_create(Call& call) {
    int error = 0;
    const auto program = program_for(call.attr.link_create.prog_fd, &error);
    if (program == nullptr) {
        return error;
    }
    return program->extension != nullptr ? create_in_program(call, program)
                                         : create_at_port(call, program);
}

long raw_tracepoint_open(Call& call) {
    int error = 0;
    const auto program = program_for(call.attr.raw_tracepoint.prog_fd, &error);
    if (program == nullptr) {
        return error;
    }
    // A name means a trace point, and there is none.
    return program->extension != nullptr && call.attr.raw_tracepoint.name == 0
               ? put_in_place(program, nullptr, 0)
               : -EINVAL;
}

long link_update(Call& call) {
    const auto& attr = call.attr.link_update;
    if ((attr.flags & ~std::uint32_t{BPF_F_REPLACE}) != 0) {
        return -EINVAL;
    }
    int error = 0;
    const auto link = link_for(attr.link_fd, &error);
    if (link == nullptr) {
        return error;
    }
    const auto next = program_for(attr.new_prog_fd, &error);
    if (next == nullptr) {
        return error;
    }
    std::shared_ptr<const LoadedProgram> expected;
    if ((attr.flags & BPF_F_REPLACE) != 0) {
        expected = program_for(attr.old_prog_fd, &error);
        if (expected == nullptr) {
            return error;
        }
    } else if (attr.old_prog_fd != 0) {
        return -EINVAL;
    }
    return link->update(next, expected.get());
}

long link_detach(Call& call) {
    int error = 0;
    const auto link = link_for(call.attr.link_detach.link_fd, &error);
    if (link == nullptr) {
        return error;
    }
    return link->detach();
}

}  // namespace crema::ebpf::syscall
