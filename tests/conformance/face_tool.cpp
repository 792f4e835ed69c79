// SPDX-License-Identifier: BSD-3-Clause
//
// Loads an object with libbpf, fills its maps, runs each XDP program over packets with
// BPF_PROG_TEST_RUN, and prints verdicts, packets and map contents. Built on libbpf and bpf(2)
// alone, so the same binary runs under the kernel and under `crema bpf --`; its output depends on
// nothing that the two may choose: no ids, addresses, times, no order of hash keys.
//
// usage: face_tool OBJECT...
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sched.h>
#include <string>
#include <utility>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/conformance/face_rings.h"

namespace {

using Bytes = std::vector<std::uint8_t>;
using crema::test::hex;
using crema::test::show_rings;

/// Packets of many lengths; what programs look at lies behind the Ethernet header.
std::vector<Bytes> packets() {
    static constexpr std::array<std::array<std::uint8_t, 6>, 12> kStarts = {{
        {0, 0, 0, 0, 0, 0},
        {1, 1, 2, 3, 8, 1},
        {10, 0, 0, 1, 24, 3},
        {10, 0, 7, 1, 32, 2},
        {192, 168, 1, 2, 16, 4},
        {'a', 'b', 'c', 0, 40, 9},
        {2, 2, 2, 2, 2, 2},
        {3, 3, 0, 0, 33, 7},
        {1, 0, 2, 3, 8, 1},
        {0, 1, 0, 0, 0, 0},
        {255, 255, 255, 255, 255, 255},
        {64, 4, 4, 4, 32, 5},
    }};
    static constexpr std::array<std::size_t, 4> kLengths = {14, 60, 128, 1514};
    std::vector<Bytes> all;
    for (std::size_t i = 0; i < kStarts.size(); ++i) {
        Bytes packet(i == 0 ? kLengths[0] : kLengths[1 + i % 3]);
        for (std::size_t at = 0; at < packet.size(); ++at) {
            packet[at] = static_cast<std::uint8_t>(at * 7 + i);
        }
        packet[12] = 8;
        packet[13] = 0;
        for (std::size_t at = 0; at < kStarts[i].size() && 14 + at < packet.size(); ++at) {
            packet[14 + at] = kStarts[i][at];
        }
        all.push_back(std::move(packet));
    }
    return all;
}

bool is_map_of_maps(bpf_map_type type) {
    return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

bool has_cpu_values(bpf_map_type type) {
    return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
           type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

std::size_t rounded_value(const bpf_map* map) {
    return (bpf_map__value_size(map) + 7U) & ~std::size_t{7};
}

std::size_t user_value_size(const bpf_map* map) {
    return has_cpu_values(bpf_map__type(map))
               ? rounded_value(map) * static_cast<std::size_t>(libbpf_num_possible_cpus())
               : bpf_map__value_size(map);
}

/// Entries that are there before the first packet.
void prefill(const bpf_map* map) {
    const bpf_map_type type = bpf_map__type(map);
    const int fd = bpf_map__fd(map);
    Bytes key(std::max<std::size_t>(bpf_map__key_size(map), 8));
    Bytes value(std::max<std::size_t>(user_value_size(map), 8));
    std::string errors;
    for (std::uint32_t i = 0; i < 3; ++i) {
        std::fill(key.begin(), key.end(), std::uint8_t{0});
        std::fill(value.begin(), value.end(), std::uint8_t{0});
        std::memcpy(key.data(), &i, sizeof i);
        std::memcpy(value.data(), &i, sizeof i);
        switch (type) {
            case BPF_MAP_TYPE_LPM_TRIE: {
                const std::uint32_t length = 8 * i;
                std::memcpy(key.data(), &length, sizeof length);
                key[4] = 10;
                break;
            }
            case BPF_MAP_TYPE_DEVMAP:
            case BPF_MAP_TYPE_DEVMAP_HASH:
                value[0] = static_cast<std::uint8_t>(i == 2 ? 250 : 1);  // loopback, or nothing
                break;
            case BPF_MAP_TYPE_CPUMAP:
                value[0] = static_cast<std::uint8_t>(i == 2 ? 0 : 64);  // frames
                break;
            case BPF_MAP_TYPE_PROG_ARRAY:
            case BPF_MAP_TYPE_ARRAY_OF_MAPS:
            case BPF_MAP_TYPE_HASH_OF_MAPS:
            case BPF_MAP_TYPE_RINGBUF:
            case BPF_MAP_TYPE_USER_RINGBUF:
                return;
            default:
                break;
        }
        const bool keyless = bpf_map__key_size(map) == 0;
        const int result =
            bpf_map_update_elem(fd, keyless ? nullptr : key.data(), value.data(), BPF_ANY);
        errors += " " + std::to_string(result == 0 ? 0 : errno);
    }
    std::printf("prefill %s:%s\n", bpf_map__name(map), errors.c_str());
}

/// What a value that is an id leads to.
std::string named(bpf_map_type type, std::uint32_t id) {
    if (is_map_of_maps(type)) {
        const int fd = bpf_map_get_fd_by_id(id);
        bpf_map_info info{};
        std::uint32_t length = sizeof info;
        const int error = bpf_obj_get_info_by_fd(fd, &info, &length);
        return error == 0 ? info.name : "?";
    }
    const int fd = bpf_prog_get_fd_by_id(id);
    bpf_prog_info info{};
    std::uint32_t length = sizeof info;
    const int error = bpf_obj_get_info_by_fd(fd, &info, &length);
    return error == 0 ? info.name : "?";
}

std::string value_text(const bpf_map* map, Bytes value) {
    const bpf_map_type type = bpf_map__type(map);
    if (is_map_of_maps(type) || type == BPF_MAP_TYPE_PROG_ARRAY) {
        std::uint32_t id = 0;
        std::memcpy(&id, value.data(), sizeof id);
        return named(type, id);
    }
    if (!has_cpu_values(type)) {
        return hex(value.data(), bpf_map__value_size(map));
    }
    // Which CPU ran is not the question.
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < value.size(); at += rounded_value(map)) {
        parts.push_back(hex(value.data() + at, bpf_map__value_size(map)));
    }
    std::sort(parts.begin(), parts.end());
    std::string text;
    for (const std::string& part : parts) {
        text += (text.empty() ? "" : "|") + part;
    }
    return text;
}

/// Keys as the map gives them, at most a few more than it may hold.
std::vector<Bytes> keys_of(const bpf_map* map, int* last_error) {
    std::vector<Bytes> keys;
    Bytes key(bpf_map__key_size(map));
    bool has_key = false;
    while (keys.size() <= bpf_map__max_entries(map)) {
        Bytes next(key.size());
        if (bpf_map_get_next_key(bpf_map__fd(map), has_key ? key.data() : nullptr, next.data()) !=
            0) {
            *last_error = errno;
            break;
        }
        keys.push_back(next);
        key = next;
        has_key = true;
    }
    return keys;
}

void dump_taken(const bpf_map* map) {
    Bytes value(bpf_map__value_size(map));
    while (bpf_map_lookup_and_delete_elem(bpf_map__fd(map), nullptr, value.data()) == 0) {
        std::printf("  taken %s\n", hex(value.data(), value.size()).c_str());
    }
    std::printf("  taken: errno %d\n", errno);
}

void run_one(const bpf_program* program, std::size_t number, const Bytes& packet);

/// Each program of the object once.
void run_all(const bpf_object* object) {
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        run_one(program, 0, packets()[1]);
    }
}

void dump(const bpf_map* map, const bpf_object* object) {
    const bpf_map_type type = bpf_map__type(map);
    std::printf("map %s type %u key %u value %u entries %u flags %#x\n", bpf_map__name(map), type,
                bpf_map__key_size(map), bpf_map__value_size(map), bpf_map__max_entries(map),
                bpf_map__map_flags(map));
    if (type == BPF_MAP_TYPE_QUEUE || type == BPF_MAP_TYPE_STACK) {
        dump_taken(map);
        return;
    }
    show_rings(map, [object] { run_all(object); });
    if (bpf_map__key_size(map) == 0) {
        return;
    }
    int last_error = 0;
    std::vector<std::string> lines;
    for (const Bytes& key : keys_of(map, &last_error)) {
        Bytes value(std::max<std::size_t>(user_value_size(map), 8));
        const int found = bpf_map_lookup_elem(bpf_map__fd(map), key.data(), value.data());
        lines.push_back("  " + hex(key.data(), key.size()) + " " +
                        (found == 0 ? value_text(map, value) : "errno " + std::to_string(errno)));
    }
    std::sort(lines.begin(), lines.end());
    for (const std::string& line : lines) {
        std::printf("%s\n", line.c_str());
    }
    std::printf("  end: errno %d\n", last_error);
}

void run_one(const bpf_program* program, std::size_t number, const Bytes& packet) {
    Bytes out(4096);
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = packet.data();
    options.data_size_in = static_cast<std::uint32_t>(packet.size());
    options.data_out = out.data();
    options.data_size_out = static_cast<std::uint32_t>(out.size());
    options.repeat = 1;
    const int error = bpf_prog_test_run_opts(bpf_program__fd(program), &options);
    if (error != 0) {
        std::printf("  %zu: errno %d\n", number, -error);
        return;
    }
    std::printf("  %zu: %u %u %s\n", number, options.retval, options.data_size_out,
                hex(out.data(), std::min<std::size_t>(options.data_size_out, 1600)).c_str());
}

void run(const bpf_program* program) {
    bpf_prog_info info{};
    std::uint32_t length = sizeof info;
    const int error = bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length);
    std::printf("program %s info %d name %s type %u tag %s maps %u gpl %u btf %d\n",
                bpf_program__name(program), error, info.name, info.type,
                hex(info.tag, sizeof info.tag).c_str(), info.nr_map_ids, info.gpl_compatible,
                info.btf_id != 0);
    std::size_t number = 0;
    for (const Bytes& packet : packets()) {
        run_one(program, number++, packet);
    }
}

int show(const char* path) {
    std::printf("object %s\n", std::strrchr(path, '/') != nullptr ? std::strrchr(path, '/') : path);
    bpf_object* object = bpf_object__open(path);
    if (object == nullptr) {
        std::printf("open: errno %d\n", errno);
        return 1;
    }
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        (void)bpf_program__set_type(program, BPF_PROG_TYPE_XDP);
    }
    const int loaded = bpf_object__load(object);
    std::printf("load: %d\n", loaded);
    if (loaded == 0) {
        bpf_map* map = nullptr;
        bpf_object__for_each_map(map, object) {
            if (!bpf_map__is_internal(map)) {
                prefill(map);
            }
        }
        bpf_object__for_each_program(program, object) {
            run(program);
        }
        bpf_object__for_each_map(map, object) {
            dump(map, object);
        }
    }
    bpf_object__close(object);
    return loaded == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    // One CPU, the first that may be used: values of the others stay what they were.
    cpu_set_t allowed;
    (void)::sched_getaffinity(0, sizeof allowed, &allowed);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &allowed)) {
            CPU_ZERO(&allowed);
            CPU_SET(cpu, &allowed);
            break;
        }
    }
    (void)::sched_setaffinity(0, sizeof allowed, &allowed);
    int failed = 0;
    for (int i = 1; i < argc; ++i) {
        failed |= show(argv[i]);
    }
    return failed;
}
