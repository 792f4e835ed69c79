// SPDX-License-Identifier: BSD-3-Clause
//
// The table of verifier_cases.h, by subject. Registers in comments only where the point is subtle.
#include "tests/support/verifier_cases.h"

#include <array>
#include <iterator>

#include "lib/base/check.h"
#include "lib/ebpf/maps/map.h"
#include "tests/support/verifier_table.h"

namespace crema::test {

namespace {

using ebpf::maps::MapSpec;
using ebpf::maps::MapType;

std::shared_ptr<ebpf::maps::Map> make_map(const MapSpec& spec) {
    auto map = ebpf::maps::create(spec);
    CREMA_CHECK(map.has_value());
    return *map;
}

void add_structure(Table& t) {
    t.bad("falls off the end", {mov_k(0, 0)}, "last insn is not an exit or jmp");
    t.bad("jump out of range", {go(100), exit_insn()}, "jump out of range from insn 0 to 101");
    t.bad("jump before the start", {mov_k(0, 0), jump_k(op::kJeq, 0, 0, -5), exit_insn()},
          "jump out of range from insn 1 to -3");
    t.bad("unreachable", {go(1), mov_k(0, 0), pass_insns}, "unreachable insn 1");
    t.bad("jump into ldimm64", {mov_k(0, 1), jump_k(op::kJeq, 0, 1, 1), ld_imm64(2, 1), pass_insns},
          "jump into the middle of ldimm64 insn 2");
    t.bad("unknown opcode", {insn(0xff, 0, 0, 0, 0), pass_insns}, "unknown opcode ff");
    t.bad("half an ldimm64", {mov_k(0, 0), insn(0x18, 1, 0, 0, 5), exit_insn()},
          "invalid bpf_ld_imm64 insn");
    t.bad("mov reserved", {insn(0xb7, 0, 1, 0, 0), exit_insn()}, "BPF_MOV uses reserved fields");
    t.bad("alu reserved", {mov_k(0, 0), insn(0x07, 0, 0, 2, 1), exit_insn()},
          "BPF_ALU uses reserved fields");
    t.bad("exit reserved", {mov_k(0, 0), insn(0x95, 0, 0, 0, 1)}, "BPF_EXIT uses reserved fields");
    t.bad("ja reserved", {insn(0x05, 1, 0, 0, 0), pass_insns}, "BPF_JA uses reserved fields");
    t.bad("jmp reserved", {mov_k(0, 0), insn(0x15, 0, 1, 0, 0), exit_insn()},
          "BPF_JMP/JMP32 uses reserved fields");
    t.bad("neg reserved", {mov_k(0, 0), insn(0x87, 0, 0, 0, 1), exit_insn()},
          "BPF_NEG uses reserved fields");
    t.bad("end reserved", {mov_k(0, 0), insn(0xdc, 0, 0, 0, 17), exit_insn()},
          "BPF_END uses reserved fields");
    t.bad("call reserved", {insn(0x85, 1, 0, 0, 1), pass_insns}, "BPF_CALL uses reserved fields");
    t.bad("st reserved", {insn(0x7a, 10, 1, -8, 0), pass_insns}, "BPF_ST uses reserved fields");
    t.bad("ldx reserved", {insn(0x61, 0, 1, 0, 1), exit_insn()}, "BPF_LDX uses reserved fields");
    t.bad("register 11", {insn(0xb7, 11, 0, 0, 0), pass_insns}, "R11 is invalid");
    t.bad("ld_abs", {mov(6, 1), insn(0x30, 0, 0, 0, 0), exit_insn()},
          "BPF_LD_[ABS|IND] instructions not allowed for this program type");
}

void add_registers(Table& t) {
    t.good("constant verdict", pass_insns);
    t.bad("r0 never set", {exit_insn()}, "R0 !read_ok");
    t.bad("r7 never set", {mov(0, 7), exit_insn()}, "R7 !read_ok");
    t.bad("write to r10", {mov_k(10, 0), pass_insns}, "frame pointer is read only");
    t.bad("clobbered by a call",
          {mov_k(1, 1), mov_k(2, 0), call(kRedirect), mov(0, 1), exit_insn()}, "R1 !read_ok");
    t.good("kept over a call", {mov(6, 1), mov_k(1, 1), mov_k(2, 0), call(kRedirect),
                                load(op::kW, 0, 6, 12), exit_insn()});
    t.good("pointer returned", {mov(0, 10), exit_insn()});
    t.bad("set on one path only",
          {load(op::kW, 2, 1, 12), jump_k(op::kJeq, 2, 3, 1), mov_k(0, 0), exit_insn()},
          "R0 !read_ok");
    t.good("set on the only path",
           {mov_k(2, 3), jump_k(op::kJne, 2, 3, 1), mov_k(0, 0), exit_insn()});
}

void add_arithmetic(Table& t) {
    t.bad("div by zero", {mov_k(0, 0), alu_k(op::kDiv, 0, 0), exit_insn()}, "div by zero");
    t.bad("mod32 by zero", {mov_k(0, 0), alu32_k(op::kMod, 0, 0), exit_insn()}, "div by zero");
    t.bad("shift 64", {mov_k(0, 0), alu_k(op::kLsh, 0, 64), exit_insn()}, "invalid shift 64");
    t.bad("shift 32 of 32", {mov_k(0, 0), alu32_k(op::kArsh, 0, 32), exit_insn()},
          "invalid shift 32");
    t.bad("negative shift", {mov_k(0, 0), alu_k(op::kRsh, 0, -1), exit_insn()}, "invalid shift -1");
    t.good("unknown shift",
           {load(op::kW, 2, 1, 12), mov_k(0, 1), alu32(op::kLsh, 0, 2), exit_insn()});
    t.good("unknown divisor",
           {load(op::kW, 2, 1, 12), mov_k(0, 100), alu(op::kDiv, 0, 2), exit_insn()});
    t.bad("pointer times", {mov(0, 10), alu_k(op::kMul, 0, 2), exit_insn()},
          "R0 pointer arithmetic with *= operator prohibited");
    t.bad("pointer or", {mov(0, 10), alu_k(op::kOr, 0, 2), exit_insn()},
          "R0 bitwise operator |= on pointer prohibited");
    t.bad("pointer plus pointer", {mov(0, 10), alu(op::kAdd, 0, 1), exit_insn()},
          "R0 pointer += pointer prohibited");
    t.bad("32-bit pointer math", {mov(0, 10), alu32_k(op::kAdd, 0, 1), exit_insn()},
          "R0 32-bit pointer arithmetic prohibited");
    t.good("pointer minus pointer", {mov(0, 10), alu(op::kSub, 0, 1), exit_insn()});
    t.bad("scalar minus pointer", {mov_k(0, 1), alu(op::kSub, 0, 10), exit_insn()},
          "R0 tried to subtract pointer from scalar");
    t.bad("frame pointer minus", {mov(0, 10), alu_k(op::kSub, 0, 8), exit_insn()},
          "R0 subtraction from stack pointer prohibited");
    t.good("packet length", {packet_insns, mov(0, 3), alu(op::kSub, 0, 2), exit_insn()});
    t.bad("data_end plus", {packet_insns, add_k(3, 1), pass_insns},
          "R3 pointer arithmetic on pkt_end prohibited");
    t.bad("map pointer plus", {ld_map(2, kArrayMap), add_k(2, 8), pass_insns},
          "R2 pointer arithmetic on map_ptr prohibited");
    t.good("negated pointer", {mov(0, 10), insn(0x87, 0, 0, 0, 0), exit_insn()});
    t.good("byte swap", {load(op::kW, 0, 1, 12), insn(0xdc, 0, 0, 0, 16), exit_insn()});
    t.bad("unbounded negative",
          {packet_with(14), load(op::kDw, 5, 2, 0), alu(op::kAdd, 2, 5), pass_insns},
          "math between pkt pointer and register with unbounded min value is not allowed");
}

void add_context(Table& t) {
    for (const int off : {12, 16}) {
        t.good("ctx word", {load(op::kW, 0, 1, off), exit_insn()});
    }
    t.bad("ctx egress", {load(op::kW, 0, 1, 20), exit_insn()},
          "invalid bpf_context access off=20 size=4");
    t.good("ctx egress of a devmap program", {load(op::kW, 0, 1, 20), exit_insn()});
    t.last().program.expected_attach_type = ebpf::kAttachXdpDevmap;
    t.bad("ctx past the end", {load(op::kW, 0, 1, 24), exit_insn()},
          "invalid bpf_context access off=24 size=4");
    t.bad("ctx byte", {load(op::kB, 0, 1, 12), exit_insn()},
          "invalid bpf_context access off=12 size=1");
    t.bad("ctx double word", {load(op::kDw, 0, 1, 0), exit_insn()},
          "invalid bpf_context access off=0 size=8");
    t.bad("ctx odd offset", {load(op::kW, 0, 1, 2), exit_insn()},
          "invalid bpf_context access off=2 size=4");
    t.bad("ctx write", {mov_k(0, 0), store(op::kW, 1, 12, 0), exit_insn()},
          "invalid bpf_context access off=12 size=4");
    t.bad("ctx modified", {add_k(1, 4), load(op::kW, 0, 1, 0), exit_insn()},
          "dereference of modified ctx ptr R1 off=4 disallowed");
    t.bad("ctx variable",
          {load(op::kW, 2, 1, 12), alu_k(op::kAnd, 2, 4), alu(op::kAdd, 1, 2),
           load(op::kW, 0, 1, 0), exit_insn()},
          "variable ctx access var_off=(0x0; 0x4) disallowed");
    t.bad("ctx atomic", {mov_k(0, 0), atomic_add(op::kW, 1, 12, 0), exit_insn()},
          "BPF_ATOMIC stores into R1 ctx is not allowed");
    t.bad("one load of two kinds",
          {load(op::kW, 2, 1, 12), mov(3, 1), jump_k(op::kJeq, 2, 0, 3), mov(3, 10),
           store_k(op::kW, 10, -4, 0), add_k(3, -16), load(op::kW, 0, 3, 12), exit_insn()},
          "same insn cannot be used with different pointers");
    t.good("ctx spilled and filled", {store(op::kDw, 10, -8, 1), load(op::kDw, 2, 10, -8),
                                      load(op::kW, 0, 2, 12), exit_insn()});
}

// NOLINTNEXTLINE(readability-function-size): a table of cases, no logic
void add_packet(Table& t) {
    t.good("checked byte", {packet_with(14), load(op::kB, 0, 2, 13), exit_insn()});
    t.bad("byte past the check", {packet_with(14), load(op::kB, 0, 2, 14), exit_insn()},
          "invalid access to packet, off=14 size=1, R2(id=0,off=14,r=14)");
    t.bad("unchecked", {packet_insns, load(op::kB, 0, 2, 0), exit_insn()},
          "R2 offset is outside of the packet");
    t.bad("before the packet", {packet_with(14), load(op::kB, 0, 2, -1), exit_insn()},
          "R2 offset is outside of the packet");
    t.good("unaligned", {packet_with(14), load(op::kW, 0, 2, 3), exit_insn()});
    t.good("write", {packet_with(14), store_k(op::kDw, 2, 1, 7), pass_insns});
    t.bad("data_end dereferenced", {packet_insns, load(op::kB, 0, 3, 0), exit_insn()},
          "R3 invalid mem access 'pkt_end'");
    t.bad("atomic on packet",
          {packet_with(14), mov_k(0, 1), atomic_add(op::kW, 2, 0, 0), exit_insn()},
          "BPF_ATOMIC stores into R2 pkt is not allowed");

    struct Form {
        const char* name;
        Insn jump;
        bool one_more;  // proves a byte more
        bool taken;     // proves on the taken branch
    };

    // r4 = data + 14, r3 = data_end
    const Form forms[] = {
        {"p > end", jump(op::kJgt, 4, 3, 2), false, false},
        {"p >= end", jump(op::kJge, 4, 3, 2), true, false},
        {"end < p", jump(op::kJlt, 3, 4, 2), false, false},
        {"end <= p", jump(op::kJle, 3, 4, 2), true, false},
        {"p < end", jump(op::kJlt, 4, 3, 2), true, true},
        {"p <= end", jump(op::kJle, 4, 3, 2), false, true},
        {"end > p", jump(op::kJgt, 3, 4, 2), true, true},
        {"end >= p", jump(op::kJge, 3, 4, 2), false, true},
    };
    for (const Form& form : forms) {
        for (const int off : {13, 14, 15}) {
            const Code access{load(op::kB, 0, 2, off), exit_insn()};
            const Code code{packet_insns,
                            mov(4, 2),
                            add_k(4, 14),
                            form.jump,
                            form.taken ? pass_insns : access,
                            form.taken ? access : pass_insns};
            const std::string name = std::string(form.name) + ", byte " + std::to_string(off);
            if (off < 14 + (form.one_more ? 1 : 0)) {
                t.good(name.c_str(), code);
            } else {
                t.bad(name.c_str(), code, "R2 offset is outside of the packet");
            }
        }
    }
    t.bad("wrong branch",
          {packet_insns, mov(4, 2), add_k(4, 14), jump(op::kJgt, 4, 3, 2), pass_insns,
           load(op::kB, 0, 2, 0), exit_insn()},
          "R2 offset is outside of the packet");
    t.bad("32-bit comparison proves nothing",
          {packet_insns, mov(4, 2), add_k(4, 14), jump32(op::kJgt, 4, 3, 2), load(op::kB, 0, 2, 0),
           exit_insn(), pass_insns},
          "R2 offset is outside of the packet");
    t.good("copy refined", {packet_insns, mov(7, 2), mov(4, 2), add_k(4, 14),
                            jump(op::kJgt, 4, 3, 1), load(op::kB, 0, 7, 13), pass_insns});
    t.good("spilled copy refined",
           {packet_insns, store(op::kDw, 10, -8, 2), mov(4, 2), add_k(4, 14),
            jump(op::kJgt, 4, 3, 2), load(op::kDw, 5, 10, -8), load(op::kB, 0, 5, 13), pass_insns});
    t.good("larger of two checks kept",
           {packet_with(34), mov(4, 2), add_k(4, 14), jump(op::kJgt, 4, 3, 1),
            load(op::kB, 0, 2, 33), pass_insns});
    // variable offsets: r5 = (pkt[0] & 15) * 4
    const Code variable{packet_with(14), load(op::kB, 5, 2, 0), alu_k(op::kAnd, 5, 15),
                        alu_k(op::kLsh, 5, 2), alu(op::kAdd, 2, 5)};
    t.good("variable offset, checked again",
           {variable, mov(4, 2), add_k(4, 20), jump(op::kJgt, 4, 3, 1), load(op::kB, 0, 2, 19),
            pass_insns});
    t.bad("variable offset, old check", {variable, load(op::kB, 0, 2, 0), exit_insn()},
          "R2 offset is outside of the packet");
    t.bad("u16 offset plus header",
          {packet_with(14), load(op::kH, 5, 2, 0), alu(op::kAdd, 2, 5), mov(4, 2), add_k(4, 20),
           jump(op::kJgt, 4, 3, 1), load(op::kB, 0, 2, 0), pass_insns},
          "R2 offset is outside of the packet");
    t.good("15-bit offset plus header",
           {packet_with(14), load(op::kH, 5, 2, 0), alu_k(op::kAnd, 5, 0x7fff), alu(op::kAdd, 2, 5),
            mov(4, 2), add_k(4, 20), jump(op::kJgt, 4, 3, 1), load(op::kB, 0, 2, 0), pass_insns});
    t.bad("possibly negative offset",
          {packet_with(14), load(op::kB, 5, 2, 0), alu_k(op::kSub, 5, 1), alu(op::kAdd, 2, 5),
           mov(4, 2), add_k(4, 20), jump(op::kJgt, 4, 3, 1), load(op::kB, 0, 2, 0), pass_insns},
          "R2 min value is negative");
    t.good("metadata", {load(op::kW, 2, 1, 8), load(op::kW, 3, 1, 0), mov(4, 2), add_k(4, 4),
                        jump(op::kJgt, 4, 3, 1), load(op::kW, 0, 2, 0), pass_insns});
    t.bad("metadata against data_end",
          {load(op::kW, 2, 1, 8), load(op::kW, 3, 1, 4), mov(4, 2), add_k(4, 4),
           jump(op::kJgt, 4, 3, 1), load(op::kW, 0, 2, 0), pass_insns},
          "R2 offset is outside of the packet");
    t.bad("metadata against moved data",
          {load(op::kW, 2, 1, 8), load(op::kW, 3, 1, 0), add_k(3, 1), mov(4, 2), add_k(4, 4),
           jump(op::kJgt, 4, 3, 1), load(op::kW, 0, 2, 0), pass_insns},
          "R2 offset is outside of the packet");
    const Code moved{mov(6, 1), packet_with(14), mov(7, 2),
                     mov(1, 6), mov_k(2, 4),     call(kAdjustHead)};
    t.bad("stale after adjust_head", {moved, load(op::kB, 0, 7, 0), exit_insn()},
          "R7 invalid mem access 'scalar'");
    t.good("loaded anew after adjust_head",
           {moved, mov(1, 6), packet_with(14), load(op::kB, 0, 2, 0), exit_insn()});
    t.bad("stale spilled pointer",
          {mov(6, 1), packet_with(14), store(op::kDw, 10, -8, 2), mov(1, 6), mov_k(2, 4),
           call(kAdjustHead), load(op::kDw, 7, 10, -8), load(op::kB, 0, 7, 0), exit_insn()},
          "R7 invalid mem access 'scalar'");
    t.good("pointer stored in packet", {packet_with(14), store(op::kDw, 2, 0, 10), pass_insns});
}

void add_stack(Table& t) {
    t.good("uninitialised read", {load(op::kDw, 0, 10, -8), exit_insn()});
    t.bad("below the frame", {store_k(op::kDw, 10, -520, 0), pass_insns},
          "invalid write to stack R10 off=-520 size=8");
    t.bad("above the frame", {load(op::kDw, 0, 10, 0), exit_insn()},
          "invalid read from stack R10 off=0 size=8");
    t.bad("misaligned", {store_k(op::kDw, 10, -12, 0), pass_insns},
          "misaligned stack access off 0+0+-12 size 8");
    t.bad("pointer spilled by halves", {store(op::kW, 10, -8, 1), pass_insns},
          "invalid size of register spill");
    t.bad("pointer filled by halves",
          {store(op::kDw, 10, -8, 1), load(op::kW, 0, 10, -8), exit_insn()},
          "invalid size of register fill");
    t.bad("corrupted spill used",
          {store(op::kDw, 10, -8, 1), store_k(op::kB, 10, -7, 0), load(op::kDw, 1, 10, -8),
           load(op::kW, 0, 1, 12), exit_insn()},
          "R1 invalid mem access 'scalar'");
    t.good("narrow spill keeps the number",
           {packet_with(14), load(op::kB, 5, 2, 0), store(op::kW, 10, -8, 5),
            load(op::kW, 5, 10, -8), alu(op::kAdd, 2, 5), mov(4, 2), add_k(4, 1),
            jump(op::kJgt, 4, 3, 1), load(op::kB, 0, 2, 0), pass_insns});
    t.good("check refines the spilled copy",
           {load(op::kW, 5, 1, 12), store(op::kDw, 10, -8, 5), jump_k(op::kJgt, 5, 100, 11),
            load(op::kDw, 6, 10, -8), packet_with(14), alu(op::kAdd, 2, 6), mov(4, 2), add_k(4, 1),
            pass_insns});
    const Code variable{load(op::kW, 5, 1, 12), alu_k(op::kAnd, 5, 24), mov(6, 10), add_k(6, -32),
                        alu(op::kAdd, 6, 5)};
    t.good("variable read", {variable, load(op::kDw, 0, 6, 0), exit_insn()});
    t.good("variable write", {variable, store_k(op::kDw, 6, 0, 1), pass_insns});
    t.bad("variable read too far", {variable, load(op::kDw, 0, 6, 8), exit_insn()},
          "invalid variable-offset read from stack R6");
    t.bad("variable write over a spilled pointer",
          {store(op::kDw, 10, -16, 1), variable, store_k(op::kDw, 6, 0, 1),
           load(op::kDw, 1, 10, -16), load(op::kW, 0, 1, 12), exit_insn()},
          "R1 invalid mem access 'scalar'");
    t.good("atomic add", {store_k(op::kDw, 10, -8, 0), mov_k(2, 1), atomic_add(op::kDw, 10, -8, 2),
                          load(op::kDw, 0, 10, -8), exit_insn()});
    t.bad("atomic byte",
          {store_k(op::kDw, 10, -8, 0), mov_k(2, 1), atomic_add(op::kB, 10, -8, 2), pass_insns},
          "invalid atomic operand size");
    t.bad("misaligned atomic",
          {ld_map_value(2, kGlobalMap, 1), mov_k(3, 1), atomic_add(op::kW, 2, 0, 3), pass_insns},
          "misaligned value access off");
    for (const int operation : {op::kAtomicXchg, op::kAtomicAdd | op::kFetch}) {
        t.bad("atomic result over its address in the frame",
              {store_k(op::kDw, 10, -8, 0), mov(2, 10), add_k(2, -8),
               insn(op::kStx | op::kAtomic | op::kDw, 2, 2, 0, operation), pass_insns},
              "misaligned access off (0x0; 0xffffffffffffffff)+0+0 size 8");
    }
    t.bad("atomic comparison's result over its address",
          {lookup_checked(kArrayMap), mov_k(2, 1),
           insn(op::kStx | op::kAtomic | op::kDw, 0, 2, 0, op::kAtomicCmpxchg), pass_insns},
          "misaligned access off (0x0; 0xffffffffffffffff)+0+0 size 8");
    t.bad("types of a module that is none",
          {insn(op::kLdImm64, 1, op::kPseudoBtfId, 0, 1), insn(0, 0, 0, 0, 1000), pass_insns},
          "invalid module BTF object FD specified");
    t.bad("number dereferenced", {mov_k(1, 100), load(op::kW, 0, 1, 0), exit_insn()},
          "R1 invalid mem access 'scalar'");
}

void add_maps(Table& t) {
    t.good("lookup, checked", {lookup_checked(kArrayMap), load(op::kDw, 0, 0, 8), exit_insn()});
    t.bad("lookup, unchecked", {lookup_unknown(kArrayMap), load(op::kDw, 0, 0, 8), exit_insn()},
          "R0 invalid mem access 'map_value_or_null'");
    t.bad("arithmetic before the check", {lookup_unknown(kArrayMap), add_k(0, 8), pass_insns},
          "R0 pointer arithmetic on map_value_or_null prohibited, null-check it first");
    t.bad("past the value", {lookup_checked(kArrayMap), load(op::kDw, 0, 0, 16), exit_insn()},
          "invalid access to map value, value_size=16 off=16 size=8");
    t.bad("before the value", {lookup_checked(kArrayMap), load(op::kDw, 0, 0, -8), exit_insn()},
          "invalid access to map value, value_size=16 off=-8 size=8");
    t.good("copy refined by the check",
           {lookup_unknown(kArrayMap), mov(7, 0), jump_k(op::kJeq, 0, 0, 1), load(op::kDw, 0, 7, 0),
            pass_insns});
    t.bad(
        "null branch",
        {lookup_unknown(kArrayMap), jump_k(op::kJne, 0, 0, 1), load(op::kDw, 0, 0, 0), pass_insns},
        "R0 invalid mem access 'scalar'");
    t.good("constant key in range",
           {store_k(op::kW, 10, -4, 0), mov(2, 10), add_k(2, -4), ld_map(1, kArrayMap),
            call(kLookup), load(op::kDw, 0, 0, 0), exit_insn()});
    t.good("constant key 3, spilled",
           {store_k(op::kW, 10, -8, 3), mov(2, 10), add_k(2, -8), ld_map(1, kArrayMap),
            call(kLookup), load(op::kDw, 0, 0, 0), exit_insn()});
    t.bad("constant key out of range",
          {store_k(op::kW, 10, -8, 4), mov(2, 10), add_k(2, -8), ld_map(1, kArrayMap),
           call(kLookup), load(op::kDw, 0, 0, 0), exit_insn()},
          "R0 invalid mem access 'map_value_or_null'");
    t.good("per-CPU lookup", {lookup_checked(kPercpuMap), load(op::kDw, 0, 0, 0), exit_insn()});
    t.good("variable index", {lookup_checked(kArrayMap), alu_k(op::kAnd, 6, 8), alu(op::kAdd, 0, 6),
                              load(op::kDw, 0, 0, 0), exit_insn()});
    t.bad("variable index too large",
          {lookup_checked(kArrayMap), alu_k(op::kAnd, 6, 15), alu(op::kAdd, 0, 6),
           load(op::kDw, 0, 0, 0), exit_insn()},
          "R0 max value is outside of the allowed memory range");
    t.bad("unbounded index",
          {lookup_checked(kArrayMap), alu(op::kAdd, 0, 6), load(op::kDw, 0, 0, 0), exit_insn()},
          "R0 unbounded memory access, make sure to bounds check any such access");
    t.good("key in the packet", {packet_with(14), ld_map(1, kArrayMap), call(kLookup), pass_insns});
    t.bad("key past the check", {packet_with(2), ld_map(1, kArrayMap), call(kLookup), pass_insns},
          "invalid access to packet, off=0 size=4");
    t.bad("key is a number", {mov_k(2, 0), ld_map(1, kArrayMap), call(kLookup), pass_insns},
          "R2 type=scalar expected=fp");
    t.good("uninitialised key",
           {mov(2, 10), add_k(2, -4), ld_map(1, kArrayMap), call(kLookup), pass_insns});
    t.bad("key outside the frame", {mov(2, 10), ld_map(1, kArrayMap), call(kLookup), pass_insns},
          "invalid read from stack R2 off=0 size=4");
    t.bad("not a map", {mov_k(1, 0), mov(2, 10), add_k(2, -4), call(kLookup), pass_insns},
          "R1 type=scalar expected=map_ptr");
    t.good("global data", {ld_map_value(2, kGlobalMap, 8), load(op::kDw, 0, 2, 0),
                           store(op::kDw, 2, 0, 0), exit_insn()});
    t.bad("past global data", {ld_map_value(2, kGlobalMap, 8), load(op::kDw, 0, 2, 8), exit_insn()},
          "invalid access to map value, value_size=16 off=16 size=8");
    t.bad("global data offset", {ld_map_value(2, kGlobalMap, 16), pass_insns},
          "invalid access to map value pointer, value_size=16 off=16");
    t.good("constant decides a branch",
           {ld_map_value(2, kConstantMap, 0), load(op::kW, 3, 2, 0), jump_k(op::kJeq, 3, 1, 1),
            load(op::kW, 0, 3, 0), pass_insns});
    t.bad("constant decides the other way",
          {ld_map_value(2, kConstantMap, 0), load(op::kW, 3, 2, 4), jump_k(op::kJeq, 3, 1, 1),
           load(op::kW, 0, 3, 0), pass_insns},
          "R3 invalid mem access 'scalar'");
    t.bad("write to constants",
          {ld_map_value(2, kConstantMap, 0), store_k(op::kW, 2, 0, 0), pass_insns},
          "write into map forbidden, value_size=16 off=0 size=4");
    t.bad("write to a read-only map",
          {lookup_checked(kReadOnlyMap), store_k(op::kW, 0, 4, 0), pass_insns},
          "write into map forbidden, value_size=16 off=4 size=4");
    t.bad("read of a write-only map",
          {lookup_checked(kWriteOnlyMap), load(op::kW, 0, 0, 0), exit_insn()},
          "read from map forbidden, value_size=16 off=0 size=4");
    t.good("devmap entry read", {lookup_checked(kDevMap), load(op::kW, 0, 0, 0), exit_insn()});
    t.bad("devmap entry written", {lookup_checked(kDevMap), store_k(op::kW, 0, 0, 0), pass_insns},
          "write into map forbidden, value_size=4 off=0 size=4");
    t.bad("cpumap looked up", {lookup_unknown(kCpuMap), pass_insns},
          "cannot pass map_type 16 into func bpf_map_lookup_elem#1");
    t.good("redirect_map",
           {ld_map(1, kDevMap), mov_k(2, 0), mov_k(3, 0), call(kRedirectMap), exit_insn()});
    t.bad("redirect_map on an array",
          {ld_map(1, kArrayMap), mov_k(2, 0), mov_k(3, 0), call(kRedirectMap), exit_insn()},
          "cannot pass map_type 2 into func bpf_redirect_map#51");
    t.bad("redirect_map argument missing",
          {ld_map(1, kDevMap), mov_k(2, 0), call(kRedirectMap), exit_insn()}, "R3 !read_ok");
    t.good("atomic add to a value",
           {lookup_checked(kArrayMap), mov_k(1, 1), atomic_add(op::kDw, 0, 0, 1), pass_insns});
    t.unserved("map itself read", {ld_map(1, kArrayMap), load(op::kW, 0, 1, 24), exit_insn()},
               "reads the map itself (struct bpf_map), not served yet");
}

void add_calls(Table& t) {
    t.bad("unknown helper", {call(999), pass_insns}, "invalid func unknown#999");
    t.bad("foreign helper", {call(26), pass_insns},
          "program of this type cannot use helper bpf_skb_load_bytes#26");
    t.bad("ctx expected", {mov_k(1, 0), mov_k(2, 0), call(kAdjustHead), pass_insns},
          "R1 type=scalar expected=ctx");
    t.good("helper without arguments", {call(5), exit_insn()});
}

void add_flow(Table& t) {
    t.good("bounded loop", {mov_k(0, 0), add_k(0, 1), jump_k(op::kJlt, 0, 100, -2), exit_insn()});
    t.bad(
        "loop without progress",
        {mov_k(0, 0), mov_k(1, 1), alu_k(op::kAnd, 1, 1), jump_k(op::kJne, 1, 0, -2), exit_insn()},
        "infinite loop detected at insn");
    t.bad("loop decided by the packet",
          {packet_with(14), load(op::kB, 5, 2, 0), jump_k(op::kJne, 5, 3, -2), pass_insns},
          "infinite loop detected at insn");
    t.bad("endless counted loop",
          {load(op::kW, 2, 1, 12), mov_k(0, 0), add_k(0, 1), jump_k(op::kJlt, 0, -1, -2),
           exit_insn()},
          "BPF program is too large. Processed 1000001 insn");
    t.good("dead code is not judged",
           {mov_k(2, 1), jump_k(op::kJeq, 2, 1, 1), load(op::kW, 0, 2, 0), pass_insns});
    t.good("dead call of a missing helper",
           {mov_k(2, 1), jump_k(op::kJeq, 2, 1, 1), call(195896080), pass_insns});
    t.bad("live call of a missing helper", {call(195896080), pass_insns},
          "invalid func unknown#195896080");
    t.good("32-bit comparison narrows",
           {packet_with(14), load(op::kW, 5, 2, 0), jump32_k(op::kJgt, 5, 10, 4),
            alu(op::kAdd, 2, 5), mov(4, 2), add_k(4, 1), jump(op::kJgt, 4, 3, 0), pass_insns});
    t.good("double check past the end",
           {packet_insns, mov(4, 2), add_k(4, 14), jump(op::kJle, 4, 3, 3), jump(op::kJgt, 4, 3, 2),
            load(op::kB, 0, 2, 0), exit_insn(), pass_insns});
}

}  // namespace

std::vector<std::shared_ptr<ebpf::maps::Map>> case_maps() {
    const std::uint32_t rdonly = ebpf::maps::kRdonlyProg;
    std::vector<std::shared_ptr<ebpf::maps::Map>> all{
        make_map({MapType::array, 4, 16, 4, 0, "array"}),
        make_map({MapType::array, 4, 16, 1, 0, "global"}),
        make_map({MapType::array, 4, 16, 1, rdonly, "constant"}),
        make_map({MapType::percpu_array, 4, 8, 2, 0, "percpu"}),
        make_map({MapType::array, 4, 16, 1, rdonly, "rdonly"}),
        make_map({MapType::array, 4, 16, 1, ebpf::maps::kWronlyProg, "wronly"}),
        make_map({MapType::devmap, 4, 4, 4, 0, "dev"}),
        make_map({MapType::cpumap, 4, 4, 4, 0, "cpu"}),
        make_map({MapType::prog_array, 4, 4, 4, 0, "programs"}),
        make_map({MapType::user_ringbuf, 0, 0, 4096, 0, "samples"}),
    };
    const std::uint32_t key = 0;
    const std::array<std::uint32_t, 4> value{1, 0, 7, 0};
    CREMA_CHECK(all[kConstantMap]->update(&key, value.data(), 0) == 0);
    CREMA_CHECK(all[kConstantMap]->freeze() == 0);
    return all;
}

const std::vector<VerifierCase>& verifier_cases() {
    static const std::vector<VerifierCase> cases = [] {
        Table t;
        add_structure(t);
        add_registers(t);
        add_arithmetic(t);
        add_context(t);
        add_packet(t);
        add_stack(t);
        add_maps(t);
        add_calls(t);
        add_flow(t);
        add_function_cases(t);
        add_call_cases(t);
        add_alignment_cases(t);
        add_typed_cases(t);
        add_tag_cases(t);
        add_loop_cases(t);
        add_kfunc_cases(t);
        add_iterator_cases(t);
        add_sample_cases(t);
        std::vector<VerifierCase> all = t.take();
        std::vector<VerifierCase> isa = isa_cases();
        all.insert(all.end(), std::make_move_iterator(isa.begin()),
                   std::make_move_iterator(isa.end()));
        return all;
    }();
    return cases;
}

}  // namespace crema::test
