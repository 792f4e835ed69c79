// SPDX-License-Identifier: BSD-3-Clause
//
// Cases of verifier_cases() about arguments and results of helper calls: memory and its size,
// constant strings, what has to be given back, dynptrs.
#include "tests/support/verifier_table.h"

namespace crema::test {

namespace {

// Helper ids.
constexpr int kTracePrintk = 6, kCurrentComm = 16, kCsumDiff = 28, kSkLookupTcp = 84,
              kSkRelease = 86, kStrtol = 105, kProbeReadKernel = 113, kSkcToTcp = 137,
              kTaskBtf = 158, kStrncmp = 182, kLoadBytes = 189, kStoreBytes = 190,
              kDynptrFromMem = 197, kDynptrRead = 201, kDynptrData = 203;

/// r6 = context; then csum_diff(from r1 of size r2, nothing).
Code csum_of(const Code& from_and_size) {
    return {from_and_size, mov_k(3, 0), mov_k(4, 0), mov_k(5, 0), call(kCsumDiff), exit_insn()};
}

void add_memory(Table& t) {
    t.good("memory on the stack", csum_of({mov(1, 10), add_k(1, -8), mov_k(2, 8)}));
    t.bad("memory above the frame", csum_of({mov(1, 10), add_k(1, -8), mov_k(2, 12)}),
          "invalid read from stack R1 off=-8 size=12");
    t.good("no memory of size zero", csum_of({mov_k(1, 0), mov_k(2, 0)}));
    t.bad("no memory of a size", csum_of({mov_k(1, 0), mov_k(2, 4)}), "R1 type=scalar expected=fp");
    t.bad("context as memory", csum_of({mov_k(2, 4)}),
          "R1 type=ctx expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf");
    t.good("packet as memory", {packet_with(20), csum_of({mov(1, 2), mov_k(2, 20)})});
    t.bad("packet beyond what was proved", {packet_with(20), csum_of({mov(1, 2), mov_k(2, 24)})},
          "R1 offset is outside of the packet");
    t.bad("packet where it may not be",
          {mov(6, 1), packet_with(20), mov(3, 2), mov(1, 6), mov_k(2, 0), mov_k(4, 8),
           call(kLoadBytes), mov_k(0, 2), exit_insn()},
          "helper access to the packet is not allowed");
    t.good("variable size within bounds",
           {load(op::kW, 2, 1, 16), alu_k(op::kAnd, 2, 15), csum_of({mov(1, 10), add_k(1, -16)})});
    t.bad("variable size beyond them",
          {load(op::kW, 2, 1, 16), alu_k(op::kAnd, 2, 31), csum_of({mov(1, 10), add_k(1, -16)})},
          "invalid read from stack R1 off=-16 size=31");
    t.bad("size may be negative",
          {load(op::kW, 2, 1, 16), alu_k(op::kAnd, 2, 15), add_k(2, -1),
           csum_of({mov(1, 10), add_k(1, -16)})},
          "R2 min value is negative, either use unsigned or 'var &= const'");
    t.bad("size without bound", {load(op::kW, 2, 1, 16), csum_of({mov(1, 10), add_k(1, -16)})},
          "R2 unbounded memory access, use 'var &= const' or 'if (var < const)'");
    t.bad("size zero where there must be some",
          {mov(1, 10), add_k(1, -16), mov_k(2, 0), call(kCurrentComm), exit_insn()},
          "R2 invalid zero-sized read: u64=[0,0]");
    t.good("written memory is known to be",
           {mov(1, 10), add_k(1, -16), mov_k(2, 16), call(kCurrentComm), load(op::kDw, 0, 10, -8),
            exit_insn()});
    t.bad("written memory forgets what was there",
          {store(op::kDw, 10, -8, 1), mov(1, 10), add_k(1, -8), mov_k(2, 8), call(kCurrentComm),
           load(op::kDw, 1, 10, -8), load(op::kW, 0, 1, 12), exit_insn()},
          "R1 invalid mem access 'scalar'");
    t.bad("write into a read-only map",
          {ld_map_value(1, kReadOnlyMap, 0), mov_k(2, 8), call(kCurrentComm), exit_insn()},
          "write into map forbidden");
    t.good("read from a read-only map", {ld_map_value(3, kReadOnlyMap, 0), mov_k(2, 0), mov_k(4, 8),
                                         call(kStoreBytes), exit_insn()});
    t.bad("result memory is not aligned",
          {mov(1, 10), add_k(1, -8), mov_k(2, 8), mov_k(3, 0), mov(4, 10), add_k(4, -12),
           call(kStrtol), exit_insn()},
          "misaligned stack access off 0+-12+0 size 8");
    t.good("address of anything",
           {mov(3, 1), mov(1, 10), add_k(1, -8), mov_k(2, 8), call(kProbeReadKernel), exit_insn()});
}

void add_strings(Table& t) {
    const Code text{mov(1, 10), add_k(1, -8), mov_k(2, 8)};
    t.good("constant string",
           {text, ld_map_value(3, kConstantMap, 0), call(kStrncmp), exit_insn()});
    t.bad("string in a map that may change",
          {text, ld_map_value(3, kGlobalMap, 0), call(kStrncmp), exit_insn()},
          "R3 does not point to a readonly map'");
    t.bad("string on the stack", {text, mov(3, 10), add_k(3, -8), call(kStrncmp), exit_insn()},
          "R3 type=fp expected=map_value");
    t.good("arguments behind a format are not looked at",
           {mov(1, 10), add_k(1, -8), mov_k(2, 8), call(kTracePrintk), exit_insn()});
}

/// r0 = a socket or null.
Code socket() {
    return {mov(2, 10), add_k(2, -12), mov_k(3, 12), mov_k(4, 0), mov_k(5, 0), call(kSkLookupTcp)};
}

void add_references(Table& t) {
    t.good("socket given back",
           {socket(), jump_k(op::kJeq, 0, 0, 2), mov(1, 0), call(kSkRelease), pass_insns});
    t.bad("socket kept", {socket(), jump_k(op::kJeq, 0, 0, 0), pass_insns},
          "BPF_EXIT instruction in main prog would lead to reference leak");
    t.bad("socket given back without a look", {socket(), mov(1, 0), call(kSkRelease), pass_insns},
          "R1 type=sock_or_null expected=sock_common, sock, tcp_sock, xdp_sock, ptr_");
    t.bad("socket given back twice",
          {socket(), jump_k(op::kJeq, 0, 0, 4), mov(6, 0), mov(1, 0), call(kSkRelease), mov(1, 6),
           call(kSkRelease), pass_insns},
          "R1 type=scalar expected=sock_common");
    t.bad("socket used after it was given back",
          {socket(), jump_k(op::kJeq, 0, 0, 4), mov(6, 0), mov(1, 0), call(kSkRelease),
           load(op::kW, 0, 6, 0), pass_insns},
          "R6 invalid mem access 'scalar'");
    t.good("field of a socket", {socket(), jump_k(op::kJeq, 0, 0, 4), load(op::kW, 6, 0, 4),
                                 mov(1, 0), call(kSkRelease), mov(0, 6), pass_insns});
    t.bad("field that sockets do not have",
          {socket(), jump_k(op::kJeq, 0, 0, 3), load(op::kW, 6, 0, 80), mov(1, 0), call(kSkRelease),
           pass_insns},
          "R0 invalid sock access off=80 size=4");
    t.bad("write to a socket",
          {socket(), jump_k(op::kJeq, 0, 0, 3), store_k(op::kW, 0, 4, 1), mov(1, 0),
           call(kSkRelease), pass_insns},
          "R0 cannot write into sock");
    t.bad("cast of a socket goes stale with it",
          {socket(), jump_k(op::kJeq, 0, 0, 8), mov(6, 0), mov(1, 0), call(kSkcToTcp), mov(7, 0),
           mov(1, 6), call(kSkRelease), mov(1, 7), call(kSkRelease), pass_insns},
          "R1 type=scalar expected=sock_common");
}

/// A dynptr over the global map's value at r10 - 16.
Code dynptr() {
    return {ld_map_value(1, kGlobalMap, 0),
            mov_k(2, 16),
            mov_k(3, 0),
            mov(4, 10),
            add_k(4, -16),
            call(kDynptrFromMem)};
}

void add_dynptrs(Table& t) {
    t.good("dynptr over a map value", {dynptr(), exit_insn()});
    t.bad("dynptr over the stack",
          {mov(1, 10), add_k(1, -32), mov_k(2, 16), mov_k(3, 0), mov(4, 10), add_k(4, -16),
           call(kDynptrFromMem), exit_insn()},
          "Unsupported reg type fp for bpf_dynptr_from_mem data");
    t.good("slice of a dynptr",
           {dynptr(), mov(1, 10), add_k(1, -16), mov_k(2, 0), mov_k(3, 8), call(kDynptrData),
            jump_k(op::kJeq, 0, 0, 1), load(op::kDw, 0, 0, 0), exit_insn()});
    t.bad("slice without a look",
          {dynptr(), mov(1, 10), add_k(1, -16), mov_k(2, 0), mov_k(3, 8), call(kDynptrData),
           load(op::kDw, 0, 0, 0), exit_insn()},
          "R0 invalid mem access 'mem_or_null'");
    t.bad("beyond a slice",
          {dynptr(), mov(1, 10), add_k(1, -16), mov_k(2, 0), mov_k(3, 8), call(kDynptrData),
           jump_k(op::kJeq, 0, 0, 1), load(op::kDw, 0, 0, 1), exit_insn()},
          "invalid access to memory, mem_size=8 off=1 size=8");
    t.bad("slice of a size that is not known",
          {load(op::kW, 6, 1, 16), dynptr(), mov(1, 10), add_k(1, -16), mov_k(2, 0), mov(3, 6),
           call(kDynptrData), exit_insn()},
          "R3 is not a known constant'");
    t.bad("bytes of a dynptr", {dynptr(), load(op::kDw, 0, 10, -16), exit_insn()},
          "invalid read from stack off -16+0 size 8");
    t.bad("slice of a dynptr that was overwritten",
          {dynptr(), mov(1, 10), add_k(1, -16), mov_k(2, 0), mov_k(3, 8), call(kDynptrData),
           jump_k(op::kJeq, 0, 0, 2), store_k(op::kDw, 10, -8, 0), load(op::kDw, 0, 0, 0),
           exit_insn()},
          "R0 invalid mem access 'scalar'");
    t.bad("not a dynptr",
          {mov(1, 10), add_k(1, -32), mov_k(2, 4), mov(3, 10), add_k(3, -16), mov_k(4, 0),
           mov_k(5, 0), call(kDynptrRead), exit_insn()},
          "Expected an initialized dynptr as arg #2");
    t.bad("half a dynptr",
          {dynptr(), mov(1, 10), add_k(1, -32), mov_k(2, 4), mov(3, 10), add_k(3, -8), mov_k(4, 0),
           mov_k(5, 0), call(kDynptrRead), exit_insn()},
          "cannot pass in dynptr at an offset=-8");
}

/// A path that ends where an earlier one went on must not have been let off by what that one knew.
void add_paths(Table& t) {
    // The kernel takes the number for the null that it saw.
    t.unserved("null on one path, a number on the other",
               {load(op::kW, 6, 1, 12), mov_k(7, 4), jump_k(op::kJne, 6, 5, 1), mov_k(7, 0),
                csum_of({mov(1, 7), mov_k(2, 0)})},
               "R1 type=scalar expected=fp");
    t.last().program.test_state_freq = true;
    const Code dynptr{ld_map_value(1, kGlobalMap, 0),
                      mov_k(2, 8),
                      mov_k(3, 0),
                      mov(4, 10),
                      add_k(4, -16),
                      call(kDynptrFromMem)};
    t.bad("bytes on one path, a dynptr on the other",
          {load(op::kW, 6, 1, 12), jump_k(op::kJne, 6, 5, 3), store_k(op::kDw, 10, -16, 0),
           store_k(op::kDw, 10, -8, 0), go(static_cast<int>(dynptr.insns().size())), dynptr,
           load(op::kDw, 3, 10, -16), mov_k(0, 2), exit_insn()},
          "invalid read from stack");
    t.last().program.test_state_freq = true;
    t.bad("equal to an object of the kernel",
          {mov(6, 1), call(kTaskBtf), mov(7, 0), mov(1, 6), lookup_unknown(kArrayMap),
           jump(op::kJne, 0, 7, 1), load(op::kDw, 1, 0, 0), mov_k(0, 2), exit_insn()},
          "R0 invalid mem access 'map_value_or_null'");
}

}  // namespace

void add_call_cases(Table& t) {
    add_memory(t);
    add_strings(t);
    add_references(t);
    add_dynptrs(t);
    add_paths(t);
}

}  // namespace crema::test
