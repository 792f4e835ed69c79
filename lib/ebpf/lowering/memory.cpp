// SPDX-License-Identifier: BSD-3-Clause
//
// Loads, stores and 64-bit constants: context fields, map addresses, and the byte store of the
// frame pointer, for which the JIT names the wrong byte register.
#include <array>

#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/kfuncs/kfuncs.h"
#include "lib/ebpf/lowering/rewriter.h"
#include "lib/ebpf/maps/map.h"

namespace crema::ebpf::lowering {

namespace {

struct ContextField {
    std::uint8_t size;
    std::int32_t off;  // in XdpBuff
};

// By struct xdp_md offset / 4. Pointers are 32 bits wide there and 64 here.
constexpr std::array<ContextField, 6> kContextFields = {{
    {op::kDw, offsetof(XdpBuff, data)},
    {op::kDw, offsetof(XdpBuff, data_end)},
    {op::kDw, offsetof(XdpBuff, data_meta)},
    {op::kW, offsetof(XdpBuff, ingress_ifindex)},
    {op::kW, offsetof(XdpBuff, rx_queue_index)},
    {op::kW, offsetof(XdpBuff, egress_ifindex)},
}};

}  // namespace

void Rewriter::rewrite_constant(const Insn& insn, std::size_t at) {
    const std::int32_t second = program_.insns[at + 1].imm;
    if (insn.src == 0) {
        out_.load_constant(insn.dst, (static_cast<std::uint64_t>(second) << 32U) |
                                         static_cast<std::uint32_t>(insn.imm));
        return;
    }
    if (insn.src == op::kPseudoFunc) {
        load_function_address(insn.dst, facts_->function);
        return;
    }
    if (insn.src == op::kPseudoBtfId) {
        out_.load_constant(insn.dst,
                           reinterpret_cast<std::uintptr_t>(kfuncs::find(insn.imm)->native));
        return;
    }
    const maps::Map& map = *program_.maps[static_cast<std::size_t>(insn.imm)];
    if (insn.src == op::kPseudoMap) {
        out_.load_constant(insn.dst, helpers::map_argument(map));
        return;
    }
    out_.load_constant(insn.dst, reinterpret_cast<std::uintptr_t>(map.layout().base) +
                                     static_cast<std::uint32_t>(second));
}

// From the table of the program's functions, filled when all of them are compiled. A function that
// was not proved is never called: its address may be anything.
void Rewriter::load_function_address(Reg dst, std::int32_t function) {
    const std::int32_t place = place_[static_cast<std::size_t>(function)];
    if (place < 0) {
        out_.load_constant(dst, 0);
        return;
    }
    out_.load_address_of(dst, static_cast<std::uint32_t>(place));
    out_.emit(load(op::kDw, dst, dst, 0));
}

void Rewriter::rewrite_load(const Insn& insn) {
    const bool is_signed = op::mode(insn.code) == op::kMemSx;
    if (facts_->access == verifier::Access::ctx) {
        const ContextField& field = kContextFields[static_cast<std::size_t>(insn.off) / 4];
        out_.emit(load(field.size, insn.dst, insn.src, field.off));
    } else {
        out_.emit(load(op::size_field(insn.code), insn.dst, insn.src, insn.off));
    }
    if (is_signed) {
        sign_extend(insn.dst, 8 * op::access_bytes(insn.code));
    }
}

void Rewriter::store_register(std::uint8_t size, Reg base, std::int32_t off, Reg src) {
    Reg value = src;
    if (size == op::kB && src == kFrame) {
        value = temporary();
        out_.emit(mov64(value, kFrame));
    }
    out_.emit(store(size, base, off, value));
}

void Rewriter::rewrite_store(const Insn& insn) {
    if (is_atomic(insn)) {
        rewrite_atomic(insn);
    } else if (op::insn_class(insn.code) == op::kStx) {
        store_register(op::size_field(insn.code), insn.dst, insn.off, insn.src);
    } else {
        out_.emit(insn);
    }
}

}  // namespace crema::ebpf::lowering
