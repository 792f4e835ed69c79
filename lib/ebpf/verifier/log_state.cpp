// SPDX-License-Identifier: BSD-3-Clause
//
// States as people read them: "R1=ctx() R2=pkt(off=14,r=14) R10=fp0 fp-8=mmmmmmmm", in the
// notation of the kernel's log.
#include <array>
#include <limits>
#include <string_view>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

char byte_letter(Byte byte) {
    return byte == Byte::misc ? 'm' : byte == Byte::zero ? '0' : '?';
}

/// Small numbers are decimal, others hexadecimal.
std::string number(std::int64_t v) {
    const bool is_small = v >= std::numeric_limits<std::int16_t>::min() &&
                          v <= std::numeric_limits<std::int16_t>::max();
    return is_small ? fmt::format("{}", v) : fmt::format("{:#x}", static_cast<std::uint64_t>(v));
}

std::string number(std::uint64_t v) {
    return v <= std::numeric_limits<std::uint16_t>::max() ? fmt::format("{}", v)
                                                          : fmt::format("{:#x}", v);
}

class FieldList {
  public:
    template <typename T>
    void add(std::string_view name, const T& value) {
        text_ += fmt::format("{}{}={}", text_.empty() ? "" : ",", name, value);
    }

    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    std::string text_;
};

struct Bound {
    const char* name;
    std::uint64_t value;
    bool is_signed;
    bool says_nothing;

    /// The same number, not only the same bits.
    [[nodiscard]] bool same(const Bound& other) const {
        const auto negative = [](const Bound& bound) {
            return bound.is_signed && static_cast<std::int64_t>(bound.value) < 0;
        };
        return !other.says_nothing && value == other.value && negative(*this) == negative(other);
    }
};

/// Bounds, those of the same number together: "smin=0,smax=umax=255".
void add_bounds(FieldList& fields, const Scalar& s) {
    const Scalar any;
    const auto wide = [](std::int64_t v) { return static_cast<std::uint64_t>(v); };
    std::array<Bound, 8> bounds = {{
        {"smin", wide(s.wide.smin), true, s.wide.smin == any.wide.smin},
        {"smax", wide(s.wide.smax), true, s.wide.smax == any.wide.smax},
        {"umin", s.wide.umin, false, s.wide.umin == any.wide.umin},
        {"umax", s.wide.umax, false, s.wide.umax == any.wide.umax},
        {"smin32", wide(s.half.smin), true, s.half.smin == any.half.smin},
        {"smax32", wide(s.half.smax), true, s.half.smax == any.half.smax},
        {"umin32", s.half.umin, false, s.half.umin == any.half.umin},
        {"umax32", s.half.umax, false, s.half.umax == any.half.umax},
    }};
    for (std::size_t i = 0; i < bounds.size(); ++i) {
        if (bounds[i].says_nothing) {
            continue;
        }
        std::string name = bounds[i].name;
        for (std::size_t k = i + 2; k < bounds.size(); k += 2) {
            if (bounds[i].same(bounds[k])) {
                bounds[k].says_nothing = true;
                name += fmt::format("={}", bounds[k].name);
            }
        }
        fields.add(name, bounds[i].is_signed ? number(static_cast<std::int64_t>(bounds[i].value))
                                             : number(bounds[i].value));
    }
    if (!(s.bits == any.bits)) {
        fields.add("var_off", describe_bits(s.bits));
    }
}

const char* kind_of_dynptr(helpers::DynptrKind kind) {
    switch (kind) {
        case helpers::DynptrKind::ringbuf:
            return "ringbuf";
        case helpers::DynptrKind::xdp:
            return "xdp";
        default:
            return "local";
    }
}

std::string describe_object(const Reg& object) {
    if (object.type == RegType::iterator) {
        return fmt::format("{}(ref_id={},state={},depth={})",
                           kfuncs::iterator_name(object.iterator), object.ref,
                           object.drained ? "drained" : "active", object.turns);
    }
    FieldList fields;
    fields.add("id", object.id);
    if (object.ref != 0) {
        fields.add("ref_id", object.ref);
    }
    fields.add("dynptr_id", object.id);
    return fmt::format("dynptr_{}({})", kind_of_dynptr(object.dynptr_kind), fields.text());
}

/// Characters of the bytes of a slot that lie above its spilled register, highest address first.
std::string bytes_above_spill(const Slot& slot) {
    std::string text;
    for (std::uint32_t i = kSlotBytes; i-- > 0 && slot.bytes[i] != Byte::spill;) {
        text += byte_letter(slot.bytes[i]);
    }
    return text;
}

/// Empty where there is nothing to say.
std::string describe_slot(const Slot& slot, std::uint32_t frame, const Program& program) {
    if (slot.is_spill()) {
        return bytes_above_spill(slot) + describe_reg(slot.spill(), frame, program);
    }
    if (slot.is_object()) {
        return slot.object().first_slot ? describe_object(slot.object()) : "";
    }
    std::string text;
    bool used = false;
    for (std::uint32_t i = kSlotBytes; i-- > 0;) {
        used = used || slot.bytes[i] != Byte::unset;
        text += byte_letter(slot.bytes[i]);
    }
    return used ? text : std::string();
}

}  // namespace

const char* type_name(RegType type) {
    switch (type) {
        case RegType::scalar:
            return "scalar";
        case RegType::ctx:
            return "ctx";
        case RegType::map_ptr:
            return "map_ptr";
        case RegType::map_value:
            return "map_value";
        case RegType::map_key:
            return "map_key";
        case RegType::stack:
            return "fp";
        case RegType::packet:
            return "pkt";
        case RegType::packet_meta:
            return "pkt_meta";
        case RegType::packet_end:
            return "pkt_end";
        case RegType::memory:
            return "mem";
        case RegType::sock_common:
            return "sock_common";
        case RegType::socket:
            return "sock";
        case RegType::xdp_sock:
            return "xdp_sock";
        case RegType::kernel_object:
            return "ptr_";
        case RegType::function:
            return "func";
        case RegType::dynptr:
            return "dynptr_ptr";
        default:
            return "?";
    }
}

std::string type_name(const Reg& reg) {
    if (reg.or_null && (reg.type == RegType::map_ptr || reg.type == RegType::xdp_sock)) {
        return "map_value_or_null";  // what a lookup found shows itself when it was compared
    }
    if (reg.type == RegType::kernel_object) {
        return reg.or_null ? "ptr_or_null_" : "ptr_";
    }
    const char* prefix = reg.type != RegType::memory ? ""
                         : reg.record                ? "ringbuf_"
                         : reg.read_only             ? "rdonly_"
                                                     : "";
    return fmt::format("{}{}{}", prefix, type_name(reg.type), reg.or_null ? "_or_null" : "");
}

std::string describe_bits(Tnum bits) {
    return bits.is_const() ? fmt::format("{}", static_cast<std::int64_t>(bits.value))
                           : fmt::format("({:#x}; {:#x})", bits.value, bits.mask);
}

/// frame: of the register, which a pointer into another frame says.
std::string describe_reg(const Reg& reg, std::uint32_t frame, const Program& program) {
    if (reg.is_scalar() && reg.s.is_const()) {
        return number(static_cast<std::int64_t>(reg.s.bits.value));
    }
    std::string name = type_name(reg);
    if (reg.type == RegType::stack) {
        if (reg.frame != frame) {
            name += fmt::format("[{}]", reg.frame);
        }
        if (reg.s.is_const()) {
            return name + number(reg.off + static_cast<std::int64_t>(reg.s.bits.value));
        }
    }
    if (reg.type == RegType::kernel_object) {
        name += helpers::name_of(reg.object);
    }
    FieldList fields;
    if (reg.id != 0) {
        fields.add("id", reg.linked_sum ? fmt::format("{}{:+}", reg.id, reg.off)
                                        : fmt::format("{}", reg.id));
    }
    if (reg.ref != 0) {
        fields.add("ref_obj_id", reg.ref);
    }
    if (reg.type == RegType::map_ptr || reg.type == RegType::map_value ||
        reg.type == RegType::map_key) {
        const maps::MapSpec& spec = program.maps[reg.map]->spec();
        if (!spec.name.empty()) {
            fields.add("map", spec.name);
        }
        fields.add("ks", spec.key_size);
        fields.add("vs", spec.value_size);
    }
    if (!reg.is_scalar() && reg.off != 0) {
        fields.add("off", number(std::int64_t{reg.off}));
    }
    if (reg.is_packet()) {
        fields.add("r", number(static_cast<std::uint64_t>(std::int64_t{reg.range})));
    }
    if (reg.type == RegType::memory) {
        fields.add("sz", number(std::uint64_t{reg.size}));
    }
    if (reg.type == RegType::dynptr) {
        fields.add("type", kind_of_dynptr(reg.dynptr_kind));
    }
    if (!reg.s.is_const()) {
        add_bounds(fields, reg.s);
    } else if (reg.s.bits.value != 0) {
        fields.add("imm", number(static_cast<std::int64_t>(reg.s.bits.value)));
    }
    return fmt::format("{}({})", name, fields.text());
}

std::string describe_frame(const State& state,
                           std::uint32_t number,
                           const Program& program,
                           const Marks& shown,
                           const Marks& precise) {
    const Frame& frame = state.frame_at(number);
    std::string text = number != 0 ? fmt::format(" frame{}:", number) : std::string();
    for (std::uint32_t i = 0; i < kRegs; ++i) {
        if ((shown.regs >> i & 1U) != 0 && frame.regs[i].type != RegType::not_init) {
            const bool decided = frame.regs[i].is_scalar() && (precise.regs >> i & 1U) != 0;
            text += fmt::format(" R{}={}{}", i, decided ? "P" : "",
                                describe_reg(frame.regs[i], number, program));
        }
    }
    for (std::uint32_t i = 0; i < frame.stack.size(); ++i) {
        const std::string slot = (shown.slots >> i & 1U) != 0
                                     ? describe_slot(frame.stack[i], number, program)
                                     : std::string();
        if (!slot.empty()) {
            text += fmt::format(" fp-{}={}", (i + 1) * kSlotBytes, slot);
        }
    }
    for (std::size_t i = 0; i < state.held.references.size(); ++i) {
        text += fmt::format("{}{}", i == 0 ? " refs=" : ",", state.held.references[i].id);
    }
    text += frame.is_async ? " async_cb" : frame.is_callback ? " cb" : "";
    return text.empty() ? text : text.substr(1);
}

std::string describe_state(const State& state, const Program& program) {
    return describe_frame(state, state.depth(), program, kAllMarks);
}

}  // namespace crema::ebpf::verifier
