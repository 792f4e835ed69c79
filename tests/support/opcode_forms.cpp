// SPDX-License-Identifier: BSD-3-Clause
//
// See opcode_forms.h. r6 is the packet, r9 counts records; all others may be operands.
#include "tests/support/opcode_forms.h"

#include <array>
#include <cstring>
#include <random>

#include "lib/ebpf/program/disassemble.h"
#include "lib/ebpf/program/structure.h"
#include "tests/support/asm.h"
#include "tests/support/edges.h"
#include "tests/support/random_program.h"

namespace crema::test {

namespace {

constexpr int kMemoryAt = -8;

class Collector {
  public:
    void add(const Insn& one) { forms_.push_back({ebpf::disassemble(one), one}); }

    std::vector<OpcodeForm> take() { return std::move(forms_); }

  private:
    std::vector<OpcodeForm> forms_;
};

bool is_shift(int operation) {
    return operation == op::kLsh || operation == op::kRsh || operation == op::kArsh;
}

void add_arithmetic(Collector& to, int cls) {
    constexpr int kImmediates[] = {1,   -1,  2,    7,      -128,  127,         128,
                                   255, 256, -256, 0x8000, 65535, -2147483648, 2147483647};
    constexpr int kOperations[] = {op::kAdd, op::kSub, op::kMul, op::kDiv, op::kOr,  op::kAnd,
                                   op::kLsh, op::kRsh, op::kMod, op::kXor, op::kMov, op::kArsh};
    const int width = cls == op::kAlu64 ? 64 : 32;
    for (const int operation : kOperations) {
        const bool divides = operation == op::kDiv || operation == op::kMod;
        to.add(insn(cls | op::kX | operation, 1, 2, 0, 0));
        if (divides) {
            to.add(insn(cls | op::kX | operation, 1, 2, 1, 0));
        }
        if (is_shift(operation)) {
            for (const int count : {0, 1, 7, 31, width - 1}) {
                to.add(insn(cls | operation, 1, 0, 0, count));
            }
            continue;
        }
        if (!divides) {
            to.add(insn(cls | operation, 1, 0, 0, 0));
        }
        for (const int imm : kImmediates) {
            to.add(insn(cls | operation, 1, 0, 0, imm));
            if (divides) {
                to.add(insn(cls | operation, 1, 0, 1, imm));
            }
        }
    }
    to.add(insn(cls | op::kNeg, 1, 0, 0, 0));
    for (const int bits : {8, 16, 32}) {
        if (bits < width) {
            to.add(insn(cls | op::kX | op::kMov, 1, 2, bits, 0));
        }
    }
    for (const int bits : {16, 32, 64}) {
        to.add(insn(cls | op::kEnd, 1, 0, 0, bits));
        if (cls == op::kAlu) {
            to.add(insn(cls | op::kEnd | op::kX, 1, 0, 0, bits));
        }
    }
}

void add_jumps(Collector& to, int cls) {
    constexpr int kImmediates[] = {0,          1,           -1,   2,     -2,  7,    8,
                                   -8,         127,         128,  -128,  129, -129, 0x4000,
                                   2147483647, -2147483648, 0x55, -0x56, 96,  32};
    constexpr int kOperations[] = {op::kJeq,  op::kJgt, op::kJge, op::kJset, op::kJne, op::kJsgt,
                                   op::kJsge, op::kJlt, op::kJle, op::kJslt, op::kJsle};
    for (const int operation : kOperations) {
        to.add(insn(cls | op::kX | operation, 1, 2, 1, 0));
        for (const int imm : kImmediates) {
            to.add(insn(cls | operation, 1, 0, 1, imm));
        }
    }
    to.add(insn(cls | op::kJa, 0, 0, 0, 0));  // over nothing: what it skipped would be dead code
}

void add_memory(Collector& to) {
    for (const int size : {op::kB, op::kH, op::kW, op::kDw}) {
        to.add(insn(op::kLdx | op::kMem | size, 1, 10, kMemoryAt, 0));
        to.add(insn(op::kStx | op::kMem | size, 10, 2, kMemoryAt, 0));
        to.add(insn(op::kSt | op::kMem | size, 10, 0, kMemoryAt, -2));
        to.add(insn(op::kSt | op::kMem | size, 10, 0, kMemoryAt, 0x12345678));
        to.add(insn(op::kStx | op::kAtomic | size, 1, 10, kMemoryAt, op::kLoadAcquire));
        to.add(insn(op::kStx | op::kAtomic | size, 10, 2, kMemoryAt, op::kStoreRelease));
        if (size != op::kDw) {
            to.add(insn(op::kLdx | op::kMemSx | size, 1, 10, kMemoryAt, 0));
        }
    }
    for (const int size : {op::kW, op::kDw}) {
        for (const int operation : {0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1}) {
            to.add(insn(op::kStx | op::kAtomic | size, 10, 2, kMemoryAt, operation));
            // Through a register: dst is the address.
            to.add(insn(op::kStx | op::kAtomic | size, 1, 2, 0, operation));
        }
    }
}

bool uses_address(const Insn& one) {
    return ebpf::is_atomic(one) && one.dst == 1 && !ebpf::is_load_acquire(one);
}

Insn placed(const OpcodeForm& form, const Placement& placement) {
    Insn one = form.insn;
    one.dst = static_cast<std::uint8_t>((one.dst == 1 ? placement.dst : one.dst) & 0xf);
    one.src = static_cast<std::uint8_t>((one.src == 2 ? placement.src : one.src) & 0xf);
    return one;
}

}  // namespace

const std::vector<OpcodeForm>& opcode_forms() {
    static const std::vector<OpcodeForm> forms = [] {
        Collector to;
        add_arithmetic(to, op::kAlu64);
        add_arithmetic(to, op::kAlu);
        add_jumps(to, op::kJmp);
        add_jumps(to, op::kJmp32);
        add_memory(to);
        return to.take();
    }();
    return forms;
}

const std::vector<Placement>& placements() {
    static const std::vector<Placement> all = {
        {1, 2, true}, {2, 1, false}, {0, 3, true},  {3, 0, true},  {4, 4, true},
        {5, 4, true}, {7, 8, true},  {3, 1, false}, {0, 0, false}, {2, 7, true},
    };
    return all;
}

ebpf::Program program_around(const OpcodeForm& form, const Placement& placement) {
    const auto packet_bytes = static_cast<int>(kRecordBytes * kRecords);
    std::vector<Insn> out = {
        load(op::kW, 6, 1, 0),   load(op::kW, 3, 1, 4), mov(2, 6),   add_k(2, packet_bytes),
        jump(op::kJle, 2, 3, 2), mov_k(0, 1),           exit_insn(), mov_k(9, kRecords)};
    const std::size_t top = out.size();
    // Memory in, then every register something of its own, then the operands.
    out.push_back(load(op::kDw, 0, 6, 24));
    out.push_back(store(op::kDw, 10, kMemoryAt, 0));
    for (const int reg : {1, 2, 3, 4, 5, 7, 8}) {
        out.push_back(load(op::kDw, reg, 6, 8 * (reg % 4)));
        out.push_back(alu_k(op::kXor, reg, 0x01010101 * reg));
    }
    out.push_back(load(op::kDw, 0, 6, 16));
    out.push_back(load(op::kDw, placement.src, 6, 8));
    if (uses_address(form.insn)) {
        if (placement.dst == placement.src || (placement.dst == 0 && form.insn.imm == 0xf1)) {
            return {};  // the address would be an operand
        }
        out.push_back(mov(placement.dst, 10));
        out.push_back(add_k(placement.dst, kMemoryAt));
    } else {
        out.push_back(load(op::kDw, placement.dst, 6, 0));
    }
    out.push_back(placed(form, placement));
    if (ebpf::is_conditional_jump(form.insn)) {
        // Not taken: a mark in memory.
        out.push_back(store_k(op::kW, 10, kMemoryAt, 0x0badcafe));
    }
    if (uses_address(form.insn)) {
        out.push_back(alu(op::kSub, placement.dst, 10));  // an address differs between machines
    }
    if (placement.others_live) {
        // All registers into the record, so that a damaged one shows.
        out.push_back(store(op::kDw, 6, 32, placement.dst));
        out.push_back(store(op::kDw, 6, 40, placement.src));
        out.push_back(store(op::kDw, 6, 48, 0));
        for (const int reg : {1, 2, 3, 4, 5, 7, 8}) {
            out.push_back(alu_k(op::kMul, 0, 31));
            out.push_back(alu(op::kAdd, 0, reg));
        }
        out.push_back(load(op::kDw, 1, 6, 48));
        out.push_back(alu(op::kXor, 0, 1));
        out.push_back(store(op::kDw, 6, 48, 0));
    } else {
        out.push_back(store(op::kDw, 6, 32, placement.dst));
    }
    out.push_back(load(op::kDw, 1, 10, kMemoryAt));
    out.push_back(store(op::kDw, 6, 56, 1));
    out.push_back(add_k(6, kRecordBytes));
    out.push_back(add_k(9, -1));
    const auto back = static_cast<int>(top) - static_cast<int>(out.size()) - 1;
    out.push_back(jump_k(op::kJne, 9, 0, back));
    out.push_back(mov_k(0, 2));
    out.push_back(exit_insn());
    return program_of(out);
}

std::vector<std::vector<std::uint8_t>> operand_packets(std::uint64_t seed) {
    constexpr std::size_t kEdgeCount = std::size(kEdges);
    std::mt19937_64 random(seed);
    std::vector<std::vector<std::uint8_t>> packets;
    const std::size_t pairs = kEdgeCount * kEdgeCount;
    const std::size_t records = pairs + kRecords;
    for (std::size_t first = 0; first < records; first += kRecords) {
        std::vector<std::uint8_t> packet(std::size_t{kRecordBytes} * kRecords);
        for (std::size_t n = 0; n < kRecords; n++) {
            const std::size_t pair = first + n;
            std::array<std::uint64_t, 4> in{};
            if (pair < pairs) {
                in = {kEdges[pair / kEdgeCount], kEdges[pair % kEdgeCount],
                      kEdges[(pair * 7 + 3) % kEdgeCount], kEdges[(pair * 3 + 1) % kEdgeCount]};
            } else {
                for (std::uint64_t& word : in) {
                    word = edgy_value(random);
                }
            }
            if (n % 3 == 0) {
                in[3] = in[2];  // a compare-and-exchange that finds what it wants
            }
            std::memcpy(packet.data() + n * kRecordBytes, in.data(), sizeof in);
        }
        packets.push_back(std::move(packet));
    }
    return packets;
}

}  // namespace crema::test
