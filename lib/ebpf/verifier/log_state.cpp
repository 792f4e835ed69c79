// SPDX-License-Identifier: BSD-3-Clause
//
// States as people read them: "R1=ctx() R2=pkt(off=14,r=14) R10=fp0 fp-8=mmmmmmmm", in the
// notation of the kernel's log.
#include <cstdlib>
#include <string_view>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

template <typename T>
std::string number(T v) {
    const bool small =
        v <= 0xffff && (std::is_unsigned_v<T> || static_cast<std::int64_t>(v) >= -0xffff);
    return small ? fmt::format("{}", v) : fmt::format("{:#x}", v);
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

void add_scalar(FieldList& fields, const Scalar& s) {
    const Scalar any;
    if (s.wide.smin != any.wide.smin) {
        fields.add("smin", number(s.wide.smin));
    }
    if (s.wide.smax != any.wide.smax) {
        fields.add("smax", number(s.wide.smax));
    }
    if (s.wide.umin != any.wide.umin) {
        fields.add("umin", number(s.wide.umin));
    }
    if (s.wide.umax != any.wide.umax) {
        fields.add("umax", number(s.wide.umax));
    }
    if (!(s.half == any.half) && s.wide.umax > 0xffff'ffff) {
        fields.add("smin32", number(s.half.smin));
        fields.add("smax32", number(s.half.smax));
        fields.add("umin32", number(s.half.umin));
        fields.add("umax32", number(s.half.umax));
    }
    if (!(s.bits == any.bits)) {
        fields.add("var_off", describe_bits(s.bits));
    }
}

std::string describe_slot(const Slot& slot, const Program& program) {
    if (slot.is_spill()) {
        return describe_reg(slot.spill(), program);
    }
    if (slot.is_object()) {
        return slot.object().first_slot ? fmt::format("dynptr(id={})", slot.object().id) : "";
    }
    std::string text;
    bool used = false;
    for (std::uint32_t i = kSlotBytes; i-- > 0;) {
        used = used || slot.bytes[i] != Byte::unset;
        text += slot.bytes[i] == Byte::misc ? 'm' : slot.bytes[i] == Byte::zero ? '0' : '?';
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

std::string describe_reg(const Reg& reg, const Program& program) {
    if (reg.is_scalar() && reg.s.is_const()) {
        return number(static_cast<std::int64_t>(reg.s.bits.value));
    }
    if (reg.type == RegType::stack && reg.s.is_const(0)) {
        return fmt::format("fp{}", reg.off);
    }
    FieldList fields;
    if (reg.id != 0) {
        fields.add("id", reg.linked_sum ? fmt::format("{}+{}", reg.id, reg.off)
                                        : fmt::format("{}", reg.id));
    }
    if (!reg.is_scalar() && reg.off != 0) {
        fields.add("off", reg.off);
    }
    if (reg.is_packet()) {
        fields.add("r", reg.range);
    }
    if (reg.ref != 0) {
        fields.add("ref_obj_id", reg.ref);
    }
    if (reg.type == RegType::memory) {
        fields.add("sz", reg.size);
    }
    if (reg.type == RegType::map_ptr || reg.type == RegType::map_value ||
        reg.type == RegType::map_key) {
        const maps::MapSpec& spec = program.maps[reg.map]->spec();
        fields.add("map", spec.name);
        fields.add("ks", spec.key_size);
        fields.add("vs", spec.value_size);
    }
    if (reg.is_scalar() || !reg.s.is_const(0)) {
        add_scalar(fields, reg.s);
    }
    return fmt::format("{}({})", type_name(reg), fields.text());
}

std::string describe_frame(const State& state, std::uint32_t number, const Program& program) {
    const Frame& frame = state.frame_at(number);
    std::string text = number != 0 ? fmt::format(" frame{}:", number) : std::string();
    for (std::uint32_t i = 0; i < kRegs; ++i) {
        if (frame.regs[i].type != RegType::not_init) {
            text += fmt::format(" R{}={}", i, describe_reg(frame.regs[i], program));
        }
    }
    for (std::uint32_t i = 0; i < frame.stack.size(); ++i) {
        const std::string slot = describe_slot(frame.stack[i], program);
        if (!slot.empty()) {
            text += fmt::format(" fp-{}={}", (i + 1) * kSlotBytes, slot);
        }
    }
    return text.empty() ? text : text.substr(1);
}

std::string describe_state(const State& state, const Program& program) {
    return describe_frame(state, state.depth(), program);
}

}  // namespace crema::ebpf::verifier
