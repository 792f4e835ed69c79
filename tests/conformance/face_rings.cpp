// SPDX-License-Identifier: BSD-3-Clause
#include "tests/conformance/face_rings.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>

namespace crema::test {

std::string hex(const std::uint8_t* bytes, std::size_t count) {
    std::string text;
    char digits[3];
    for (std::size_t i = 0; i < count; ++i) {
        (void)std::snprintf(digits, sizeof digits, "%02x", bytes[i]);
        text += digits;
    }
    return text;
}

namespace {

int print_record(void* /*state*/, void* data, std::size_t bytes) {
    std::printf("  record %s\n", hex(static_cast<const std::uint8_t*>(data), bytes).c_str());
    return 0;
}

/// What a consumer sees that sleeps until there is something, of `object`'s programs run once more
/// each time it has seen all.
void consume(const bpf_map* map, const RunAll& run_all) {
    ring_buffer* ring = ring_buffer__new(bpf_map__fd(map), print_record, nullptr, nullptr);
    if (ring == nullptr) {
        std::printf("  no consumer: errno %d\n", errno);
        return;
    }
    constexpr int kWaitMs = 2000;
    for (int round = 0; round < 3; ++round) {
        std::printf("  consumed %d\n", ring_buffer__poll(ring, kWaitMs));
        std::printf("  then %d\n", ring_buffer__poll(ring, 0));
        run_all();
    }
    ring_buffer__free(ring);
}

/// The pages of a user ring buffer as its producer maps them, for what libbpf would not write.
struct RawRing {
    std::uint64_t* consumer;
    std::uint64_t* producer;
    std::uint8_t* data;
    std::uint64_t size;

    explicit RawRing(const bpf_map* map) : size(bpf_map__max_entries(map)) {
        const int fd = bpf_map__fd(map);
        const auto page = static_cast<std::size_t>(getpagesize());
        consumer = static_cast<std::uint64_t*>(::mmap(nullptr, page, PROT_READ, MAP_SHARED, fd, 0));
        auto* const rest =
            static_cast<std::uint8_t*>(::mmap(nullptr, page + 2 * size, PROT_READ | PROT_WRITE,
                                              MAP_SHARED, fd, static_cast<off_t>(page)));
        producer = reinterpret_cast<std::uint64_t*>(rest);
        data = rest + page;
        void* const writable = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        std::printf("  consumer's page for writing: %d\n", writable == MAP_FAILED ? errno : 0);
    }

    /// A header where the consumer looks next.
    void put(std::uint32_t length) const {
        std::memcpy(data + (*consumer & (size - 1)), &length, sizeof length);
    }
};

void produce(user_ring_buffer* ring, std::uint32_t bytes, std::uint8_t first, bool discard) {
    auto* const sample = static_cast<std::uint8_t*>(user_ring_buffer__reserve(ring, bytes));
    if (sample == nullptr) {
        std::printf("  reserve %u: errno %d\n", bytes, errno);
        return;
    }
    for (std::uint32_t i = 0; i < bytes; ++i) {
        sample[i] = static_cast<std::uint8_t>(first + i * 3);
    }
    if (discard) {
        user_ring_buffer__discard(ring, sample);
    } else {
        user_ring_buffer__submit(ring, sample);
    }
}

/// A producer that does as it should, then one that does not.
void feed(const bpf_map* map, const RunAll& run_all) {
    user_ring_buffer* ring = user_ring_buffer__new(bpf_map__fd(map), nullptr);
    if (ring == nullptr) {
        std::printf("  no producer: errno %d\n", errno);
        return;
    }
    for (const std::uint32_t bytes : {8U, 12U, 0U, 3U, 100U, 1000U, 4088U, 4089U, 5000U}) {
        produce(ring, bytes, static_cast<std::uint8_t>(bytes), bytes == 12);
        run_all();
    }
    for (int i = 0; i < 200; ++i) {
        produce(ring, 24, static_cast<std::uint8_t>(i), i % 5 == 0);
    }
    for (int i = 0; i < 4; ++i) {
        run_all();
    }
    constexpr int kWaitMs = 2000;
    for (int i = 0; i < 10; ++i) {
        void* const sample = user_ring_buffer__reserve_blocking(ring, 1000, kWaitMs);
        std::printf("  blocking %d\n", sample != nullptr ? 0 : errno);
        if (sample == nullptr) {
            break;
        }
        std::memset(sample, 1, 1000);
        user_ring_buffer__submit(ring, sample);
        if (i % 3 == 2) {
            run_all();
        }
    }
    run_all();
    void* const busy = user_ring_buffer__reserve(ring, 8);
    run_all();
    if (busy != nullptr) {
        std::memset(busy, 4, 8);
        user_ring_buffer__submit(ring, busy);
    }
    run_all();
    const RawRing raw(map);
    const std::uint64_t start = *raw.producer;
    std::printf("  positions %d\n", *raw.consumer == start);
    constexpr std::uint32_t kBusy = 1U << 31U, kDiscarded = 1U << 30U;

    struct Lie {
        std::uint64_t produced;
        std::uint32_t length;
    };

    for (const Lie lie : {Lie{12, 4}, Lie{8, 8}, Lie{16, 9}, Lie{16, 0x3fffffff}, Lie{8192, 8000},
                          Lie{1 << 28, 1 << 24}, Lie{16, 8 | kBusy}, Lie{16, kBusy | kDiscarded},
                          Lie{~7ULL, 8}, Lie{0, 8}}) {
        raw.put(lie.length);
        *raw.producer = *raw.consumer + lie.produced;
        run_all();
        std::printf("  lie %llu %#x: consumed %llu\n",
                    static_cast<unsigned long long>(lie.produced), lie.length,
                    static_cast<unsigned long long>(*raw.consumer - start));
        *raw.producer = *raw.consumer;
    }
    user_ring_buffer__free(ring);
}

/// A record as it lies in the ring, but for the number of the event, which nobody promises.
bpf_perf_event_ret print_event(void* /*state*/, int /*cpu*/, perf_event_header* header) {
    const auto* const body = reinterpret_cast<const std::uint8_t*>(header + 1);
    const std::size_t skipped = header->type == PERF_RECORD_LOST ? sizeof(std::uint64_t) : 0;
    std::printf("  event %u %u %u %s\n", header->type, header->misc, header->size,
                hex(body + skipped, header->size - sizeof *header - skipped).c_str());
    return LIBBPF_PERF_EVENT_CONT;
}

/// A reader that asks to be woken after `wakeup` samples, one page for the records of each CPU, and
/// programs that write more than fit.
void consume_events(const bpf_map* map, const RunAll& run_all, std::uint32_t wakeup) {
    perf_event_attr attr{};
    attr.size = sizeof attr;
    attr.type = PERF_TYPE_SOFTWARE;
    attr.config = PERF_COUNT_SW_BPF_OUTPUT;
    attr.sample_type = PERF_SAMPLE_RAW;
    attr.sample_period = 1;
    attr.wakeup_events = wakeup;
    perf_buffer* buffer =
        perf_buffer__new_raw(bpf_map__fd(map), 1, &attr, print_event, nullptr, nullptr);
    if (buffer == nullptr) {
        std::printf("  no reader: errno %d\n", errno);
        return;
    }
    constexpr int kWaitMs = 100;
    for (const int times : {1, 2, 60, 1, 1}) {
        std::printf("  %d times\n", times);
        for (int i = 0; i < times; ++i) {
            run_all();
        }
        std::printf("  read %d\n", perf_buffer__poll(buffer, kWaitMs));
        std::printf("  then %d\n", perf_buffer__poll(buffer, 0));
    }
    run_all();
    std::printf("  consume %d\n", perf_buffer__consume(buffer));
    perf_buffer__free(buffer);
    run_all();
}

int open_event(const perf_event_attr& attr, int cpu, int pid = -1, unsigned long flags = 0) {
    return static_cast<int>(::syscall(SYS_perf_event_open, &attr, pid, cpu, -1, flags));
}

void say(const char* what, long result) {
    std::printf("  %s: %d\n", what, result < 0 ? errno : 0);
}

void poll_once(int fd, const char* what) {
    pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&wait, 1, 0);
    std::printf("  poll %s: %d %#x\n", what, ready, static_cast<unsigned>(wait.revents));
}

void* map_event(const char* what, int fd, std::size_t pages, int rights, int flags, long offset) {
    const auto page = static_cast<std::size_t>(getpagesize());
    void* const at = ::mmap(nullptr, pages * page, rights, flags, fd, offset);
    say(what, at == MAP_FAILED ? -1 : 0);
    return at;
}

/// The system calls that a reader makes, and those that are refused.
void event_calls(const bpf_map* map, const RunAll& run_all) {
    constexpr int kBoth = PROT_READ | PROT_WRITE;
    perf_event_attr attr{};
    attr.size = sizeof attr;
    attr.type = PERF_TYPE_SOFTWARE;
    attr.config = PERF_COUNT_SW_BPF_OUTPUT;
    attr.sample_type = PERF_SAMPLE_RAW;
    attr.sample_period = 1;
    attr.wakeup_events = 1;
    attr.disabled = 1;
    say("no CPU", open_event(attr, -1));
    say("CPU 100000", open_event(attr, 100000));
    say("process -2", open_event(attr, 0, -2));
    say("unknown flag", open_event(attr, 0, -1, 64));
    perf_event_attr odd = attr;
    odd.sample_type = 1ULL << 40U;
    say("unknown sample", open_event(odd, 0));
    odd = attr;
    odd.size = 8;
    say("short attributes", open_event(odd, 0));
    const int fd = open_event(attr, ::sched_getcpu(), -1, PERF_FLAG_FD_CLOEXEC);
    say("open", fd);
    std::printf("  flags %d\n", ::fcntl(fd, F_GETFD));
    char link[64] = {};
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    (void)!::readlink(path.c_str(), link, sizeof link - 1);
    std::printf("  link %s\n", link);
    const std::uint32_t key = static_cast<std::uint32_t>(::sched_getcpu());
    const std::uint32_t other = key + 1;
    say("into the map", bpf_map_update_elem(bpf_map__fd(map), &key, &fd, BPF_ANY));
    say("once more", bpf_map_update_elem(bpf_map__fd(map), &key, &fd, BPF_NOEXIST));
    run_all();
    say("pause without ring", ::ioctl(fd, PERF_EVENT_IOC_PAUSE_OUTPUT, 1));
    map_event("private", fd, 3, kBoth, MAP_PRIVATE, 0);
    map_event("three pages", fd, 4, kBoth, MAP_SHARED, 0);
    map_event("offset", fd, 3, kBoth, MAP_SHARED, getpagesize());
    void* const ring = map_event("ring", fd, 3, kBoth, MAP_SHARED, 0);
    map_event("another size", fd, 2, kBoth, MAP_SHARED, 0);
    map_event("again", fd, 3, PROT_READ, MAP_SHARED, 0);
    if (ring == MAP_FAILED) {
        return;
    }
    const auto& head = *static_cast<perf_event_mmap_page*>(ring);
    std::printf("  page %u %u %llu %llu %d\n", head.version, head.compat_version,
                static_cast<unsigned long long>(head.data_offset),
                static_cast<unsigned long long>(head.data_size),
                static_cast<int>(head.cap_bit0_is_deprecated));
    run_all();
    poll_once(fd, "disabled");
    say("enable", ::ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
    run_all();
    poll_once(fd, "ready");
    poll_once(fd, "once more");
    std::printf("  head %llu\n", static_cast<unsigned long long>(head.data_head));
    say("pause", ::ioctl(fd, PERF_EVENT_IOC_PAUSE_OUTPUT, 1));
    run_all();
    say("go on", ::ioctl(fd, PERF_EVENT_IOC_PAUSE_OUTPUT, 0));
    run_all();
    std::printf("  head %llu\n", static_cast<unsigned long long>(head.data_head));
    std::uint64_t id = 0;
    say("id", ::ioctl(fd, PERF_EVENT_IOC_ID, &id));
    say("id nowhere", ::ioctl(fd, PERF_EVENT_IOC_ID, nullptr));
    say("reset", ::ioctl(fd, PERF_EVENT_IOC_RESET, 0));
    say("unknown", ::ioctl(fd, _IO('$', 99), 0));
    say("filter", ::ioctl(fd, PERF_EVENT_IOC_SET_FILTER, "x"));
    say("disable", ::ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
    run_all();
    say("delete", bpf_map_delete_elem(bpf_map__fd(map), &key));
    say("delete again", bpf_map_delete_elem(bpf_map__fd(map), &key));
    odd = attr;
    odd.inherit = 1;
    const int inherited = open_event(odd, 0);
    say("inherited", inherited);
    say("into the map", bpf_map_update_elem(bpf_map__fd(map), &other, &inherited, BPF_ANY));
    // An entry goes with the descriptor of the map that it was made by.
    const int again = bpf_map_get_fd_by_id([map] {
        bpf_map_info info{};
        std::uint32_t length = sizeof info;
        (void)bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &length);
        return info.id;
    }());
    say("by another descriptor", bpf_map_update_elem(again, &key, &fd, BPF_ANY));
    ::close(again);
    ::usleep(2'500'000);
    say("closed, delete", bpf_map_delete_elem(bpf_map__fd(map), &key));
    ::munmap(ring, 3 * static_cast<std::size_t>(getpagesize()));
    ::close(fd);
    ::close(inherited);
}

}  // namespace

void show_rings(const bpf_map* map, const RunAll& run_all) {
    switch (bpf_map__type(map)) {
        case BPF_MAP_TYPE_RINGBUF:
            consume(map, run_all);
            return;
        case BPF_MAP_TYPE_USER_RINGBUF:
            feed(map, run_all);
            return;
        case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
            for (const std::uint32_t wakeup : {1U, 5U, 0U}) {
                consume_events(map, run_all, wakeup);
            }
            event_calls(map, run_all);
            return;
        default:
            return;
    }
}

}  // namespace crema::test
