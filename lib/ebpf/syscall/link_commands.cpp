// SPDX-License-Identifier: BSD-3-Clause
//
// LINK_CREATE, LINK_UPDATE and LINK_DETACH of XDP programs at ports.
#include "lib/ebpf/syscall/commands.h"
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

}  // namespace

long link_create(Call& call) {
    const auto& attr = call.attr.link_create;
    int error = 0;
    const auto program = program_for(attr.prog_fd, &error);
    if (program == nullptr) {
        return error;
    }
    if (attr.attach_type != BPF_XDP) {
        return -EINVAL;
    }
    // A link that nobody holds any more makes room.
    object_store::collect();
    auto link = Link::attach(attr.target_ifindex, program, attr.flags);
    if (!link) {
        // What does not exist is a wrong argument to this command alone.
        return link.error().code == ENODEV ? -EINVAL : refuse(link.error());
    }
    return publish(LinkObject{std::move(*link)});
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
    link->detach();
    return 0;
}

}  // namespace crema::ebpf::syscall
