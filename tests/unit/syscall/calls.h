// SPDX-License-Identifier: BSD-3-Clause
//
// bpf(2) calls of tests, spelled short.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <linux/bpf.h>

#include "lib/ebpf/syscall/serve.h"
#include "tests/support/asm.h"

namespace crema::ebpf::syscall::test {

using ::crema::test::exit_insn;
using ::crema::test::insn;

inline std::uint64_t address(const void* memory) {
    return reinterpret_cast<std::uint64_t>(memory);
}

inline long call(int command, bpf_attr& attr) {
    return serve(command, &attr, sizeof(attr));
}

inline bpf_attr array_attr(std::uint32_t entries = 4, std::uint32_t value_size = 8) {
    bpf_attr attr{};
    attr.map_type = BPF_MAP_TYPE_ARRAY;
    attr.key_size = 4;
    attr.value_size = value_size;
    attr.max_entries = entries;
    std::strcpy(attr.map_name, "numbers");
    return attr;
}

inline int new_array(std::uint32_t entries = 4, std::uint32_t value_size = 8) {
    bpf_attr attr = array_attr(entries, value_size);
    return static_cast<int>(call(BPF_MAP_CREATE, attr));
}

inline Insn move(int dst, int imm) {
    return insn(op::kAlu64 | op::kMov | op::kK, dst, 0, 0, imm);
}

/// r0 = verdict; exit
inline std::vector<Insn> returns(int verdict) {
    return {move(0, verdict), exit_insn()};
}

/// r0 = *(u32*)(value of the map + offset); exit
inline std::vector<Insn> returns_value(int src, int fd_or_index, int offset) {
    return {insn(op::kLdImm64, 1, src, 0, fd_or_index), insn(0, 0, 0, 0, offset),
            insn(op::kLdx | op::kMem | op::kW, 0, 1, 0, 0), exit_insn()};
}

/// r0 = packet byte `offset`, without asking for the packet's length; exit
inline std::vector<Insn> reads_packet_unchecked(int offset) {
    return {insn(op::kLdx | op::kMem | op::kW, 1, 1, 0, 0),
            insn(op::kLdx | op::kMem | op::kB, 0, 1, offset, 0), exit_insn()};
}

inline bpf_attr prog_attr(const std::vector<Insn>& insns, const char* name = "tested") {
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.expected_attach_type = BPF_XDP;
    attr.insns = address(insns.data());
    attr.insn_cnt = static_cast<std::uint32_t>(insns.size());
    attr.license = address("GPL");
    std::string_view(name).copy(attr.prog_name, sizeof attr.prog_name - 1);
    return attr;
}

inline long load(const std::vector<Insn>& insns) {
    bpf_attr attr = prog_attr(insns);
    return call(BPF_PROG_LOAD, attr);
}

/// BTF with one type, an integer; `strings` starts with its empty string, pieces are ended by NUL.
inline std::vector<std::uint8_t> btf_with(const std::string& strings) {
    const auto string_bytes = static_cast<std::uint32_t>(strings.size());
    const std::uint32_t words[] = {0x0001eb9f, 24, 0, 16, 16, string_bytes,
                                   // a 32-bit integer without name
                                   0, 1U << 24, 4, 32};
    std::vector<std::uint8_t> bytes(sizeof(words) + strings.size());
    std::memcpy(bytes.data(), words, sizeof(words));
    std::memcpy(bytes.data() + sizeof(words), strings.data(), strings.size());
    return bytes;
}

inline long load_btf(const std::vector<std::uint8_t>& bytes) {
    bpf_attr attr{};
    attr.btf = address(bytes.data());
    attr.btf_size = static_cast<std::uint32_t>(bytes.size());
    return call(BPF_BTF_LOAD, attr);
}

}  // namespace crema::ebpf::syscall::test
