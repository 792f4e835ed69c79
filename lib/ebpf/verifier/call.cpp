// SPDX-License-Identifier: BSD-3-Clause
//
// Helper calls: arguments against the prototype, what comes back, what a call makes stale.
#include <cerrno>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

Result<const helpers::Prototype*> Machine::find_helper(const Insn& insn) const {
    if (insn.src == op::kPseudoKfunc) {
        return fail(ENOTSUP, "call of kernel function (kfunc) with BTF id {} is not served yet",
                    insn.imm);
    }
    const auto id = static_cast<std::uint32_t>(insn.imm);
    const helpers::Prototype* helper = helpers::find(id);
    if (helper != nullptr) {
        return helper;
    }
    const std::string name = helpers::name_of(id);
    if (name == "unknown") {
        return fail(EINVAL, "invalid func unknown#{}", insn.imm);
    }
    return fail(EINVAL, "program of this type cannot use helper bpf_{}#{}", name, insn.imm);
}

Status Machine::check_key(std::uint32_t regno, std::uint32_t size) {
    const Reg& reg = cur_.regs[regno];
    switch (reg.type) {
        case RegType::stack: {
            if (auto ok = check_stack(regno, reg.off, size, Direction::read); !ok) {
                return ok;
            }
            mark_range_read(reg.frame, reg.off + reg.s.wide.smin, reg.off + reg.s.wide.smax + size);
            return {};
        }
        case RegType::packet:
        case RegType::packet_meta:
            return check_packet(regno, reg.off, size);
        case RegType::map_value:
            return check_map_value(regno, reg.off, size, Direction::read);
        default:
            return fail(EACCES, "R{} type={} expected=fp, pkt, pkt_meta, map_value", regno,
                        type_name(reg.type));
    }
}

Status Machine::check_argument(const helpers::Prototype& helper, std::uint32_t index) {
    const std::uint32_t regno = index + 1;
    const Reg& reg = cur_.regs[regno];
    if (helper.args[index].kind == helpers::ArgKind::unchecked) {
        return {};
    }
    if (reg.type == RegType::not_init) {
        return fail(EACCES, "R{} !read_ok", regno);
    }
    switch (helper.args[index].kind) {
        case helpers::ArgKind::ctx:
            if (reg.type != RegType::ctx) {
                return fail(EACCES, "R{} type={} expected=ctx", regno, type_name(reg.type));
            }
            return check_unmodified(regno);
        case helpers::ArgKind::map: {
            if (reg.type != RegType::map_ptr) {
                return fail(EACCES, "R{} type={} expected=map_ptr", regno, type_name(reg.type));
            }
            std::int32_t& map = proof_.insns[insn_].map;
            if (map >= 0 && map != static_cast<std::int32_t>(reg.map)) {
                return fail(ENOTSUP,
                            "call reaches map {} on one path and map {} on another, not served "
                            "yet: give each map its own call",
                            program_.maps[static_cast<std::size_t>(map)]->spec().name,
                            map_of(reg).spec().name);
            }
            map = static_cast<std::int32_t>(reg.map);
            return {};
        }
        case helpers::ArgKind::map_key: {
            const std::int32_t map = proof_.insns[insn_].map;
            if (map < 0) {
                return fail(EACCES, "invalid map_ptr to access map->key");
            }
            return check_key(regno, program_.maps[static_cast<std::size_t>(map)]->spec().key_size);
        }
        case helpers::ArgKind::anything:
            return {};
        default:
            return fail(ENOTSUP, "argument R{} of bpf_{}#{} is not served yet", regno,
                        helpers::name_of(helper.id), helper.id);
    }
}

bool Machine::key_is_in_range(const Reg& key, const maps::Map& map) {
    const maps::MapSpec& spec = map.spec();
    const bool indexed =
        spec.type == maps::MapType::array || spec.type == maps::MapType::percpu_array;
    if (!indexed || spec.key_size != 4 || key.type != RegType::stack || !key.s.is_const()) {
        return false;
    }
    const std::int64_t at = std::int64_t{key.off} + static_cast<std::int64_t>(key.s.bits.value);
    const Slot& slot = cur_.frame_at(key.frame).stack[slot_of(at)];
    const std::uint32_t first = byte_of(at);
    if (first % 4 == 0) {
        bool zero = true;
        for (std::uint32_t i = first; i < first + 4; ++i) {
            zero = zero && slot.bytes[i] == Byte::zero;
        }
        if (zero) {
            return spec.max_entries > 0;
        }
    }
    if (first != 0 || !slot.is_scalar_spill() || slot.spill_bytes() != 4 ||
        !slot.spill().s.is_const()) {
        return false;
    }
    mark_slots_precise(key.frame, std::uint64_t{1} << slot_of(at));
    return static_cast<std::uint32_t>(slot.spill().s.bits.value) < spec.max_entries;
}

void Machine::forget_packet_pointers() {
    cur_.update_regs(
        [](const Reg& reg) { return reg.is_packet() || reg.type == RegType::packet_end; },
        [](Reg& reg) { reg = Reg::scalar(Scalar::unknown()); });
}

Status Machine::do_call(const Insn& insn) {
    if (insn.src == op::kPseudoCall) {
        return do_function_call(insn);
    }
    const auto found = find_helper(insn);
    if (!found) {
        return forward_error(found);
    }
    const helpers::Prototype& helper = **found;
    if (helper.gpl_only && !program_.gpl_compatible) {
        return fail(EINVAL, "cannot call GPL-restricted function from non-GPL compatible program");
    }
    if (helper.sleeps) {
        return fail(EINVAL, "helper call might sleep in a non-sleepable prog");
    }
    for (std::uint32_t i = 0; i < 5 && helper.args[i].kind != helpers::ArgKind::none; ++i) {
        if (auto ok = check_argument(helper, i); !ok) {
            return ok;
        }
    }
    const std::int32_t map_index = proof_.insns[insn_].map;
    const maps::Map* map =
        map_index >= 0 ? program_.maps[static_cast<std::size_t>(map_index)].get() : nullptr;
    if (map != nullptr && !helpers::takes_map_type(helper.id, map->spec().type)) {
        return fail(EINVAL, "cannot pass map_type {} into func bpf_{}#{}",
                    static_cast<unsigned>(map->spec().type), helpers::name_of(helper.id),
                    helper.id);
    }
    Reg result = Reg::scalar(Scalar::unknown());
    if (helper.returns.kind == helpers::ReturnKind::map_value_or_null && map != nullptr) {
        const bool found_always =
            helper.args[1].kind == helpers::ArgKind::map_key && key_is_in_range(cur_.regs[2], *map);
        result = Reg::pointer(found_always ? RegType::map_value : RegType::map_value_or_null);
        result.map = static_cast<std::uint32_t>(map_index);
        result.id = found_always ? 0 : ++ids_;
    }
    if (helper.moves_packet) {
        forget_packet_pointers();
    }
    for (std::uint32_t i = 1; i <= 5; ++i) {
        cur_.regs[i] = Reg{};
    }
    cur_.regs[0] = result;
    return {};
}

}  // namespace crema::ebpf::verifier
