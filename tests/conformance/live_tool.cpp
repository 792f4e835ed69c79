// SPDX-License-Identifier: BSD-3-Clause
//
// Asks for test runs with live frames, wrong ones and right ones, and prints what bpf(2) said and
// what the program saw. As errors_tool, the same binary runs under the kernel and under
// `crema bpf --`.
//
// Frames go nowhere here: both sides have no port to send to that is the same on both. That they
// arrive is tested on modelled ports (tests/system/live_frames_test.py).
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <string>
#include <unistd.h>
#include <vector>

#include <linux/bpf.h>

#include "tests/conformance/raw_calls.h"

namespace {

using crema::test::address;
using crema::test::call;

constexpr std::uint32_t kLive = 2;     // BPF_F_TEST_XDP_LIVE_FRAMES
constexpr std::uint32_t kSlots = 512;  // of the map in which programs count
constexpr std::uint32_t kNoInterface = 999999;

int new_counts() {
    bpf_attr attr{};
    attr.map_type = BPF_MAP_TYPE_ARRAY;
    attr.key_size = 4;
    attr.value_size = 8;
    attr.max_entries = kSlots;
    std::strcpy(attr.map_name, "counts");
    return static_cast<int>(call(BPF_MAP_CREATE, attr));
}

/// "slot:count" of what was counted since the last call, which is forgotten.
std::string take_counts(int map) {
    std::string text;
    for (std::uint32_t key = 0; key < kSlots; ++key) {
        std::uint64_t value = 0;
        bpf_attr attr{};
        attr.map_fd = static_cast<std::uint32_t>(map);
        attr.key = address(&key);
        attr.value = address(&value);
        if (call(BPF_MAP_LOOKUP_ELEM, attr) != 0 || value == 0) {
            continue;
        }
        text += " " + std::to_string(key) + ":" + std::to_string(value);
        value = 0;
        (void)call(BPF_MAP_UPDATE_ELEM, attr);
    }
    return text.empty() ? " nothing" : text;
}

// --- programs
// -------------------------------------------------------------------------------------

using Code = std::vector<bpf_insn>;

bpf_insn insn(std::uint8_t code, int dst, int src, int off, int imm) {
    bpf_insn one{};
    one.code = code;
    one.dst_reg = static_cast<std::uint8_t>(dst & 15);
    one.src_reg = static_cast<std::uint8_t>(src & 15);
    one.off = static_cast<std::int16_t>(off);
    one.imm = imm;
    return one;
}

bpf_insn set(int dst, int value) {
    return insn(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
}

bpf_insn copy(int dst, int src) {
    return insn(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

bpf_insn field(int dst, int context, int offset) {
    return insn(BPF_LDX | BPF_MEM | BPF_W, dst, context, offset, 0);
}

bpf_insn helper(int number) {
    return insn(BPF_JMP | BPF_CALL, 0, 0, 0, number);
}

Code operator+(Code left, const Code& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

/// Counts the number in r7, if it is a slot's.
Code count_r7(int map) {
    return {
        insn(BPF_STX | BPF_MEM | BPF_W, 10, 7, -4, 0),
        insn(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
        insn(0, 0, 0, 0, 0),
        copy(2, 10),
        insn(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
        helper(BPF_FUNC_map_lookup_elem),
        insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),
        set(1, 1),
        insn(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD),
    };
}

Code returning(int verdict) {
    return {set(0, verdict), insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)};
}

/// r7 = first byte of the packet, which is then one more. r6: the context.
Code bump_first_byte() {
    return {
        set(7, 0),
        field(2, 6, 0),
        field(3, 6, 4),
        copy(4, 2),
        insn(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 14),
        insn(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 4, 0),
        insn(BPF_LDX | BPF_MEM | BPF_B, 7, 2, 0, 0),
        copy(4, 7),
        insn(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 1),
        insn(BPF_STX | BPF_MEM | BPF_B, 2, 4, 0, 0),
    };
}

/// r7 = field at `right` - field at `left` of the context in r6
Code distance(int left, int right) {
    return {field(7, 6, right), field(2, 6, left), insn(BPF_ALU64 | BPF_SUB | BPF_X, 7, 2, 0, 0)};
}

/// r7 = what a helper that moves an end of the packet by `delta` says, as -r7
Code move_end(int number, int delta) {
    return {copy(1, 6), set(2, delta), helper(number), copy(7, 0),
            insn(BPF_ALU64 | BPF_NEG, 7, 0, 0, 0)};
}

Code keep_context() {
    return {copy(6, 1)};
}

int load(const Code& code, std::uint32_t attach_type = BPF_XDP, std::uint32_t flags = 0) {
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.expected_attach_type = static_cast<bpf_attach_type>(attach_type);
    attr.prog_flags = flags;
    attr.insns = address(code.data());
    attr.insn_cnt = static_cast<std::uint32_t>(code.size());
    attr.license = address("GPL");
    std::strcpy(attr.prog_name, "live");
    return static_cast<int>(call(BPF_PROG_LOAD, attr));
}

// --- runs
// -------------------------------------------------------------------------------------

struct Run {
    bpf_attr attr{};
    std::array<std::uint8_t, 8192> in{};
    std::array<std::uint8_t, 8192> out{};
    std::array<std::uint32_t, 8> context_in{};
    std::array<std::uint32_t, 8> context_out{};

    explicit Run(int program, std::uint32_t size = 64, std::uint32_t repeat = 1) {
        for (std::size_t i = 0; i < in.size(); ++i) {
            in[i] = static_cast<std::uint8_t>(i);
        }
        attr.test.prog_fd = static_cast<std::uint32_t>(program);
        attr.test.data_in = address(in.data());
        attr.test.data_size_in = size;
        attr.test.repeat = repeat;
        attr.test.flags = kLive;
        attr.test.retval = 77;
        attr.test.duration = 0x7fffffff;
    }

    Run& with_output(std::uint32_t room) {
        attr.test.data_out = address(out.data());
        attr.test.data_size_out = room;
        return *this;
    }

    Run& with_context(std::initializer_list<std::uint32_t> fields, std::uint32_t bytes = 24) {
        attr.test.ctx_in = address(context_in.data());
        attr.test.ctx_size_in = bytes;
        std::copy(fields.begin(), fields.end(), context_in.begin());
        return *this;
    }

    Run& with_context_out(std::uint32_t bytes = 24) {
        attr.test.ctx_out = address(context_out.data());
        attr.test.ctx_size_out = bytes;
        return *this;
    }

    void go(const std::string& what) {
        const long result = call(BPF_PROG_TEST_RUN, attr);
        const int code = errno;
        std::printf("%s: %ld errno %d retval %u duration %s size %u ctx %u out %02x%02x %u %u\n",
                    what.c_str(), result, result < 0 ? code : 0, attr.test.retval,
                    attr.test.duration == 0x7fffffff ? "untouched" : "said",
                    attr.test.data_size_out, attr.test.ctx_size_out, out[0], out[63],
                    context_out[0], context_out[1]);
    }
};

void ask_wrong(int program) {
    for (const std::uint32_t batch : {0U, 1U, 64U, 65U, 256U, 257U, 0xffffffffU}) {
        Run run(program);
        run.attr.test.batch_size = batch;
        run.go("batch " + std::to_string(batch));
    }
    for (const std::uint32_t flags : {0U, 1U, 3U, 6U, 0x80000002U}) {
        Run run(program);
        run.attr.test.flags = flags;
        run.attr.test.batch_size = 8;
        run.go("flags " + std::to_string(flags));
    }
    {
        Run run(program);
        run.attr.test.cpu = 1;
        run.go("cpu 1");
    }
    for (const std::uint32_t room : {0U, 20U, 64U, 8192U}) {
        Run(program).with_output(room).go("output of " + std::to_string(room));
    }
    {
        Run run(program);
        run.attr.test.data_out = 4096;
        run.attr.test.data_size_out = 64;
        run.go("wild output");
        run.attr.test.data_size_out = 20;
        run.go("wild output, and too little room");
    }
    {
        Run run(program);
        run.attr.test.data_size_out = 20;
        run.go("room without output");
    }
    for (const std::uint32_t size : {0U, 13U, 14U, 1500U, 3409U, 3520U, 3521U, 8192U}) {
        Run(program, size).go("bytes " + std::to_string(size));
    }
    for (const std::uint64_t data : {0UL, 4096UL}) {
        Run run(program);
        run.attr.test.data_in = data;
        run.go("data at " + std::to_string(data));
    }
    Run(0).go("standard input");
    Run(-1).go("nothing");
    for (const std::uint32_t type : {33U, 35U, 0U}) {
        const int other = load(returning(XDP_DROP), type);
        Run(other).go("attach type " + std::to_string(type));
        ::close(other);
    }
    const int frags = load(returning(XDP_DROP), BPF_XDP, BPF_F_XDP_HAS_FRAGS);
    Run(frags).go("fragments allowed");
    Run(frags, 8192).go("fragments allowed, and wanted");
    ::close(frags);
}

void ask_contexts(int program) {
    Run(program).with_context({0, 64}).go("context");
    Run(program).with_context({0, 64}).with_output(64).go("context: output");
    Run(program).with_context({0, 64}).with_context_out().go("context: context out");
    Run(program).with_context_out().go("context out alone");
    {
        Run run(program);
        run.with_context({0, 64});
        run.attr.test.data_size_out = 64;
        run.go("context: room alone");
    }
    {
        Run run(program);
        run.with_context({0, 64});
        run.attr.test.ctx_size_out = 24;
        run.go("context: room for context alone");
    }
    Run(program).with_context({0, 64}, 8).go("context: of 8 bytes");
    Run(program).with_context({0, 64}, 32).go("context: of 32 bytes");
    {
        Run run(program);
        run.with_context({0, 64}, 32);
        run.context_in[6] = 1;
        run.go("context: not zero behind");
    }
    static constexpr std::array<std::array<std::uint32_t, 6>, 16> kContexts = {{
        {8, 64, 0, 0, 0, 0},
        {5, 64, 0, 0, 0, 0},
        {0, 64, 4, 0, 0, 0},
        {0, 65, 0, 0, 0, 0},
        {64, 63, 0, 0, 0, 0},
        {60, 64, 0, 0, 0, 0},
        {48, 64, 0, 0, 0, 0},
        {52, 64, 0, 0, 0, 0},
        {0, 64, 0, 1, 0, 0},
        {0, 64, 0, 1, 9999, 0},
        {0, 64, 0, 0, 1, 0},
        {0, 64, 0, kNoInterface, 0, 0},
        {0, 64, 0, 0, 0, 1},
        {220, 64, 0, 0, 0, 0},
        {0, 40, 0, 0, 0, 0},
        {8, 40, 0, 1, 0, 0},
    }};
    for (const auto& one : kContexts) {
        std::string name = "context:";
        Run run(program);
        run.with_context({});
        std::copy(one.begin(), one.end(), run.context_in.begin());
        for (const std::uint32_t value : one) {
            name += " " + std::to_string(value);
        }
        run.go(name);
    }
    for (const std::uint32_t meta : {212U, 216U, 220U, 252U}) {
        Run(program, 300).with_context({meta, 300}).go("metadata of " + std::to_string(meta));
    }
}

/// What programs see, as counts of a number that they look at.
void ask_programs(int map) {
    struct Look {
        const char* what;
        Code code;
    };

    const std::vector<Look> looks = {
        {"first byte, counted up", bump_first_byte()},
        {"length", distance(0, 4)},
        {"metadata", distance(8, 0)},
        {"ingress", {field(7, 6, 12)}},
        {"queue", {field(7, 6, 16)}},
        {"head moved by 10", move_end(BPF_FUNC_xdp_adjust_head, 10)},
        {"head moved by 51", move_end(BPF_FUNC_xdp_adjust_head, 51)},
        {"head moved by -216", move_end(BPF_FUNC_xdp_adjust_head, -216)},
        {"head moved by -217", move_end(BPF_FUNC_xdp_adjust_head, -217)},
        {"length, then head moved", distance(0, 4) + Code{copy(8, 7)} +
                                        move_end(BPF_FUNC_xdp_adjust_head, 4) + Code{copy(7, 8)}},
        {"length, then tail cut", distance(0, 4) + Code{copy(8, 7)} +
                                      move_end(BPF_FUNC_xdp_adjust_tail, -4) + Code{copy(7, 8)}},
        {"metadata, then more of it", distance(8, 0) + Code{copy(8, 7)} +
                                          move_end(BPF_FUNC_xdp_adjust_meta, -8) +
                                          Code{copy(7, 8)}},
    };
    // How often, and the batch.
    static constexpr std::array<std::array<std::uint32_t, 2>, 9> kTimes = {{
        {0, 0},
        {3, 2},
        {65, 0},
        {1, 0},
        {63, 0},
        {64, 0},
        {1000, 0},
        {1000, 256},
        {7, 1},
    }};
    constexpr std::size_t kFewTimes = 3;
    for (const Look& look : looks) {
        const std::size_t times = &look == looks.data() ? kTimes.size() : kFewTimes;
        for (const int verdict : {0, 1, 2, 5}) {
            const int program =
                load(keep_context() + look.code + count_r7(map) + returning(verdict));
            for (std::size_t i = 0; i < times; ++i) {
                const auto& [repeat, batch] = kTimes[i];
                Run run(program, 64, repeat);
                run.attr.test.batch_size = batch;
                run.go(std::string(look.what) + ", verdict " + std::to_string(verdict) + ", " +
                       std::to_string(repeat) + " by " + std::to_string(batch));
                std::printf(" saw%s\n", take_counts(map).c_str());
            }
            Run(program, 64, 5).with_context({8, 64, 0, 1, 0, 0}).go("the same with metadata");
            std::printf(" saw%s\n", take_counts(map).c_str());
            ::close(program);
        }
    }
}

}  // namespace

int main() {
    const int map = new_counts();
    const int program = load(returning(XDP_DROP));
    std::printf("made: %d %d\n", map >= 0, program >= 0);
    ask_wrong(program);
    ask_contexts(program);
    ask_programs(map);
    return 0;
}
