// SPDX-License-Identifier: BSD-3-Clause
//
// Asks bpf(2) for many things that it must refuse, or answer in a certain way, and prints what it
// said. As face_tool, the same binary runs under the kernel and under `crema bpf --`.
//
// usage: errors_tool DIRECTORY (in the BPF file system)
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include <linux/bpf.h>

#include "tests/conformance/raw_calls.h"

namespace {

using crema::test::address;
using crema::test::call;
using crema::test::say;

/// Descriptors have no fixed numbers.
int opened(const char* what, long result) {
    say(what, result);
    return static_cast<int>(result);
}

int new_map(bpf_map_type type,
            std::uint32_t key,
            std::uint32_t value,
            std::uint32_t entries,
            std::uint32_t flags = 0) {
    bpf_attr attr{};
    attr.map_type = type;
    attr.key_size = key;
    attr.value_size = value;
    attr.max_entries = entries;
    attr.map_flags = flags;
    std::strcpy(attr.map_name, "asked");
    return static_cast<int>(call(BPF_MAP_CREATE, attr));
}

int new_program(std::uint32_t attach_type = BPF_XDP, int verdict = 2) {
    const std::array<bpf_insn, 2> insns = {
        bpf_insn{.code = 0xb7, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = verdict},
        bpf_insn{.code = 0x95, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.expected_attach_type = static_cast<bpf_attach_type>(attach_type);
    attr.insns = address(insns.data());
    attr.insn_cnt = insns.size();
    attr.license = address("GPL");
    std::strcpy(attr.prog_name, "asked");
    return static_cast<int>(call(BPF_PROG_LOAD, attr));
}

// --- test runs
// -------------------------------------------------------------------------------------

struct TestRun {
    bpf_attr attr{};
    std::array<std::uint8_t, 8192> in{};
    std::array<std::uint8_t, 8192> out{};
    std::array<std::uint32_t, 8> context_in{};
    std::array<std::uint32_t, 8> context_out{};

    explicit TestRun(int program, std::uint32_t size = 64) {
        for (std::size_t i = 0; i < in.size(); ++i) {
            in[i] = static_cast<std::uint8_t>(i);
        }
        attr.test.prog_fd = static_cast<std::uint32_t>(program);
        attr.test.data_in = address(in.data());
        attr.test.data_size_in = size;
    }

    void with_context(std::uint32_t bytes = 24) {
        attr.test.ctx_in = address(context_in.data());
        attr.test.ctx_size_in = bytes;
        context_in[1] = attr.test.data_size_in;
    }

    void run(const char* what) {
        const long result = call(BPF_PROG_TEST_RUN, attr);
        const int code = errno;
        std::printf("%s: %ld errno %d retval %u size %u ctx %u out %02x%02x ctx_out %u %u %u %u\n",
                    what, result, result < 0 ? code : 0, attr.test.retval, attr.test.data_size_out,
                    attr.test.ctx_size_out, out[0], out[63], context_out[0], context_out[1],
                    context_out[3], context_out[4]);
    }
};

void ask_plain_runs(int program, int map) {
    {
        TestRun run(program);
        run.run("run: no output");
    }
    {
        TestRun run(program);
        run.attr.test.data_out = address(run.out.data());
        run.attr.test.data_size_out = 8192;
        run.attr.test.repeat = 5;
        run.run("run: repeat 5");
    }
    {
        TestRun run(program);
        run.attr.test.data_out = address(run.out.data());
        run.run("run: output of unsaid size");
    }
    {
        TestRun run(program);
        run.attr.test.data_out = address(run.out.data());
        run.attr.test.data_size_out = 20;
        run.run("run: too little room");
    }
    {
        TestRun run(program);
        run.attr.test.data_size_out = 20;
        run.run("run: room without output");
    }
    for (const std::uint32_t size : {0U, 13U, 14U, 3520U}) {
        TestRun run(program, size);
        run.run(("run: " + std::to_string(size) + " bytes").c_str());
    }
    {
        TestRun run(program);
        run.attr.test.data_in = 0;
        run.run("run: no data");
    }
    {
        TestRun run(program);
        run.attr.test.data_in = 4096;
        run.run("run: wild data");
    }
    {
        TestRun run(program);
        run.attr.test.data_out = 4096;
        run.run("run: wild output");
        run.attr.test.data_size_out = 20;
        run.run("run: wild output, and too little room");
    }
    {
        TestRun run(map);
        run.run("run: a map");
    }
    {
        TestRun run(-1);
        run.run("run: nothing");
    }
    {
        TestRun run(0);
        run.run("run: standard input");
    }
    for (const std::uint32_t flags : {1U, 4U, 0x80000000U}) {
        TestRun run(program);
        run.attr.test.flags = flags;
        run.run(("run: flags " + std::to_string(flags)).c_str());
    }
    {
        TestRun run(program);
        run.attr.test.batch_size = 1;
        run.run("run: batch without live frames");
    }
    {
        TestRun run(program);
        run.attr.test.flags = 2;
        run.attr.test.batch_size = 257;
        run.run("run: large batch");
    }
    {
        TestRun run(program);
        run.attr.test.cpu = 1;
        run.run("run: cpu 1");
    }
    for (const std::uint32_t type : {33U, 35U, 0U}) {
        const int other = new_program(type);
        TestRun run(other);
        run.run(("run: attach type " + std::to_string(type)).c_str());
        ::close(other);
    }
}

void ask_runs_with_context(int program) {
    {
        TestRun run(program);
        run.attr.test.ctx_in = address(run.context_in.data());
        run.run("context: without size");
    }
    {
        TestRun run(program);
        run.attr.test.ctx_size_in = 24;
        run.run("context: size alone");
    }
    {
        TestRun run(program);
        run.attr.test.ctx_size_out = 24;
        run.run("context: size out alone");
    }
    for (const std::uint32_t size : {24U, 8U, 32U, 5000U}) {
        TestRun run(program);
        run.with_context(size);
        run.attr.test.ctx_out = address(run.context_out.data());
        run.attr.test.ctx_size_out = sizeof run.context_out;
        if (size > sizeof run.context_in) {
            run.attr.test.ctx_in = address(run.out.data());
        }
        run.run(("context: " + std::to_string(size) + " bytes").c_str());
    }
    {
        TestRun run(program);
        run.with_context(32);
        run.context_in[6] = 1;
        run.run("context: not zero behind");
    }
    {
        TestRun run(program);
        run.with_context();
        run.attr.test.ctx_out = address(run.context_out.data());
        run.attr.test.ctx_size_out = 8;
        run.run("context: too little room");
        run.attr.test.ctx_out = 4096;
        run.attr.test.ctx_size_out = 8;
        run.run("context: too little room, and wild");
        run.attr.test.ctx_size_out = 24;
        run.run("context: wild output");
    }
    // data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex
    static constexpr std::array<std::array<std::uint32_t, 6>, 14> kContexts = {{
        {0, 64, 0, 0, 0, 0},
        {8, 64, 0, 0, 0, 0},
        {5, 64, 0, 0, 0, 0},
        {0, 64, 4, 0, 0, 0},
        {0, 65, 0, 0, 0, 0},
        {64, 63, 0, 0, 0, 0},
        {60, 64, 0, 0, 0, 0},
        {48, 64, 0, 0, 0, 0},
        {0, 64, 0, 1, 0, 0},
        {0, 64, 0, 1, 9999, 0},
        {0, 64, 0, 0, 1, 0},
        {0, 64, 0, 999999, 0, 0},
        {0, 64, 0, 0, 0, 1},
        {220, 64, 0, 0, 0, 0},
    }};
    for (const auto& context : kContexts) {
        TestRun run(program);
        run.with_context();
        std::copy(context.begin(), context.end(), run.context_in.begin());
        run.attr.test.data_out = address(run.out.data());
        run.attr.test.data_size_out = sizeof run.out;
        run.attr.test.ctx_out = address(run.context_out.data());
        run.attr.test.ctx_size_out = 24;
        std::string name = "context:";
        for (const std::uint32_t field : context) {
            name += " " + std::to_string(field);
        }
        run.run(name.c_str());
    }
}

// --- numbers, pins, descriptors
// --------------------------------------------------------------------

long by_id(int command, std::uint32_t id, std::uint32_t flags = 0) {
    bpf_attr attr{};
    attr.prog_id = id;
    attr.open_flags = flags;
    return call(command, attr);
}

std::uint32_t map_id(int fd) {
    bpf_map_info info{};
    bpf_attr attr{};
    attr.info.bpf_fd = static_cast<std::uint32_t>(fd);
    attr.info.info = address(&info);
    attr.info.info_len = sizeof info;
    return call(BPF_OBJ_GET_INFO_BY_FD, attr) == 0 ? info.id : 0;
}

long touch(int command, int map, std::uint32_t key, std::uint64_t flags = 0) {
    std::uint64_t value = key;
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(map);
    attr.key = address(&key);
    attr.value = address(&value);
    attr.flags = flags;
    return call(command, attr);
}

void ask_numbers(int map, int program) {
    for (const int command : {BPF_PROG_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID, BPF_BTF_GET_FD_BY_ID,
                              BPF_LINK_GET_FD_BY_ID}) {
        const std::string name = "id: command " + std::to_string(command);
        say((name + " of 0").c_str(), by_id(command, 0));
        say((name + " of what is not there").c_str(), by_id(command, 0x7ffffff0));
    }
    for (const int command :
         {BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID, BPF_BTF_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID}) {
        bpf_attr attr{};
        attr.start_id = 0x7fffffff;
        const std::string name = "id: command " + std::to_string(command);
        say((name + " from the end").c_str(), call(command, attr));
        attr.start_id = 0x7ffffff0;
        say((name + " behind the last").c_str(), call(command, attr));
        attr.start_id = 0;
        attr.open_flags = 1;
        say((name + " with flags").c_str(), call(command, attr));
    }
    const std::uint32_t id = map_id(map);
    say("id: both accesses", by_id(BPF_MAP_GET_FD_BY_ID, id, BPF_F_RDONLY | BPF_F_WRONLY));
    say("id: unknown flags", by_id(BPF_MAP_GET_FD_BY_ID, id, 1));
    const int reader = opened("id: read only", by_id(BPF_MAP_GET_FD_BY_ID, id, BPF_F_RDONLY));
    say("id: read only, lookup", touch(BPF_MAP_LOOKUP_ELEM, reader, 1));
    say("id: read only, update", touch(BPF_MAP_UPDATE_ELEM, reader, 1));
    say("id: read only, delete", touch(BPF_MAP_DELETE_ELEM, reader, 1));
    say("id: read only, take", touch(BPF_MAP_LOOKUP_AND_DELETE_ELEM, reader, 1));
    say("id: read only, freeze", touch(BPF_MAP_FREEZE, reader, 0));
    const int writer = opened("id: write only", by_id(BPF_MAP_GET_FD_BY_ID, id, BPF_F_WRONLY));
    say("id: write only, lookup", touch(BPF_MAP_LOOKUP_ELEM, writer, 1));
    say("id: write only, update", touch(BPF_MAP_UPDATE_ELEM, writer, 1));
    say("id: write only, next key", touch(BPF_MAP_GET_NEXT_KEY, writer, 1));
    bpf_attr attr{};
    attr.info.bpf_fd = static_cast<std::uint32_t>(program);
    attr.info.info_len = 5000;
    say("info: too long", call(BPF_OBJ_GET_INFO_BY_FD, attr));
    attr.info.info_len = 16;
    say("info: nowhere", call(BPF_OBJ_GET_INFO_BY_FD, attr));
    attr.info.bpf_fd = 0;
    say("info: standard input", call(BPF_OBJ_GET_INFO_BY_FD, attr));
    attr.info.bpf_fd = 9999;
    say("info: not open", call(BPF_OBJ_GET_INFO_BY_FD, attr));
    ::close(reader);
    ::close(writer);
}

long pin(int fd, const std::string& path, std::uint32_t flags = 0) {
    bpf_attr attr{};
    attr.pathname = address(path.c_str());
    attr.bpf_fd = static_cast<std::uint32_t>(fd);
    attr.file_flags = flags;
    return call(BPF_OBJ_PIN, attr);
}

long get(const std::string& path, std::uint32_t flags = 0, std::uint32_t fd = 0) {
    bpf_attr attr{};
    attr.pathname = address(path.c_str());
    attr.file_flags = flags;
    attr.bpf_fd = fd;
    return call(BPF_OBJ_GET, attr);
}

void ask_pins(int map, int program, const std::string& directory) {
    const std::string path = directory + "/pinned";
    say("pin: map", pin(map, path));
    say("pin: again", pin(map, path));
    say("pin: dots", pin(map, directory + "/a.b"));
    say("pin: folder that is not there", pin(map, directory + "/none/pinned"));
    say("pin: below a pin", pin(map, path + "/below"));
    say("pin: elsewhere", pin(map, "pinned"));
    say("pin: no name", pin(map, ""));
    say("pin: folder", pin(map, directory));
    say("pin: flags", pin(map, directory + "/flags", 1));
    say("pin: standard input", pin(0, directory + "/other"));
    say("pin: not open", pin(9999, directory + "/other"));
    {
        bpf_attr attr{};
        attr.bpf_fd = static_cast<std::uint32_t>(map);
        say("pin: null", call(BPF_OBJ_PIN, attr));
        attr.pathname = 4096;
        say("pin: wild", call(BPF_OBJ_PIN, attr));
    }
    const int same = opened("get: map", get(path));
    std::printf("get: same map %d\n", map_id(same) == map_id(map));
    say("get: with descriptor", get(path, 0, 3));
    say("get: not there", get(directory + "/none"));
    say("get: folder", get(directory));
    say("get: another file", get("/proc/self/status"));
    say("get: flags", get(path, 1));
    const int reader = opened("get: read only", get(path, BPF_F_RDONLY));
    say("get: read only, update", touch(BPF_MAP_UPDATE_ELEM, reader, 1));
    say("get: read only, lookup", touch(BPF_MAP_LOOKUP_ELEM, reader, 1));
    std::printf("pin: unlink %d\n", ::unlink(path.c_str()));
    say("get: removed", get(path));
    say("pin: program", pin(program, path));
    say("pin: folder made", ::mkdir((directory + "/folder").c_str(), 0700));
    say("pin: moved", ::rename(path.c_str(), (directory + "/folder/moved").c_str()));
    const int moved = opened("get: moved", get(directory + "/folder/moved"));
    (void)::unlink((directory + "/folder/moved").c_str());
    (void)::rmdir((directory + "/folder").c_str());
    ::close(same);
    ::close(reader);
    ::close(moved);
}

/// A map lives as long as its pin, and not longer.
void ask_lifetime(const std::string& directory) {
    const std::string path = directory + "/lives";
    int map = new_map(BPF_MAP_TYPE_HASH, 4, 8, 4);
    const std::uint32_t id = map_id(map);
    say("life: update", touch(BPF_MAP_UPDATE_ELEM, map, 5));
    say("life: pin", pin(map, path));
    ::close(map);
    map = opened("life: by id", by_id(BPF_MAP_GET_FD_BY_ID, id));
    say("life: lookup", touch(BPF_MAP_LOOKUP_ELEM, map, 5));
    const int copy = ::fcntl(map, F_DUPFD_CLOEXEC, 100);
    ::close(map);
    (void)::unlink(path.c_str());
    say("life: of a copy", touch(BPF_MAP_LOOKUP_ELEM, copy, 5));
    map = opened("life: by id of a copy", by_id(BPF_MAP_GET_FD_BY_ID, id));
    ::close(map);
    ::close(copy);
    // The kernel frees it a little later.
    long gone = 0;
    for (int i = 0; i < 100 && gone >= 0; ++i) {
        gone = by_id(BPF_MAP_GET_FD_BY_ID, id);
        if (gone >= 0) {
            ::close(static_cast<int>(gone));
            ::usleep(20'000);
        }
    }
    say("life: gone", gone);
}

// --- links and the rest
// ----------------------------------------------------------------------------

long link_create(int program, std::uint32_t ifindex, std::uint32_t type, std::uint32_t flags) {
    bpf_attr attr{};
    attr.link_create.prog_fd = static_cast<std::uint32_t>(program);
    attr.link_create.target_ifindex = ifindex;
    attr.link_create.attach_type = static_cast<bpf_attach_type>(type);
    attr.link_create.flags = flags;
    return call(BPF_LINK_CREATE, attr);
}

void ask_links(int map, int program) {
    constexpr std::uint32_t kNoInterface = 999999;
    say("link: no program", link_create(-1, 1, BPF_XDP, 0));
    say("link: a map", link_create(map, 1, BPF_XDP, 0));
    say("link: no interface", link_create(program, kNoInterface, BPF_XDP, 0));
    say("link: another type", link_create(program, kNoInterface, 0, 0));
    say("link: two modes", link_create(program, kNoInterface, BPF_XDP, 6));
    say("link: flag of netlink", link_create(program, kNoInterface, BPF_XDP, 1));
    const int other = new_program(33);
    say("link: devmap program", link_create(other, kNoInterface, BPF_XDP, 0));
    ::close(other);
    bpf_attr attr{};
    attr.link_update.link_fd = static_cast<std::uint32_t>(map);
    attr.link_update.new_prog_fd = static_cast<std::uint32_t>(program);
    say("link: update of a map", call(BPF_LINK_UPDATE, attr));
    attr.link_update.flags = 1;
    say("link: update with flags", call(BPF_LINK_UPDATE, attr));
    attr = {};
    attr.link_detach.link_fd = static_cast<std::uint32_t>(map);
    say("link: detach of a map", call(BPF_LINK_DETACH, attr));
}

void ask_maps() {
    const int array = new_map(BPF_MAP_TYPE_ARRAY, 4, 8, 512, BPF_F_MMAPABLE);
    const int hash = new_map(BPF_MAP_TYPE_HASH, 4, 8, 4);
    auto* values = static_cast<std::uint64_t*>(
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, array, 0));
    say("mmap: array", values == MAP_FAILED ? -1 : 0);
    if (values != MAP_FAILED) {
        say("mmap: update", touch(BPF_MAP_UPDATE_ELEM, array, 3));
        std::printf("mmap: value %llu\n", static_cast<unsigned long long>(values[3]));
        (void)::munmap(values, 4096);
    }
    say("mmap: hash", ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, hash, 0) == MAP_FAILED ? -1 : 0);
    say("freeze: array", touch(BPF_MAP_FREEZE, array, 0) == 0 ? 0 : -1);
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(array);
    say("freeze: by itself", call(BPF_MAP_FREEZE, attr));
    say("freeze: again", call(BPF_MAP_FREEZE, attr));
    say("freeze: update", touch(BPF_MAP_UPDATE_ELEM, array, 1));
    say("freeze: writable mapping",
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, array, 0) == MAP_FAILED ? -1 : 0);
    say("freeze: read mapping",
        ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, array, 0) == MAP_FAILED ? -1 : 0);
    const int constants = new_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE | BPF_F_RDONLY_PROG);
    attr.map_fd = static_cast<std::uint32_t>(constants);
    std::printf("constants: writable mapping %d\n", ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE,
                                                           MAP_SHARED, constants, 0) == MAP_FAILED);
    say("constants: read mapping",
        ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, constants, 0) == MAP_FAILED ? -1 : 0);
    say("constants: update", touch(BPF_MAP_UPDATE_ELEM, constants, 0));
    say("constants: freeze", call(BPF_MAP_FREEZE, attr));
    say("constants: update later", touch(BPF_MAP_UPDATE_ELEM, constants, 0));
    say("constants: lookup", touch(BPF_MAP_LOOKUP_ELEM, constants, 0));
    ::close(constants);
    say("take: array", touch(BPF_MAP_LOOKUP_AND_DELETE_ELEM, array, 1));
    say("take: hash without key", touch(BPF_MAP_LOOKUP_AND_DELETE_ELEM, hash, 1));
    say("lookup: flags", touch(BPF_MAP_LOOKUP_ELEM, hash, 1, 1));
    ::close(array);
    ::close(hash);
}

void ask_calls() {
    bpf_attr attr{};
    for (const int command : {-1, 200, 0x7fffffff}) {
        say(("command " + std::to_string(command)).c_str(), call(command, attr));
    }
    say("attributes: null", ::syscall(__NR_bpf, BPF_MAP_CREATE, nullptr, sizeof attr));
    say("attributes: too long", call(BPF_MAP_CREATE, attr, 5000));
    say("attributes: none", call(BPF_MAP_CREATE, attr, 0));
    attr.batch.flags = 1;
    say("attributes: behind", call(BPF_MAP_FREEZE, attr));
    attr = {};
    say("attach: cgroup", call(BPF_PROG_ATTACH, attr));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        return 2;
    }
    // Old kernels count maps against this.
    const int map = new_map(BPF_MAP_TYPE_HASH, 4, 8, 4);
    const int program = new_program();
    std::printf("made: %d %d\n", map >= 0, program >= 0);
    (void)touch(BPF_MAP_UPDATE_ELEM, map, 1);
    ask_plain_runs(program, map);
    ask_runs_with_context(program);
    ask_numbers(map, program);
    ask_pins(map, program, argv[1]);
    ask_lifetime(argv[1]);
    ask_links(map, program);
    ask_maps();
    ask_calls();
    return 0;
}
