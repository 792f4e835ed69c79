// SPDX-License-Identifier: BSD-3-Clause
//
// Timers of XDP programs: what helpers answer in every state of a timer, what expires and what
// does not, and who keeps what alive. As face_tool, the same binary runs under the kernel and under
// `crema bpf --`. What must expire is waited for; what must not gets a moment.
//
// usage: timers_tool OBJECT (timers.bpf.o)
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

namespace {

// What programs note, by index (timers.bpf.c).
constexpr std::uint32_t kFired = 0, kKey = 1, kTurns = 2, kSelfCancel = 3, kSelfDelete = 4,
                        kValue = 6;

constexpr std::uint8_t kAbsolute = 1, kPinned = 2;
constexpr std::uint8_t kLong = 250;  // in the programs' unit of 10 ms

bpf_object* g_object = nullptr;

void sleep_ms(long ms) {
    const timespec span{.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1'000'000};
    ::nanosleep(&span, nullptr);
}

int map_fd(const char* name) {
    return bpf_object__find_map_fd_by_name(g_object, name);
}

std::int64_t mark(std::uint32_t which) {
    std::int64_t value = 0;
    (void)bpf_map_lookup_elem(map_fd("marks"), &which, &value);
    return value;
}

void clear_marks() {
    for (std::uint32_t i = 0; i < 16; ++i) {
        const std::int64_t none = 0;
        (void)bpf_map_update_elem(map_fd("marks"), &i, &none, BPF_ANY);
    }
}

/// Until the mark has that value, or five seconds.
void wait_for(std::uint32_t which, std::int64_t value) {
    for (int i = 0; i < 1000 && mark(which) < value; ++i) {
        sleep_ms(5);
    }
}

int run(int program, std::uint8_t key, std::uint8_t flags, std::uint8_t span) {
    std::array<std::uint8_t, 64> packet{};
    packet[14] = key;
    packet[15] = flags;
    packet[16] = span;
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = packet.data();
    options.data_size_in = packet.size();
    options.repeat = 1;
    const int error = bpf_prog_test_run_opts(program, &options);
    return error != 0 ? error : static_cast<int>(options.retval);
}

/// The program `WHAT` on map `map`.
int act(const std::string& map,
        const char* what,
        std::uint8_t key,
        std::uint8_t flags = 0,
        std::uint8_t span = 0) {
    const bpf_program* program =
        bpf_object__find_program_by_name(g_object, (map + "_" + what).c_str());
    // A timer's memory comes from an allocator of the kernel that says no when the machine is busy:
    // nothing has happened then, and the next try may do.
    constexpr int kTries = 20;
    int result = -1;
    for (int i = 0; i < kTries; ++i) {
        result = run(bpf_program__fd(program), key, flags, span);
        if (result != ENOMEM) {
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return result;
}

void say(const std::string& map,
         const char* what,
         std::uint8_t key,
         std::uint8_t flags = 0,
         std::uint8_t span = 0) {
    std::printf("  %s %u %u %u: %d\n", what, key, flags, span, act(map, what, key, flags, span));
}

struct Element {
    std::uint64_t plain;
    std::uint64_t timer[2];
    std::uint64_t turns;
};

void write_element(const std::string& map, std::uint32_t key, std::uint64_t plain) {
    const Element element{.plain = plain, .timer = {~0ULL, ~0ULL}, .turns = 0};
    const int code = bpf_map_update_elem(map_fd(map.c_str()), &key, &element, BPF_ANY);
    std::printf("  write %u: %d\n", key, code == 0 ? 0 : errno);
}

void read_element(const std::string& map, std::uint32_t key) {
    Element element{};
    const int code = bpf_map_lookup_elem(map_fd(map.c_str()), &key, &element);
    std::printf("  read %u: %d %llu %llu %llu %llu\n", key, code == 0 ? 0 : errno,
                static_cast<unsigned long long>(element.plain),
                static_cast<unsigned long long>(element.timer[0]),
                static_cast<unsigned long long>(element.timer[1]),
                static_cast<unsigned long long>(element.turns));
}

/// Arms with the plain callback and waits for it.
void expire(const std::string& map, std::uint8_t key, std::uint8_t flags, std::uint8_t span) {
    clear_marks();
    say(map, "set", key);
    say(map, "start", key, flags, span);
    wait_for(kFired, 1);
    std::printf("  expired: fired %lld key %lld value %lld\n", static_cast<long long>(mark(kFired)),
                static_cast<long long>(mark(kKey)), static_cast<long long>(mark(kValue)));
}

void states(const std::string& map) {
    std::printf("%s: states\n", map.c_str());
    write_element(map, 2, 77);
    for (const char* what : {"set", "start", "cancel"}) {
        say(map, what, 2);
    }
    constexpr std::array<std::uint8_t, 6> kNoClocks = {2, 4, 8, 11, 16, 255};
    for (const std::uint8_t clock : kNoClocks) {
        say(map, "init", 2, clock);
    }
    say(map, "init", 2, CLOCK_MONOTONIC);
    say(map, "init", 2, CLOCK_MONOTONIC);
    say(map, "start", 2);
    say(map, "cancel", 2);
    expire(map, 2, 0, 1);
    expire(map, 2, 0, 0);
    expire(map, 2, kAbsolute, 1);
    expire(map, 2, kPinned, 1);
    expire(map, 2, kAbsolute | kPinned, 0);
    say(map, "start", 2, 4, 1);
    say(map, "cancel", 2);
    say(map, "start", 2, 0, 1);
    say(map, "set", 2);
    say(map, "start", 2, 0, kLong);
    say(map, "start", 2, 0, kLong);
    say(map, "cancel", 2);
    say(map, "cancel", 2);
    read_element(map, 2);
    // Armed anew, it is due once, when the last start said.
    say(map, "set", 2);
    say(map, "start", 2, 0, kLong);
    expire(map, 2, 0, 1);
}

void clocks(const std::string& map) {
    std::printf("%s: clocks\n", map.c_str());
    constexpr std::array<std::uint8_t, 3> kClocks = {CLOCK_REALTIME, CLOCK_MONOTONIC,
                                                     CLOCK_BOOTTIME};
    for (const std::uint8_t clock : kClocks) {
        write_element(map, 1, clock);
        say(map, "init", 1, clock);
        expire(map, 1, 0, 1);
        say(map, "cancel", 1);
    }
}

void callbacks(const std::string& map) {
    std::printf("%s: callbacks\n", map.c_str());
    clear_marks();
    write_element(map, 3, 5);
    say(map, "init", 3, CLOCK_BOOTTIME);
    say(map, "set_again", 3);
    say(map, "start", 3, 0, 1);
    wait_for(kTurns, 5);
    sleep_ms(50);
    std::printf("  turns %lld\n", static_cast<long long>(mark(kTurns)));
    say(map, "set_self", 3);
    say(map, "start", 3, 0, 1);
    wait_for(kFired, 1);
    std::printf("  cancels itself: %lld\n", static_cast<long long>(mark(kSelfCancel)));
    say(map, "start", 3, 0, 1);
    say(map, "cancel", 3);
}

/// A write to the element from outside; deleting it where that can be done.
void ends(const std::string& map) {
    std::printf("%s: ends\n", map.c_str());
    clear_marks();
    write_element(map, 1, 1);
    say(map, "init", 1, CLOCK_MONOTONIC);
    say(map, "set", 1);
    say(map, "start", 1, 0, 5);
    write_element(map, 1, 2);
    sleep_ms(150);
    std::printf("  written: fired %lld\n", static_cast<long long>(mark(kFired)));
    say(map, "cancel", 1);
    say(map, "init", 1, CLOCK_MONOTONIC);
    say(map, "set", 1);
    say(map, "start", 1, 0, 5);
    const std::uint32_t key = 1;
    const int code = bpf_map_delete_elem(map_fd(map.c_str()), &key);
    std::printf("  delete: %d\n", code == 0 ? 0 : errno);
    sleep_ms(150);
    std::printf("  deleted: fired %lld\n", static_cast<long long>(mark(kFired)));
    say(map, "cancel", 1);
    clear_marks();
}

/// More elements than the map has room for: those that go take their timers with them.
void evictions() {
    std::printf("in_lru: evictions\n");
    clear_marks();
    for (std::uint8_t key = 0; key < 4; ++key) {
        write_element("in_lru", key, key);
        (void)act("in_lru", "init", key, CLOCK_MONOTONIC);
        (void)act("in_lru", "set", key);
        (void)act("in_lru", "start", key, 0, 100);
    }
    for (std::uint32_t key = 100; key < 200; ++key) {
        const Element element{};
        (void)bpf_map_update_elem(map_fd("in_lru"), &key, &element, BPF_ANY);
    }
    sleep_ms(1200);
    std::int64_t stayed = 0;
    for (std::uint32_t key = 0; key < 4; ++key) {
        Element element{};
        stayed += bpf_map_lookup_elem(map_fd("in_lru"), &key, &element) == 0 ? 1 : 0;
    }
    std::printf("  fired are those that stayed: %d, some went: %d\n", mark(kFired) == stayed,
                stayed < 4);
}

void deletes_itself() {
    std::printf("in_hash: deletes itself\n");
    clear_marks();
    write_element("in_hash", 7, 7);
    say("in_hash", "init", 7, CLOCK_MONOTONIC);
    say("in_hash", "set_delete", 7);
    say("in_hash", "start", 7, 0, 1);
    wait_for(kFired, 1);
    std::printf("  said %lld\n", static_cast<long long>(mark(kSelfDelete)));
    read_element("in_hash", 7);
    clear_marks();
    write_element("in_hash", 7, 7);
    say("in_hash", "init", 7, CLOCK_MONOTONIC);
    say("in_hash", "set", 7);
    say("in_hash", "start", 7, 0, 5);
    say("in_hash", "delete", 7);
    sleep_ms(150);
    std::printf("  deleted: fired %lld\n", static_cast<long long>(mark(kFired)));
}

/// A timer keeps the program of its callback; the map's timers end with its last descriptor.
void lifetimes() {
    std::printf("lifetimes\n");
    clear_marks();
    write_element("in_hash", 1, 11);
    say("in_hash", "init", 1, CLOCK_MONOTONIC);
    say("in_hash", "start", 1, 0, 30);
    say("in_hash", "set", 1);
    say("in_hash", "start", 1, 0, 30);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, g_object) {
        if (std::strncmp(bpf_program__name(program), "in_hash", 7) == 0) {
            bpf_program__unload(program);
        }
    }
    wait_for(kFired, 1);
    std::printf("  without its program: fired %lld value %lld\n",
                static_cast<long long>(mark(kFired)), static_cast<long long>(mark(kValue)));
    clear_marks();
    write_element("in_array", 1, 12);
    say("in_array", "init", 1, CLOCK_MONOTONIC);
    say("in_array", "set", 1);
    say("in_array", "start", 1, 0, kLong);
    ::close(map_fd("in_array"));
    sleep_ms(3500);
    std::printf("  without a user of the map: fired %lld\n", static_cast<long long>(mark(kFired)));
    say("in_array", "cancel", 1);
    say("in_array", "init", 1, CLOCK_MONOTONIC);
    say("in_array", "init", 0, CLOCK_MONOTONIC);
}

}  // namespace

int main(int argc, char** argv) {
    g_object = argc == 2 ? bpf_object__open(argv[1]) : nullptr;
    if (g_object == nullptr) {
        std::printf("usage: timers_tool OBJECT\n");
        return 2;
    }
    if (const int code = bpf_object__load(g_object); code != 0) {
        std::printf("load: %d\n", code);
        return 1;
    }
    for (const char* map : {"in_array", "in_hash", "in_lru"}) {
        states(map);
        clocks(map);
        callbacks(map);
        ends(map);
    }
    evictions();
    deletes_itself();
    lifetimes();
    return 0;
}
