// SPDX-License-Identifier: BSD-3-Clause
//
// OBJ_GET_INFO_BY_FD. Structures have the sizes of kernel 6.18; the fields behind those of
// <linux/bpf.h> 6.1 are zero. What programs tell is in program_info.cpp.
#include "lib/ebpf/syscall/object_info.h"

#include <algorithm>
#include <iterator>
#include <unistd.h>

#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/info_buffer.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {
namespace {

long map_info(const MapObject& object, InfoBuffer& buffer) {
    bpf_map_info info{};
    if (const int err = buffer.read(info, kMapInfoBytes); err != 0) {
        return err;
    }
    const maps::MapSpec& spec = object.map->spec();
    info = {};
    info.type = static_cast<std::uint32_t>(spec.type);
    info.id = object.map->id();
    info.key_size = spec.key_size;
    info.value_size = spec.value_size;
    info.max_entries = spec.max_entries;
    info.map_flags = spec.flags;
    info.map_extra = spec.extra;
    set_name(info.name, spec.name);
    if (object.btf != nullptr) {
        info.btf_id = object.btf->id();
        info.btf_key_type_id = object.btf_key_type;
        info.btf_value_type_id = object.btf_value_type;
    }
    return buffer.write(info);
}

long btf_info(const Btf& btf, InfoBuffer& buffer) {
    bpf_btf_info info{};
    if (const int err = buffer.read(info, kBtfInfoBytes); err != 0) {
        return err;
    }
    const std::size_t wanted = std::min<std::size_t>(info.btf_size, btf.bytes().size());
    if (const int err = copy_out(info.btf, btf.bytes().data(), wanted); err != 0) {
        return err;
    }
    if ((info.name != 0) != (info.name_len != 0)) {
        return -EINVAL;
    }
    if (info.name_len != 0) {
        if (const int err = copy_out(info.name, "", 1); err != 0) {
            return err;
        }
    }
    info.btf_size = static_cast<std::uint32_t>(btf.bytes().size());
    info.id = btf.id();
    info.name_len = 0;  // only the kernel's own BTF has a name
    info.kernel_btf = 0;
    return buffer.write(info);
}

long link_info(const Link& link, InfoBuffer& buffer) {
    bpf_link_info info{};
    if (const int err = buffer.read(info, kLinkInfoBytes); err != 0) {
        return err;
    }
    info = {};
    info.id = link.id();
    info.prog_id = link.program()->id;
    const LinkPlace place = link.place();
    if (place.program_id == 0) {
        info.type = BPF_LINK_TYPE_XDP;
        info.xdp.ifindex = place.ifindex;
    } else {
        info.type = BPF_LINK_TYPE_TRACING;
        info.tracing.target_obj_id = place.program_id;
        info.tracing.target_btf_id = place.btf_type;
    }
    return buffer.write(info);
}

}  // namespace

std::uint64_t value_bytes_of(const maps::Map& map) {
    const maps::MapSpec& spec = map.spec();
    const auto rounded = [](std::uint64_t bytes) { return (bytes + 7) & ~std::uint64_t{7}; };
    if (spec.type == maps::MapType::ringbuf || spec.type == maps::MapType::user_ringbuf) {
        return spec.max_entries;
    }
    const bool has_index = map.layout().base != nullptr;
    return spec.max_entries *
           (rounded(map.user_value_bytes()) + (has_index ? 0 : rounded(spec.key_size)));
}

std::uint64_t whole_pages(const LoadedProgram& program) {
    const auto page = static_cast<std::uint64_t>(getpagesize());
    const std::uint64_t bytes = program.program.insns.size() * sizeof(Insn) + program.code.bytes();
    return (bytes + page - 1) / page * page;
}

std::string tag_text(const ProgramTag& tag) {
    std::string text;
    for (const std::uint8_t byte : tag) {
        fmt::format_to(std::back_inserter(text), "{:02x}", byte);
    }
    return text;
}

long object_info(Call& call) {
    int error = 0;
    const auto object = object_store::find(static_cast<int>(call.attr.info.bpf_fd), &error);
    if (object == nullptr) {
        return error == -EBADF ? -EBADFD : error;  // alone among the commands
    }
    InfoBuffer buffer(call);
    if (const auto* map = std::get_if<MapObject>(object.get()); map != nullptr) {
        return map_info(*map, buffer);
    }
    if (const auto* program = std::get_if<ProgramObject>(object.get()); program != nullptr) {
        return program_info(*program->program, buffer);
    }
    if (const auto* btf = std::get_if<BtfObject>(object.get()); btf != nullptr) {
        return btf_info(*btf->btf, buffer);
    }
    if (const auto* link = std::get_if<LinkObject>(object.get()); link != nullptr) {
        return link_info(*link->link, buffer);
    }
    return -EINVAL;
}

}  // namespace crema::ebpf::syscall
