// SPDX-License-Identifier: BSD-3-Clause
//
// BTF_LOAD and PROG_BIND_MAP: what a loader adds to its programs besides instructions.
#include <vector>

#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {

long btf_load(Call& call) {
    constexpr std::uint32_t kBtfBytesMax = 16U << 20;
    if (call.attr.btf_size > kBtfBytesMax) {
        return -E2BIG;
    }
    std::vector<std::uint8_t> bytes(call.attr.btf_size);
    if (const int err = copy_in(bytes.data(), call.attr.btf, bytes.size()); err != 0) {
        return err;
    }
    auto btf = Btf::parse(std::move(bytes));
    return btf ? publish(BtfObject{*btf}) : -btf.error().code;  // libbpf goes on without
}

long prog_bind_map(Call& call) {
    const auto& bind = call.attr.prog_bind_map;
    if (bind.flags != 0) {
        return -EINVAL;
    }
    int error = 0;
    const auto map = object_store::find_as<MapObject>(static_cast<int>(bind.map_fd), &error);
    if (map == nullptr) {
        return error;
    }
    const auto object = object_store::find(static_cast<int>(bind.prog_fd), &error);
    if (object == nullptr) {
        return error;
    }
    if (const auto* program = std::get_if<ProgramObject>(object.get()); program != nullptr) {
        program->program->bound_maps.add(map->map);
        return 0;
    }
    return std::holds_alternative<ProbeProgram>(*object) ? 0 : -EINVAL;
}

}  // namespace crema::ebpf::syscall
