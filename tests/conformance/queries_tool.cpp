// SPDX-License-Identifier: BSD-3-Clause
//
// Counts of runs (ENABLE_STATS), and commands whose answer for XDP programs is always the same. As
// face_tool, the same binary runs under the kernel and under `crema bpf --`.
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "tests/conformance/raw_calls.h"

namespace {

using crema::test::address;
using crema::test::call;
using crema::test::say;

int new_program() {
    const std::array<bpf_insn, 2> insns = {
        bpf_insn{.code = 0xb7, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 2},
        bpf_insn{.code = 0x95, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.expected_attach_type = BPF_XDP;
    attr.insns = address(insns.data());
    attr.insn_cnt = insns.size();
    attr.license = address("GPL");
    return static_cast<int>(call(BPF_PROG_LOAD, attr));
}

int new_array() {
    bpf_attr attr{};
    attr.map_type = BPF_MAP_TYPE_ARRAY;
    attr.key_size = attr.value_size = 4;
    attr.max_entries = 1;
    return static_cast<int>(call(BPF_MAP_CREATE, attr));
}

void show_counts(const char* when, int program) {
    bpf_prog_info info{};
    bpf_attr attr{};
    attr.info.bpf_fd = static_cast<std::uint32_t>(program);
    attr.info.info = address(&info);
    attr.info.info_len = sizeof info;
    const long result = call(BPF_OBJ_GET_INFO_BY_FD, attr);
    std::printf("%s: %ld, %llu runs, %s time\n", when, result,
                static_cast<unsigned long long>(info.run_cnt),
                info.run_time_ns != 0 ? "some" : "no");
}

void run(int program, std::uint32_t times, std::uint32_t flags = 0) {
    std::array<std::uint8_t, 64> packet{};
    bpf_attr attr{};
    attr.test.prog_fd = static_cast<std::uint32_t>(program);
    attr.test.data_in = address(packet.data());
    attr.test.data_size_in = packet.size();
    attr.test.repeat = times;
    attr.test.flags = flags;
    say("run", call(BPF_PROG_TEST_RUN, attr));
}

long enable(std::uint32_t type, std::size_t bytes = sizeof(bpf_attr)) {
    bpf_attr attr{};
    attr.enable_stats.type = type;
    return call(BPF_ENABLE_STATS, attr, bytes);
}

/// The sysctl counts for everybody; then nothing can be compared.
bool sysctl_is_off() {
    std::FILE* const file = std::fopen("/proc/sys/kernel/bpf_stats_enabled", "re");
    char digit = '0';
    const bool is_off = file == nullptr || (std::fread(&digit, 1, 1, file) == 1 && digit == '0');
    if (file != nullptr) {
        (void)std::fclose(file);
    }
    return is_off;
}

void ask_counts(int program) {
    if (!sysctl_is_off()) {
        std::printf("runs are counted by sysctl\n");
        return;
    }
    run(program, 7);
    show_counts("before", program);
    say("another kind", enable(1));
    say("no kind", enable(UINT32_MAX));
    const long open = enable(BPF_STATS_RUN_TIME, sizeof(std::uint32_t));
    say("enabled", open);
    show_counts("enabled", program);
    run(program, 1);
    show_counts("after one", program);
    run(program, 200);
    show_counts("after 201", program);
    const long again = enable(BPF_STATS_RUN_TIME);
    (void)::close(static_cast<int>(open));
    run(program, 9);
    show_counts("after 210", program);
    constexpr std::uint32_t kLiveFrames = 2;  // BPF_F_TEST_XDP_LIVE_FRAMES
    run(program, 130, kLiveFrames);
    show_counts("after 210 and 130 live frames", program);
    bpf_attr attr{};
    attr.pathname = address("/sys/fs/bpf/crema_stats");
    attr.bpf_fd = static_cast<std::uint32_t>(again);
    say("pinned", call(BPF_OBJ_PIN, attr));
    attr = {};
    attr.info.bpf_fd = static_cast<std::uint32_t>(again);
    bpf_prog_info info{};
    attr.info.info = address(&info);
    attr.info.info_len = sizeof info;
    say("information", call(BPF_OBJ_GET_INFO_BY_FD, attr));
    (void)::close(static_cast<int>(again));
}

void ask_query(const char* what, std::uint32_t type, std::uint32_t flags, int target) {
    bpf_attr attr{};
    attr.query.target_fd = static_cast<std::uint32_t>(target);
    std::array<std::uint32_t, 4> ids{};
    attr.query.attach_type = type;
    attr.query.query_flags = flags;
    attr.query.prog_ids = address(ids.data());
    attr.query.prog_cnt = ids.size();
    attr.query.attach_flags = 77;
    say(what, call(BPF_PROG_QUERY, attr));
    std::printf("  %u programs, flags %u\n", attr.query.prog_cnt, attr.query.attach_flags);
}

void ask_task(const char* what, std::uint32_t pid, std::uint32_t fd, std::uint32_t flags = 0) {
    bpf_attr attr{};
    attr.task_fd_query.pid = pid;
    attr.task_fd_query.fd = fd;
    attr.task_fd_query.flags = flags;
    say(what, call(BPF_TASK_FD_QUERY, attr));
}

void ask_trace_points(int program, int map) {
    bpf_attr attr{};
    attr.raw_tracepoint.prog_fd = static_cast<std::uint32_t>(program);
    say("trace point", call(BPF_RAW_TRACEPOINT_OPEN, attr));
    attr.raw_tracepoint.name = address("xdp_exception");
    say("trace point by name", call(BPF_RAW_TRACEPOINT_OPEN, attr));
    attr.raw_tracepoint.prog_fd = static_cast<std::uint32_t>(map);
    say("of a map", call(BPF_RAW_TRACEPOINT_OPEN, attr));
    attr.raw_tracepoint.prog_fd = 1000;
    say("of nothing", call(BPF_RAW_TRACEPOINT_OPEN, attr));
}

void ask_links_in_programs(int program) {
    bpf_attr attr{};
    attr.link_create.prog_fd = static_cast<std::uint32_t>(program);
    attr.link_create.target_fd = static_cast<std::uint32_t>(program);
    say("link without attach type", call(BPF_LINK_CREATE, attr));
    attr.link_create.target_btf_id = 1;
    say("link in a program", call(BPF_LINK_CREATE, attr));
    attr.link_create.attach_type = BPF_TRACE_FENTRY;
    say("link at an entry", call(BPF_LINK_CREATE, attr));
}

}  // namespace

int main() {
    const int program = new_program();
    const int map = new_array();
    std::printf("made: %d %d\n", program >= 0, map >= 0);
    ask_counts(program);
    const int network = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    ask_query("flow dissector", BPF_FLOW_DISSECTOR, 0, network);
    ask_query("socket lookup", BPF_SK_LOOKUP, 0, network);
    ask_query("flow dissector, effective", BPF_FLOW_DISSECTOR, BPF_F_QUERY_EFFECTIVE, network);
    ask_query("flow dissector of nothing", BPF_FLOW_DISSECTOR, 0, 1000);
    ask_query("flow dissector of a program", BPF_FLOW_DISSECTOR, 0, program);
    ask_query("XDP", BPF_XDP, 0, network);
    ask_query("no type", 1000, 0, network);
    const auto self = static_cast<std::uint32_t>(::getpid());
    ask_task("task", self, static_cast<std::uint32_t>(program));
    ask_task("task, standard output", self, 1);
    ask_task("task, not open", self, 1000);
    ask_task("task, flags", self, 1, 1);
    ask_task("no task", 0x3fff'ffff, 1);
    ask_trace_points(program, map);
    ask_links_in_programs(program);
    return 0;
}
