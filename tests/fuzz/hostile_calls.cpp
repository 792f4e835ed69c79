// SPDX-License-Identifier: BSD-3-Clause
#include "tests/fuzz/hostile_calls.h"

#include <cstring>
#include <string_view>
#include <utility>

#include "lib/ebpf/syscall/serve.h"
#include "tests/support/asm.h"

namespace crema::test::fuzz {
namespace {

namespace op = ebpf::op;
using ebpf::Insn;

// Numbers that older headers have no names for.
constexpr std::uint32_t kArena = 33;
constexpr int kTokenCreate = 36;
constexpr int kCommandsEnd = 41;  // behind the last one that a kernel knows

/// A map that can be made: what a mutation starts from.
struct Shape {
    std::uint32_t type, key_size, value_size, max_entries, flags;
};

constexpr Shape kShapes[] = {
    {BPF_MAP_TYPE_HASH, 4, 8, 16, 0},
    {BPF_MAP_TYPE_HASH, 8, 16, 4, BPF_F_NO_PREALLOC},
    {BPF_MAP_TYPE_ARRAY, 4, 8, 8, 0},
    {BPF_MAP_TYPE_ARRAY, 4, 64, 4, BPF_F_MMAPABLE},
    {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0},
    {BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2, 0},
    {BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 8, 0},
    {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4, 0},
    {BPF_MAP_TYPE_STACK_TRACE, 4, 64, 4, 0},
    {BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 2, 0},
    {BPF_MAP_TYPE_LRU_HASH, 4, 8, 16, 0},
    {BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 16, 0},
    {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 16, BPF_F_NO_PREALLOC},
    {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 4, 0},
    {BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 4, 0},
    {BPF_MAP_TYPE_DEVMAP, 4, 8, 4, 0},
    {BPF_MAP_TYPE_DEVMAP_HASH, 4, 8, 4, 0},
    {BPF_MAP_TYPE_CPUMAP, 4, 8, 2, 0},
    {BPF_MAP_TYPE_XSKMAP, 4, 4, 4, 0},
    {BPF_MAP_TYPE_QUEUE, 0, 8, 4, 0},
    {BPF_MAP_TYPE_STACK, 0, 8, 4, 0},
    {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0},
    {BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 4096, 0},
    {BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 16, 0},
    {kArena, 0, 0, 2, BPF_F_MMAPABLE},
};

bool is_map_of_maps(std::uint32_t type) {
    return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

bool returns_descriptor(int command) {
    switch (command) {
        case BPF_MAP_CREATE:
        case BPF_PROG_LOAD:
        case BPF_OBJ_GET:
        case BPF_BTF_LOAD:
        case BPF_LINK_CREATE:
        case BPF_RAW_TRACEPOINT_OPEN:
        case BPF_ENABLE_STATS:
        case BPF_ITER_CREATE:
        case kTokenCreate:
        case BPF_PROG_GET_FD_BY_ID:
        case BPF_MAP_GET_FD_BY_ID:
        case BPF_BTF_GET_FD_BY_ID:
        case BPF_LINK_GET_FD_BY_ID:
            return true;
        default:
            return false;
    }
}

bool is_next_id(int command) {
    return command == BPF_PROG_GET_NEXT_ID || command == BPF_MAP_GET_NEXT_ID ||
           command == BPF_BTF_GET_NEXT_ID || command == BPF_LINK_GET_NEXT_ID;
}

std::span<const std::uint8_t> bytes_of(const void* memory, std::size_t bytes) {
    return {static_cast<const std::uint8_t*>(memory), bytes};
}

}  // namespace

HostileCalls::HostileCalls(std::uint64_t seed,
                           const Samples& samples,
                           Arena& arena,
                           std::string pin_folder)
    : dice_(seed), samples_(samples), arena_(arena), pin_folder_(std::move(pin_folder)) {}

HostileCalls::Answer HostileCalls::one() {
    arena_.clear();
    // The commands of elements, loads and runs are where most can go wrong.
    static constexpr int kFavourites[] = {BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_BTF_LOAD,
                                          BPF_MAP_UPDATE_ELEM, BPF_PROG_TEST_RUN};
    const int command = dice_.one_in(3)    ? dice_.pick(kFavourites)
                        : dice_.one_in(50) ? dice_.constant()
                                           : dice_.below(kCommandsEnd);
    bpf_attr attr{};
    start_from(command, attr);
    damage_words(attr);
    if (command == BPF_PROG_TEST_RUN) {
        attr.test.repeat &= 7;  // more only takes longer
    }
    const auto size = dice_.one_in(16) ? static_cast<std::uint32_t>(dice_.below(sizeof(attr) + 1))
                                       : static_cast<std::uint32_t>(sizeof(attr));
    const long result = ebpf::syscall::serve(command, &attr, size);
    if (is_next_id(command) && result == 0) {
        last_id_ = attr.next_id;
    }
    if (returns_descriptor(command) && result >= 0) {
        place_for(command).reset(static_cast<int>(result));
    }
    return {.command = command, .result = result};
}

std::uint32_t HostileCalls::some_fd(Kind kind) {
    if (dice_.one_in(24)) {
        static constexpr int kOthers[] = {0, 1, 2, -1, 1000, 0x7fffffff};
        return static_cast<std::uint32_t>(dice_.pick(kOthers));
    }
    const int first =
        kind == Kind::any || dice_.one_in(12) ? dice_.below(kKinds) : static_cast<int>(kind);
    const int at = first * static_cast<int>(kOfEach) + dice_.below(kOfEach);
    return static_cast<std::uint32_t>(fds_[static_cast<std::size_t>(at)].get());
}

UniqueFd& HostileCalls::place_for(int command) {
    Kind kind = Kind::map;
    switch (command) {
        case BPF_PROG_LOAD:
        case BPF_PROG_GET_FD_BY_ID:
            kind = Kind::program;
            break;
        case BPF_BTF_LOAD:
        case BPF_BTF_GET_FD_BY_ID:
            kind = Kind::btf;
            break;
        case BPF_LINK_CREATE:
        case BPF_LINK_GET_FD_BY_ID:
        case BPF_ENABLE_STATS:
            kind = Kind::link;
            break;
        case BPF_OBJ_GET:
            kind = static_cast<Kind>(dice_.below(kKinds));  // whatever was pinned
            break;
        default:
            break;
    }
    return fds_[static_cast<std::size_t>(kind) * kOfEach +
                static_cast<std::size_t>(dice_.below(kOfEach))];
}

std::uint64_t HostileCalls::room(std::size_t bytes) {
    std::uint8_t* const memory = arena_.take(bytes);
    const bool is_small = dice_.one_in(2);
    for (std::size_t at = 0; at + 8 <= bytes; at += 8) {
        const std::uint64_t word = is_small ? dice_.bits() % 5 : dice_.bits();
        std::memcpy(memory + at, &word, sizeof word);
    }
    return reinterpret_cast<std::uint64_t>(memory);
}

void HostileCalls::start_map(bpf_attr& attr) {
    const Shape& shape = dice_.pick(kShapes);
    attr.map_type = shape.type;
    attr.key_size = shape.key_size;
    attr.value_size = shape.value_size;
    attr.max_entries = shape.max_entries;
    attr.map_flags = shape.flags;
    if (is_map_of_maps(shape.type)) {
        attr.inner_map_fd = some_fd(Kind::map);
    }
    std::string_view("hostile").copy(attr.map_name, sizeof(attr.map_name) - 1);
    if (dice_.one_in(4)) {
        attr.btf_fd = some_fd(Kind::btf);
        attr.btf_key_type_id = static_cast<std::uint32_t>(dice_.below(40));
        attr.btf_value_type_id = static_cast<std::uint32_t>(dice_.below(40));
    }
}

std::vector<Insn> HostileCalls::some_program() {
    switch (dice_.below(4)) {
        case 0:
            return {insn(op::kAlu64 | op::kMov | op::kK, 0, 0, 0, dice_.below(5)), exit_insn()};
        case 1:
            return {insn(op::kLdImm64, 1, dice_.pick({1, 2, 5, 6}), 0,
                         static_cast<std::int32_t>(some_fd(Kind::map))),
                    insn(0, 0, 0, 0, dice_.below(16)),
                    insn(op::kLdx | op::kMem | op::kW, 0, 1, 0, 0), exit_insn()};
        case 2:
            // r2 = stack; lookup in a map; its value
            return {insn(op::kSt | op::kMem | op::kW, 10, 0, -4, dice_.below(3)),
                    insn(op::kAlu64 | op::kMov | op::kX, 2, 10, 0, 0),
                    insn(op::kAlu64 | op::kAdd | op::kK, 2, 0, 0, -4),
                    insn(op::kLdImm64, 1, 1, 0, static_cast<std::int32_t>(some_fd(Kind::map))),
                    insn(0, 0, 0, 0, 0),
                    insn(op::kJmp | op::kCall, 0, 0, 0, dice_.between(1, 3)),
                    insn(op::kAlu64 | op::kMov | op::kK, 0, 0, 0, 2),
                    exit_insn()};
        default: {
            std::vector<Insn> any;
            for (int n = dice_.between(1, 12); n > 0; --n) {
                const std::uint64_t bits = dice_.bits();
                any.push_back(insn(
                    static_cast<std::uint8_t>(bits), static_cast<int>(bits >> 8) & 11,
                    static_cast<int>(bits >> 12) & 11, dice_.between(-3, 3), dice_.constant()));
            }
            any.push_back(exit_insn());
            return any;
        }
    }
}

void HostileCalls::start_program(bpf_attr& attr) {
    const std::vector<Insn> insns = some_program();
    attr.prog_type = dice_.one_in(8) ? static_cast<std::uint32_t>(dice_.below(34))
                                     : std::uint32_t{BPF_PROG_TYPE_XDP};
    attr.expected_attach_type =
        dice_.one_in(4) ? std::uint32_t{BPF_XDP_DEVMAP} : std::uint32_t{BPF_XDP};
    attr.insns = arena_.put(bytes_of(insns.data(), insns.size() * sizeof(Insn)));
    attr.insn_cnt = static_cast<std::uint32_t>(insns.size());
    attr.license = arena_.put(bytes_of("GPL", 4));
    std::string_view("hostile").copy(attr.prog_name, sizeof(attr.prog_name) - 1);
    if (dice_.one_in(3)) {
        attr.log_level = static_cast<std::uint32_t>(dice_.below(8));
        attr.log_size = static_cast<std::uint32_t>(dice_.below(4096));
        attr.log_buf = room(4096);
    }
    if (dice_.one_in(3)) {
        attr.prog_btf_fd = some_fd(Kind::btf);
        attr.func_info_rec_size = 8;
        attr.func_info_cnt = static_cast<std::uint32_t>(dice_.below(4));
        attr.func_info = room(64);
        attr.line_info_rec_size = 16;
        attr.line_info_cnt = static_cast<std::uint32_t>(dice_.below(4));
        attr.line_info = room(128);
    }
    if (dice_.one_in(4)) {
        const std::array<std::uint32_t, 4> fds = {some_fd(Kind::map), some_fd(Kind::map),
                                                  some_fd(Kind::any), some_fd(Kind::map)};
        attr.fd_array = arena_.put(bytes_of(fds.data(), sizeof fds));
    }
}

void HostileCalls::start_btf(bpf_attr& attr) {
    Blob blob = samples_.btf.empty() ? Blob(24) : dice_.pick(samples_.btf);
    if (!dice_.one_in(4)) {
        damage(blob, samples_.btf.empty() ? blob : dice_.pick(samples_.btf), dice_.bits());
    }
    attr.btf = arena_.put(blob);
    attr.btf_size = static_cast<std::uint32_t>(blob.size());
    if (dice_.one_in(4)) {
        attr.btf_log_level = static_cast<std::uint32_t>(dice_.below(8));
        attr.btf_log_size = static_cast<std::uint32_t>(dice_.below(4096));
        attr.btf_log_buf = room(4096);
    }
}

void HostileCalls::start_run(bpf_attr& attr) {
    attr.test.prog_fd = some_fd(Kind::program);
    attr.test.data_size_in = static_cast<std::uint32_t>(dice_.below(4096));
    attr.test.data_in = room(4096);
    attr.test.data_size_out = static_cast<std::uint32_t>(dice_.below(4096));
    attr.test.data_out = room(4096);
    if (dice_.one_in(2)) {
        const std::array<std::uint32_t, 6> context = {
            4 * small(), attr.test.data_size_in, 0, small(), small() % 2, 0};
        attr.test.ctx_in = arena_.put(bytes_of(context.data(), sizeof context));
        attr.test.ctx_size_in = sizeof context;
        attr.test.ctx_out = room(64);
        attr.test.ctx_size_out = sizeof context;
    }
    if (dice_.one_in(3)) {
        attr.test.flags = 2;  // BPF_F_TEST_XDP_LIVE_FRAMES, of which nothing is shown
        attr.test.batch_size = static_cast<std::uint32_t>(dice_.below(258));
        attr.test.data_out = attr.test.ctx_out = 0;
        attr.test.ctx_size_out = 0;
    }
}

void HostileCalls::start_batch(bpf_attr& attr) {
    attr.batch.map_fd = some_fd(Kind::map);
    attr.batch.keys = room(1024);
    attr.batch.values = room(4096);
    attr.batch.in_batch = dice_.one_in(2) ? 0 : room(64);
    attr.batch.out_batch = room(64);
    attr.batch.count = static_cast<std::uint32_t>(dice_.below(12));
}

void HostileCalls::start_element(bpf_attr& attr) {
    attr.map_fd = some_fd(Kind::map);
    attr.key = room(64);
    attr.value = room(512);
    attr.flags = dice_.one_in(4) ? dice_.bits() % 8 : 0;
    if (dice_.one_in(3)) {
        // Values that are descriptors, or hold one behind a small number.
        const std::array<std::uint32_t, 2> words = {dice_.one_in(2) ? some_fd(Kind::any) : small(),
                                                    some_fd(Kind::program)};
        attr.value = arena_.put(bytes_of(words.data(), sizeof words));
    }
}

void HostileCalls::start_link(int command, bpf_attr& attr) {
    if (command == BPF_LINK_CREATE) {
        attr.link_create.prog_fd = some_fd(Kind::program);
        attr.link_create.target_ifindex = static_cast<std::uint32_t>(dice_.below(4));
        attr.link_create.attach_type = BPF_XDP;
        return;
    }
    attr.link_update.link_fd = some_fd(Kind::link);
    attr.link_update.new_prog_fd = some_fd(Kind::program);
    if (dice_.one_in(3)) {
        attr.link_update.flags = BPF_F_REPLACE;
        attr.link_update.old_prog_fd = some_fd(Kind::program);
    }
}

/// Pins, numbers and information; false: the command is none of these.
bool HostileCalls::start_object(int command, bpf_attr& attr) {
    switch (command) {
        case BPF_OBJ_PIN:
        case BPF_OBJ_GET: {
            const std::string path = pin_folder_ + "/pin" + std::to_string(dice_.below(6));
            attr.pathname = arena_.put(bytes_of(path.c_str(), path.size() + 1));
            attr.bpf_fd = command == BPF_OBJ_PIN ? some_fd(Kind::any) : 0;
            return true;
        }
        case BPF_OBJ_GET_INFO_BY_FD:
            attr.info.bpf_fd = some_fd(Kind::any);
            attr.info.info = room(512);
            attr.info.info_len = static_cast<std::uint32_t>(dice_.below(512));
            if (!dice_.one_in(4)) {
                std::memset(reinterpret_cast<void*>(attr.info.info), 0, 512);
            }
            return true;
        case BPF_PROG_GET_NEXT_ID:
        case BPF_MAP_GET_NEXT_ID:
        case BPF_BTF_GET_NEXT_ID:
        case BPF_LINK_GET_NEXT_ID:
        case BPF_PROG_GET_FD_BY_ID:
        case BPF_MAP_GET_FD_BY_ID:
        case BPF_BTF_GET_FD_BY_ID:
        case BPF_LINK_GET_FD_BY_ID:
            // Numbers go on from session to session: near the last one that was told there are
            // some.
            attr.start_id =
                dice_.one_in(3) ? 0 : last_id_ + static_cast<std::uint32_t>(dice_.between(-6, 6));
            return true;
        case BPF_PROG_BIND_MAP:
            attr.prog_bind_map.prog_fd = some_fd(Kind::program);
            attr.prog_bind_map.map_fd = some_fd(Kind::map);
            return true;
        default:
            return false;
    }
}

void HostileCalls::start_from(int command, bpf_attr& attr) {
    if (start_object(command, attr)) {
        return;
    }
    switch (command) {
        case BPF_MAP_CREATE:
            start_map(attr);
            break;
        case BPF_PROG_LOAD:
            start_program(attr);
            break;
        case BPF_BTF_LOAD:
            start_btf(attr);
            break;
        case BPF_PROG_TEST_RUN:
            start_run(attr);
            break;
        case BPF_LINK_CREATE:
        case BPF_LINK_UPDATE:
            start_link(command, attr);
            break;
        case BPF_MAP_LOOKUP_BATCH:
        case BPF_MAP_UPDATE_BATCH:
        case BPF_MAP_DELETE_BATCH:
        case BPF_MAP_LOOKUP_AND_DELETE_BATCH:
            start_batch(attr);
            break;
        case BPF_MAP_FREEZE:
        case BPF_LINK_DETACH:
            attr.map_fd = some_fd(command == BPF_MAP_FREEZE ? Kind::map : Kind::link);
            break;
        default:
            start_element(attr);
            break;
    }
}

/// Some words get another value. A pointer that loses a half points to nothing (Arena).
void HostileCalls::damage_words(bpf_attr& attr) {
    static constexpr std::uint32_t kValues[] = {0, 1, 2, 8, 64, 0x100000, 0x7fffffff, 0xffffffff};
    if (!dice_.one_in(3)) {
        return;
    }
    auto* const bytes = reinterpret_cast<std::uint8_t*>(&attr);
    for (int n = dice_.between(1, 3); n > 0; --n) {
        const std::uint32_t value = dice_.pick(kValues);
        // Most commands use few words, and refuse what lies behind them.
        const int words = dice_.one_in(4) ? static_cast<int>(sizeof(attr) / 4) : 10;
        const auto word = static_cast<std::size_t>(dice_.below(words));
        std::memcpy(bytes + word * 4, &value, sizeof value);
    }
}

}  // namespace crema::test::fuzz
