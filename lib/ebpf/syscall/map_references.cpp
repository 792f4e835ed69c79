// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/map_references.h"

#include <algorithm>
#include <cerrno>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {
namespace {

constexpr std::size_t kMapsMax = 64;

/// One LD_IMM64 that names a map.
struct Reference {
    int fd = -1;
    bool is_value = false;
};

Result<Reference> read_reference(const Program& program, std::size_t at, std::uint64_t fd_array) {
    const Insn& insn = program.insns[at];
    Reference reference{
        .fd = insn.imm,
        .is_value = insn.src == op::kPseudoMapValue || insn.src == op::kPseudoMapIdxValue};
    if (insn.src == op::kPseudoMapIdx || insn.src == op::kPseudoMapIdxValue) {
        if (insn.imm < 0 || fd_array == 0 ||
            copy_in(&reference.fd, fd_array + static_cast<std::uint64_t>(insn.imm) * sizeof(int),
                    sizeof(int)) != 0) {
            return fail(EFAULT, "program {}: instruction {}: no descriptor {} in fd_array",
                        program.name, at, insn.imm);
        }
    }
    if (!reference.is_value && program.insns[at + 1].imm != 0) {
        return fail(EINVAL, "program {}: instruction {}: unrecognized bpf_ld_imm64 insn",
                    program.name, at);
    }
    return reference;
}

/// Direct access to a value: only arrays of one element offer it.
Status check_value_offset(const Program& program, std::size_t at, const maps::Map& map) {
    const maps::ValueLayout layout = map.layout();
    const auto offset = static_cast<std::uint32_t>(program.insns[at + 1].imm);
    if (layout.base == nullptr || layout.percpu_stride != 0) {
        return fail(EINVAL, "program {}: instruction {}: map {} has no directly readable value",
                    program.name, at, map.spec().name);
    }
    if (map.spec().max_entries != 1 || offset >= map.spec().value_size) {
        return fail(EINVAL, "program {}: instruction {}: offset {} is outside the value of map {}",
                    program.name, at, offset, map.spec().name);
    }
    return {};
}

Result<std::int32_t> index_of(Program& program, std::size_t at, int fd) {
    int error = 0;
    const auto object = object_store::find_as<MapObject>(fd, &error);
    if (object == nullptr) {
        return fail(-error, "program {}: instruction {}: fd {} is not pointing to valid bpf_map",
                    program.name, at, fd);
    }
    auto& maps = program.maps;
    const auto found = std::find(maps.begin(), maps.end(), object->map);
    if (found == maps.end() && maps.size() == kMapsMax) {
        return fail(E2BIG, "program {}: instruction {}: more than {} maps", program.name, at,
                    kMapsMax);
    }
    const auto index = static_cast<std::int32_t>(found - maps.begin());
    if (found == maps.end()) {
        maps.push_back(object->map);
    }
    return index;
}

}  // namespace

Status resolve_maps(Program& program, std::uint64_t fd_array) {
    auto& insns = program.insns;
    for (std::size_t at = 0; at < insns.size(); ++at) {
        if (insns[at].code != op::kLdImm64) {
            continue;
        }
        if (at + 1 == insns.size()) {
            return fail(EINVAL, "program {}: instruction {}: invalid bpf_ld_imm64 insn",
                        program.name, at);
        }
        const std::uint8_t kind = insns[at].src;
        if (kind != op::kPseudoMap && kind != op::kPseudoMapValue && kind != op::kPseudoMapIdx &&
            kind != op::kPseudoMapIdxValue) {
            ++at;  // a constant, or something the verifier judges
            continue;
        }
        const auto reference = read_reference(program, at, fd_array);
        if (!reference) {
            return forward_error(reference);
        }
        const auto index = index_of(program, at, reference->fd);
        if (!index) {
            return forward_error(index);
        }
        if (reference->is_value) {
            const maps::Map& map = *program.maps[static_cast<std::size_t>(*index)];
            if (auto checked = check_value_offset(program, at, map); !checked) {
                return checked;
            }
        }
        insns[at].src = (reference->is_value ? op::kPseudoMapValue : op::kPseudoMap) & 0xf;
        insns[at].imm = *index;
        ++at;
    }
    return {};
}

}  // namespace crema::ebpf::syscall
