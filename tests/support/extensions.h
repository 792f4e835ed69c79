// SPDX-License-Identifier: BSD-3-Clause
//
// A program that calls a global function, and extensions for its functions, by bpf(2) and with BTF
// written by hand, so that any of it can be wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <linux/bpf.h>

#include "lib/ebpf/syscall/serve.h"
#include "tests/support/asm.h"
#include "tests/support/btf_writer.h"

namespace crema::test {

/// BTF of int f(struct xdp_md*) in several forms.
struct ContextTypes {
    BtfWriter writer;
    std::uint32_t number = writer.integer("int", 4, BtfWriter::kSigned);
    std::uint32_t context = writer.structure("xdp_md", 24, {});
    std::uint32_t pointer = writer.reference(ebpf::BtfKind::pointer, "", context);
    std::uint32_t proto = writer.proto(number, {{"ctx", pointer}});
    std::uint32_t whole = writer.function("whole", proto, ebpf::kBtfGlobal);
    std::uint32_t called = writer.function("called", proto, ebpf::kBtfGlobal);
    std::uint32_t local = writer.function("local", proto, 0);
    std::uint32_t unused = writer.function("unused", proto, ebpf::kBtfGlobal);
};

inline long load_types(const BtfWriter& writer) {
    const std::vector<std::uint8_t> bytes = writer.bytes();
    bpf_attr attr{};
    attr.btf = reinterpret_cast<std::uintptr_t>(bytes.data());
    attr.btf_size = static_cast<std::uint32_t>(bytes.size());
    return ebpf::syscall::serve(BPF_BTF_LOAD, &attr, sizeof attr);
}

struct TypedLoad {
    std::uint32_t type = BPF_PROG_TYPE_XDP;
    std::uint32_t attach_type = BPF_XDP;
    std::uint32_t flags = 0;
    std::uint32_t target = 0;    // attach_prog_fd
    std::uint32_t function = 0;  // attach_btf_id
};

/// Descriptor or negative errno. types < 0: without BTF.
inline long load_typed(const Code& code,
                       int types,
                       const std::vector<bpf_func_info>& functions,
                       const TypedLoad& how = {}) {
    bpf_attr attr{};
    attr.prog_type = how.type;
    attr.expected_attach_type = how.attach_type;
    attr.prog_flags = how.flags;
    attr.insns = reinterpret_cast<std::uintptr_t>(code.insns().data());
    attr.insn_cnt = static_cast<std::uint32_t>(code.insns().size());
    attr.license = reinterpret_cast<std::uintptr_t>("GPL");
    if (types >= 0) {
        attr.prog_btf_fd = static_cast<std::uint32_t>(types);
        attr.func_info = reinterpret_cast<std::uintptr_t>(functions.data());
        attr.func_info_cnt = static_cast<std::uint32_t>(functions.size());
        attr.func_info_rec_size = sizeof(bpf_func_info);
    }
    attr.attach_prog_fd = how.target;
    attr.attach_btf_id = how.function;
    return ebpf::syscall::serve(BPF_PROG_LOAD, &attr, sizeof attr);
}

/// whole(): what called() returns, and that returns 3.
inline long load_target(int types, const ContextTypes& known = {}) {
    return load_typed({call_function(1), exit_insn(), mov_k(0, 3), exit_insn()}, types,
                      {{0, known.whole}, {2, known.called}});
}

/// An extension of one function, of type called() unless said otherwise.
inline long load_extension(const Code& code,
                           int types,
                           int target,
                           std::uint32_t function,
                           std::uint32_t own_type = ContextTypes{}.called) {
    return load_typed(code, types, {{0, own_type}},
                      {.type = BPF_PROG_TYPE_EXT,
                       .attach_type = 0,
                       .target = static_cast<std::uint32_t>(target),
                       .function = function});
}

/// Where it was loaded for.
inline long put_in_place(int extension) {
    bpf_attr attr{};
    attr.raw_tracepoint.prog_fd = static_cast<std::uint32_t>(extension);
    return ebpf::syscall::serve(BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof attr);
}

}  // namespace crema::test
