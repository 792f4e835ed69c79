// SPDX-License-Identifier: BSD-3-Clause
//
// Helper calls: arguments against the prototype, what comes back, what a call makes stale.
#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "lib/ebpf/helpers/format.h"
#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

constexpr std::uint32_t kMapLookup = 1, kMapUpdate = 2, kMapDelete = 3, kSmpProcessorId = 8,
                        kTailCall = 12, kMapPush = 87, kMapPop = 88, kSpinUnlock = 94,
                        kSnprintf = 165, kKptrXchg = 194, kDynptrFromMem = 197, kDynptrData = 203;

}  // namespace

Result<const helpers::Prototype*> Machine::find_helper(const Insn& insn) const {
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

bool Machine::key_is_in_range(const Reg& key, const maps::MapSpec& spec) {
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
        [](const Reg& reg) {
            return reg.is_packet() || reg.type == RegType::packet_end || reg.is_packet_slice();
        },
        [](Reg& reg) { reg = Reg::scalar(Scalar::unknown()); });
}

/// The map type fits the helper, and programs may change the map if the helper does.
Status Machine::check_map_of(const Call& call) const {
    const std::uint32_t id = call.helper->id;
    if (call.map == nullptr) {
        return {};
    }
    const bool changes = id == kMapUpdate || id == kMapDelete || id == kMapPush || id == kMapPop;
    if (changes && (call.map->flags & maps::kRdonlyProg) != 0) {
        return fail(EACCES, "write into map forbidden");
    }
    return {};
}

/// snprintf's format is constant, so it is judged here: R3 is the format, R5 the arguments' bytes.
Status Machine::check_format() const {
    const std::uint64_t bytes = cur_.regs[5].s.bits.value;
    if (bytes % sizeof(std::uint64_t) != 0) {
        return fail(EINVAL, "snprintf takes arguments of 8 bytes each, not {} bytes", bytes);
    }
    const Reg& at = cur_.regs[3];
    const maps::Map& map = map_of(at);
    const std::uint64_t offset = static_cast<std::uint64_t>(std::int64_t{at.off}) + at.s.bits.value;
    const std::span text(reinterpret_cast<const char*>(map.layout().base) + offset,
                         map.spec().value_size - offset);
    const std::array<std::uint64_t, helpers::Formatter::kArgsMax> none{};
    helpers::Formatter formatter;
    const auto args = std::span(none).first(std::min(bytes / sizeof(std::uint64_t), none.size()));
    return formatter.gather(text, args) == -EINVAL ? fail(EINVAL, "Invalid format string")
                                                   : Status{};
}

/// Rules of single helpers that no prototype says.
Status Machine::check_special_helper(Call& call) {
    switch (call.helper->id) {
        case kTailCall:
            return check_nothing_held("tail_call", true);
        case kDynptrFromMem:
            if (cur_.regs[1].type != RegType::map_value) {
                return fail(EACCES, "Unsupported reg type {} for bpf_dynptr_from_mem data",
                            type_name(cur_.regs[1]));
            }
            return {};
        case kSnprintf:
            return check_format();
        case kDynptrData:
            call.reference = call.dynptr_ref;
            return {};
        default:
            return {};
    }
}

Result<Reg> Machine::looked_up(const Call& call) {
    Reg result = Reg::pointer(RegType::map_value);
    result.map = call.map_reg.map;
    result.inner = call.map_reg.inner;
    result.map_uid = call.map_reg.map_uid;
    const bool by_key = call.helper->args[1].kind == helpers::ArgKind::map_key;
    // Maps in a map are as large as the template, unless that says otherwise.
    const bool size_is_known = !result.inner || (call.map->flags & maps::kInnerMap) == 0;
    if (by_key && size_is_known && call.helper->id == kMapLookup &&
        key_is_in_range(cur_.regs[2], *call.map)) {
        result.id = has_lock(*call.map) ? ++ids_ : 0;
        return result;
    }
    switch (call.map->type) {
        case maps::MapType::xskmap:
            result.type = RegType::xdp_sock;
            break;
        case maps::MapType::array_of_maps:
        case maps::MapType::hash_of_maps:
            // Every map in it is like the template.
            result = Reg::pointer(RegType::map_ptr);
            result.map = call.map_reg.map;
            result.inner = true;
            break;
        case maps::MapType::sockmap:
        case maps::MapType::sockhash:
            result.type = RegType::socket;
            result.ref = acquire();
            break;
        default:
            break;
    }
    result.or_null = true;
    result.id = result.ref != 0 ? result.ref : ++ids_;
    return result;
}

Result<Reg> Machine::result_of(const Call& call) {
    using helpers::ReturnKind;
    Reg result;
    switch (call.helper->returns.kind) {
        case ReturnKind::integer: {
            Scalar value = Scalar::unknown();
            if (call.helper->id == kSmpProcessorId) {
                value.wide.meet_unsigned(0, maps::possible_cpu_ids().back());
                value.settle();
            }
            return Reg::scalar(value);
        }
        case ReturnKind::nothing:
            return Reg{};
        case ReturnKind::map_value_or_null:
            return looked_up(call);
        case ReturnKind::ringbuf_record_or_null:
            result = Reg::pointer(RegType::memory);
            result.record = true;
            result.size = static_cast<std::uint32_t>(call.alloc_size);
            break;
        case ReturnKind::dynptr_slice_or_null:
            result = Reg::pointer(RegType::memory);
            result.size = static_cast<std::uint32_t>(call.alloc_size);
            result.dynptr = call.dynptr;
            break;
        case ReturnKind::socket_or_null:
            result = Reg::pointer(RegType::socket);
            break;
        case ReturnKind::sock_common_or_null:
            result = Reg::pointer(RegType::sock_common);
            break;
        case ReturnKind::kernel_object:
            result = Reg::pointer(RegType::kernel_object);
            result.object = call.helper->returns.object;
            return result;
        case ReturnKind::kernel_object_or_null:
            result = Reg::pointer(RegType::kernel_object);
            result.object = call.helper->returns.object;
            break;
        default:
            return fail(ENOTSUP, "result of bpf_{}#{} is not served yet",
                        helpers::name_of(call.helper->id), call.helper->id);
    }
    result.or_null = true;
    result.id = ++ids_;
    if (call.helper->returns.acquires) {
        result.id = acquire();
        result.ref = result.id;
    } else {
        result.ref = call.reference;  // a cast or slice goes stale with what it came from
    }
    return result;
}

Status Machine::do_call(const Insn& insn) {
    if (insn.src == op::kPseudoCall) {
        return do_function_call(insn);
    }
    if (insn.src == op::kPseudoKfunc) {
        return do_kfunc_call(insn);
    }
    return do_helper_call(insn);
}

Status Machine::do_helper_call(const Insn& insn) {
    const auto found = find_helper(insn);
    if (!found) {
        return forward_error(found);
    }
    Call call;
    call.helper = *found;
    const helpers::Prototype& helper = *call.helper;
    if (cur_.held.lock.is_held && helper.id != kSpinUnlock && helper.id != kKptrXchg) {
        return fail(EINVAL, "function calls are not allowed while holding a lock");
    }
    if (helper.gpl_only && !program_.gpl_compatible) {
        return fail(EINVAL, "cannot call GPL-restricted function from non-GPL compatible program");
    }
    if (helper.sleeps) {
        return fail(EINVAL, "helper call might sleep in a non-sleepable prog");
    }
    for (std::uint32_t i = 0; i < helper.args.size(); ++i) {
        if (helper.args[i].kind == helpers::ArgKind::none) {
            break;
        }
        if (auto ok = check_argument(call, i); !ok) {
            return ok;
        }
    }
    if (auto ok = check_map_of(call); !ok) {
        return ok;
    }
    if (auto ok = fill_written(call); !ok) {
        return ok;
    }
    if (call.released != 0) {
        if (auto ok = release_argument(call); !ok) {
            return ok;
        }
    }
    if (auto ok = check_special_helper(call); !ok) {
        return ok;
    }
    // Who calls a function for each element has rules of its own: callback_arguments().
    if (call.map != nullptr && helper.callback != helpers::CallbackRule::each_element &&
        !helpers::takes_map_type(helper.id, call.map->type)) {
        return fail(EINVAL, "cannot pass map_type {} into func bpf_{}#{}",
                    static_cast<unsigned>(call.map->type), helpers::name_of(helper.id), helper.id);
    }
    if (helper.callback != helpers::CallbackRule::none) {
        if (auto ok = do_callback(call); !ok) {
            return ok;
        }
    }
    if (helper.id == kTailCall) {
        if (auto ok = do_tail_call(); !ok) {
            return ok;
        }
    }
    const auto result = result_of(call);
    if (!result) {
        return forward_error(result);
    }
    for (std::uint32_t i = 1; i <= 5; ++i) {
        cur_.regs[i] = Reg{};
    }
    cur_.regs[0] = *result;
    if (helper.moves_packet) {
        forget_packet_pointers();
    }
    return {};
}

}  // namespace crema::ebpf::verifier
