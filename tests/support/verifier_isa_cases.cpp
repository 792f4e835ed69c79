// SPDX-License-Identifier: BSD-3-Clause
//
// Cases of verifier_cases.h for the instructions that came after v3: sign extension, signed
// division, byte swap, long jumps, all atomics. What a number may be afterwards is made visible by
// using it as an offset into a map value of 16 bytes.
#include "tests/support/asm.h"
#include "tests/support/verifier_cases.h"

namespace crema::test {

namespace {

constexpr int kAtomic = op::kStx | op::kAtomic;

class IsaCases {
  public:
    void good(const char* name, const Code& code) { add(name, code, ""); }

    void bad(const char* name, const Code& code, const char* reason) { add(name, code, reason); }

    std::vector<VerifierCase> take() { return std::move(cases_); }

  private:
    void add(const char* name, const Code& code, const char* reason) {
        VerifierCase c;
        c.name = name;
        c.program = program_of(code);
        c.program.maps = case_maps();
        c.refusal = reason;
        cases_.push_back(std::move(c));
    }

    std::vector<VerifierCase> cases_;
};

const Code pass_insns{mov_k(0, 2), exit_insn()};

/// r2 = an unknown 32-bit number.
const Code unknown_insns{load(op::kW, 2, 1, 16)};

/// r3 = value of the global map; *(u8 *)(r3 + r2 + off) is read.
Code use_as_offset(int off) {
    return {ld_map_value(3, kGlobalMap, 0), alu(op::kAdd, 3, 2), load(op::kB, 0, 3, off),
            pass_insns};
}

Insn movsx(int cls, int dst, int src, int bits) {
    return insn(cls | op::kX | op::kMov, dst, src, bits, 0);
}

Insn load_signed(int size, int dst, int src, int off) {
    return insn(op::kLdx | op::kMemSx | size, dst, src, off, 0);
}

Insn atomic(int size, int dst, int off, int src, int operation) {
    return insn(kAtomic | size, dst, src, off, operation);
}

void add_sign_extension(IsaCases& t) {
    for (const int bits : {8, 16, 32}) {
        t.good("movsx of every width", {mov_k(2, -1), movsx(op::kAlu64, 0, 2, bits), exit_insn()});
    }
    t.bad("movsx32 of 32 bits", {mov_k(2, 5), movsx(op::kAlu, 0, 2, 32), exit_insn()},
          "BPF_MOV uses reserved fields");
    t.bad("movsx of 24 bits", {mov_k(2, 5), movsx(op::kAlu64, 0, 2, 24), exit_insn()},
          "BPF_MOV uses reserved fields");
    t.bad("movsx with a constant", {insn(op::kAlu64 | op::kMov, 0, 0, 8, 5), exit_insn()},
          "BPF_MOV uses reserved fields");
    t.good("movsx keeps a positive range",
           {unknown_insns, alu_k(op::kAnd, 2, 15), movsx(op::kAlu64, 2, 2, 8), use_as_offset(0)});
    t.bad("movsx may be negative",
          {unknown_insns, alu_k(op::kAnd, 2, 255), movsx(op::kAlu64, 2, 2, 8), use_as_offset(0)},
          "R3 min value is negative");
    t.good("movsx of a known negative byte",
           {mov_k(2, 0xfe), movsx(op::kAlu64, 2, 2, 8), use_as_offset(2)});
    t.bad("movsx of an unknown byte is not above 127",
          {unknown_insns, movsx(op::kAlu64, 2, 2, 8), use_as_offset(128)},
          "R3 unbounded memory access");
    t.good("movsx of an unknown byte, both sides checked",
           {unknown_insns, movsx(op::kAlu64, 2, 2, 8), jump_k(op::kJsgt, 2, 3, 4),
            jump_k(op::kJslt, 2, 0, 3), ld_map_value(3, kGlobalMap, 0), alu(op::kAdd, 3, 2),
            pass_insns});
    t.bad("movsx32 of a negative byte is large",
          {mov_k(2, 0xfe), movsx(op::kAlu, 2, 2, 8), use_as_offset(2)}, "not allowed");
    t.good("movsx32 keeps a positive range",
           {unknown_insns, alu_k(op::kAnd, 2, 7), movsx(op::kAlu, 2, 2, 16), use_as_offset(0)});
    t.good("movsx of a pointer", {movsx(op::kAlu64, 0, 10, 8), exit_insn()});
    t.good("movsx32 of a pointer", {movsx(op::kAlu, 0, 10, 16), exit_insn()});
    t.bad("movsx of nothing", {movsx(op::kAlu64, 0, 3, 8), exit_insn()}, "R3 !read_ok");
    t.bad("movsx does not link what it changes",
          {unknown_insns, alu_k(op::kAnd, 2, 255), movsx(op::kAlu64, 4, 2, 8),
           jump_k(op::kJgt, 4, 7, 4), use_as_offset(0)},
          "R3 max value is outside of the allowed memory range");
    t.good("movsx links what it keeps",
           {unknown_insns, alu_k(op::kAnd, 2, 127), movsx(op::kAlu64, 4, 2, 8),
            jump_k(op::kJgt, 4, 7, 4), use_as_offset(0)});

    for (const int size : {op::kB, op::kH, op::kW}) {
        t.good("ldsx from the stack",
               {store_k(op::kDw, 10, -8, -1), load_signed(size, 0, 10, -8), exit_insn()});
    }
    t.bad("ldsx of eight bytes",
          {store_k(op::kDw, 10, -8, 0), load_signed(op::kDw, 0, 10, -8), exit_insn()},
          "unknown opcode 99");
    t.good("ldsx of a spilled constant", {mov_k(2, 0xff), store(op::kDw, 10, -8, 2),
                                          load_signed(op::kB, 2, 10, -8), use_as_offset(1)});
    t.bad("ldsx of an unknown byte",
          {unknown_insns, store(op::kDw, 10, -8, 2), load_signed(op::kB, 2, 10, -8),
           use_as_offset(0)},
          "R3 min value is negative");
    t.good("ldsx of a constant map",
           {ld_map_value(3, kConstantMap, 8), load_signed(op::kB, 2, 3, 0), use_as_offset(0)});
    t.good("ldsx of a context number", {load_signed(op::kW, 0, 1, 12), exit_insn()});
    t.bad("ldsx of data", {load_signed(op::kW, 0, 1, 0), exit_insn()},
          "invalid bpf_context access off=0 size=4");
    t.bad("ldsx of data_end", {load_signed(op::kW, 0, 1, 4), exit_insn()},
          "invalid bpf_context access off=4 size=4");
    t.bad("ldsx of data_meta", {load_signed(op::kW, 0, 1, 8), exit_insn()},
          "invalid bpf_context access off=8 size=4");
    t.bad("ldsx of half a context field", {load_signed(op::kH, 0, 1, 12), exit_insn()},
          "invalid bpf_context access off=12 size=2");
    t.bad("ldsx of a spilled pointer",
          {store(op::kDw, 10, -8, 10), load_signed(op::kW, 0, 10, -8), exit_insn()},
          "invalid size of register fill");
}

void add_arithmetic_forms(IsaCases& t) {
    t.good("sdiv and smod", {mov_k(0, 5), mov_k(2, -2), insn(0x3f, 0, 2, 1, 0),
                             insn(0x9c, 0, 2, 1, 0), insn(0x37, 0, 0, 1, -7), exit_insn()});
    t.bad("sdiv by the constant zero", {mov_k(0, 5), insn(0x37, 0, 0, 1, 0), exit_insn()},
          "div by zero");
    t.bad("division with offset two", {mov_k(0, 5), insn(0x37, 0, 0, 2, 3), exit_insn()},
          "BPF_ALU uses reserved fields");
    t.bad("signed addition", {mov_k(0, 5), insn(0x07, 0, 0, 1, 3), exit_insn()},
          "BPF_ALU uses reserved fields");
    t.bad("sdiv result is unknown",
          {mov_k(2, 8), mov_k(4, 2), insn(0x3f, 2, 4, 1, 0), use_as_offset(0)}, "not allowed");
    for (const int bits : {16, 32, 64}) {
        t.good("bswap of every width", {mov_k(0, 5), insn(0xd7, 0, 0, 0, bits), exit_insn()});
    }
    t.bad("bswap of a byte", {mov_k(0, 5), insn(0xd7, 0, 0, 0, 8), exit_insn()},
          "BPF_END uses reserved fields");
    t.bad("bswap of the register class", {mov_k(0, 5), insn(0xdf, 0, 0, 0, 16), exit_insn()},
          "unknown opcode df");
    t.good("gotol", {mov_k(0, 5), insn(0x06, 0, 0, 0, 1), exit_insn(), insn(0x06, 0, 0, 0, -2)});
    t.bad("gotol with an offset", {mov_k(0, 5), insn(0x06, 0, 0, 1, 0), exit_insn()},
          "BPF_JA uses reserved fields");
    t.bad("gotol out of the program", {mov_k(0, 5), insn(0x06, 0, 0, 0, 5), exit_insn()},
          "jump out of range from insn 1 to 7");
    t.bad("gotol for ever", {mov_k(0, 5), insn(0x06, 0, 0, 0, -2), exit_insn()},
          "unreachable insn 2");
}

void add_atomics(IsaCases& t) {
    const Code stored{store_k(op::kDw, 10, -8, 3), mov_k(2, 1), mov_k(0, 2)};
    for (const int size : {op::kW, op::kDw}) {
        for (const int operation : {0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1,
                                    int{op::kAtomicXchg}, int{op::kAtomicCmpxchg}}) {
            t.good("every read-modify-write, frame",
                   {stored, atomic(size, 10, -8, 2, operation), exit_insn()});
            t.good("every read-modify-write, map value",
                   {stored, ld_map_value(3, kGlobalMap, 8), atomic(size, 3, 0, 2, operation),
                    exit_insn()});
        }
    }
    for (const int size : {op::kB, op::kH, op::kW, op::kDw}) {
        t.good("load_acquire and store_release",
               {stored, atomic(size, 10, -8, 2, op::kStoreRelease),
                insn(kAtomic | size, 4, 10, -8, op::kLoadAcquire), mov(0, 4), exit_insn()});
    }
    t.bad("atomic of one byte", {stored, atomic(op::kB, 10, -8, 2, op::kAtomicXchg), exit_insn()},
          "invalid atomic operand size");
    t.bad("atomic subtraction", {stored, atomic(op::kDw, 10, -8, 2, op::kSub), exit_insn()},
          "BPF_ATOMIC uses invalid atomic opcode 10");
    t.bad("exchange without fetch", {stored, atomic(op::kDw, 10, -8, 2, 0xe0), exit_insn()},
          "BPF_ATOMIC uses invalid atomic opcode e0");
    t.bad("unknown atomic", {stored, atomic(op::kDw, 10, -8, 2, 0x120), exit_insn()},
          "BPF_ATOMIC uses invalid atomic opcode 120");
    t.bad("operation is judged before registers",
          {atomic(op::kDw, 10, -8, 5, op::kSub), pass_insns},
          "BPF_ATOMIC uses invalid atomic opcode 10");
    t.bad("fetch of nothing",
          {store_k(op::kDw, 10, -8, 0), atomic(op::kDw, 10, -8, 5, 1), pass_insns}, "R5 !read_ok");
    t.bad("cmpxchg needs r0",
          {store_k(op::kDw, 10, -8, 0), mov_k(2, 1), atomic(op::kDw, 10, -8, 2, op::kAtomicCmpxchg),
           pass_insns},
          "R0 !read_ok");
    t.bad("fetch into the frame pointer",
          {store_k(op::kDw, 10, -8, 0), atomic(op::kDw, 10, -8, 10, 1), pass_insns},
          "frame pointer is read only");
    t.bad("misaligned exchange",
          {stored, atomic(op::kDw, 10, -12, 2, op::kAtomicXchg), exit_insn()},
          "misaligned stack access off 0+0+-12 size 8");
    t.bad("misaligned load_acquire of a value",
          {mov_k(0, 0), ld_map_value(3, kGlobalMap, 2),
           insn(kAtomic | op::kW, 4, 3, 0, op::kLoadAcquire), exit_insn()},
          "misaligned value access off 0+2+0 size 4");
    t.bad("exchange in the context",
          {stored, atomic(op::kW, 1, 12, 2, op::kAtomicXchg), exit_insn()},
          "BPF_ATOMIC stores into R1 ctx is not allowed");
    t.bad("load_acquire of the context",
          {insn(kAtomic | op::kW, 0, 1, 12, op::kLoadAcquire), exit_insn()},
          "BPF_ATOMIC loads from R1 ctx is not allowed");
    t.bad("store_release to the context",
          {stored, atomic(op::kW, 1, 12, 2, op::kStoreRelease), exit_insn()},
          "invalid bpf_context access off=12 size=4");
    const Code packet{load(op::kW, 2, 1, 0),   load(op::kW, 3, 1, 4), mov(4, 2),   add_k(4, 16),
                      jump(op::kJle, 4, 3, 2), mov_k(0, 1),           exit_insn(), mov_k(0, 1)};
    t.bad("load_acquire of the packet",
          {packet, insn(kAtomic | op::kW, 0, 2, 2, op::kLoadAcquire), exit_insn()},
          "BPF_ATOMIC loads from R2 pkt is not allowed");
    t.bad("misaligned load_acquire of the packet",
          {packet, insn(kAtomic | op::kW, 0, 2, 0, op::kLoadAcquire), exit_insn()},
          "misaligned packet access off 2+0+0+0 size 4");
    t.bad("store_release to the packet",
          {packet, insn(kAtomic | op::kW, 2, 0, 2, op::kStoreRelease), exit_insn()},
          "BPF_ATOMIC stores into R2 pkt is not allowed");
    t.bad("exchange through an odd number",
          {stored, atomic(op::kDw, 2, 0, 0, op::kAtomicXchg), exit_insn()},
          "misaligned access off 1+0+0 size 8");
    t.bad("exchange through a number",
          {stored, mov_k(2, 8), atomic(op::kDw, 2, 0, 0, op::kAtomicXchg), exit_insn()},
          "R2 invalid mem access 'scalar'");
    t.bad("exchange in a read-only map",
          {stored, ld_map_value(3, kReadOnlyMap, 0), atomic(op::kDw, 3, 0, 2, op::kAtomicXchg),
           exit_insn()},
          "write into map forbidden, value_size=16 off=0 size=8");
    t.good("load_acquire of a spilled pointer",
           {store(op::kDw, 10, -8, 1), insn(kAtomic | op::kDw, 3, 10, -8, op::kLoadAcquire),
            load(op::kW, 0, 3, 12), exit_insn()});
    t.good("store_release spills a pointer",
           {atomic(op::kDw, 10, -8, 1, op::kStoreRelease), load(op::kDw, 3, 10, -8),
            load(op::kW, 0, 3, 12), exit_insn()});
    t.good("exchange gives the spilled number",
           {mov_k(2, 9), store(op::kDw, 10, -8, 2), mov_k(4, 3),
            atomic(op::kDw, 10, -8, 4, op::kAtomicXchg), mov(2, 4), use_as_offset(0)});
    t.bad("after an exchange the slot is unknown",
          {mov_k(2, 9), store(op::kDw, 10, -8, 2), mov_k(4, 3),
           atomic(op::kDw, 10, -8, 4, op::kAtomicXchg), load(op::kDw, 2, 10, -8), use_as_offset(0)},
          "not allowed");
    t.good("cmpxchg gives the spilled number in r0",
           {mov_k(2, 9), store(op::kDw, 10, -8, 2), mov_k(0, 3), mov_k(4, 3),
            atomic(op::kDw, 10, -8, 4, op::kAtomicCmpxchg), mov(2, 0), use_as_offset(0)});
    t.bad(
        "a fetched word of the map is unknown",
        {ld_map_value(3, kGlobalMap, 0), mov_k(2, 1), atomic(op::kW, 3, 0, 2, 1), use_as_offset(0)},
        "R3 unbounded memory access");
}

}  // namespace

std::vector<VerifierCase> isa_cases() {
    IsaCases t;
    add_sign_extension(t);
    add_arithmetic_forms(t);
    add_atomics(t);
    return t.take();
}

}  // namespace crema::test
