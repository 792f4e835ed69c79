// SPDX-License-Identifier: BSD-3-Clause
//
// Checks come in the kernel's order, as far as it can be seen. struct perf_event_attr grows: what
// its caller knows beyond what this is built with must be zero.
#include "lib/ebpf/syscall/perf_events.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <unistd.h>

#include <linux/perf_event.h>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/perf_event.h"
#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {
namespace {

constexpr std::uint64_t kFlagsKnown =
    PERF_FLAG_FD_NO_GROUP | PERF_FLAG_FD_OUTPUT | PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC;
constexpr std::uint64_t kSampleTypesKnown = (std::uint64_t{1} << 25U) - 1;  // of 6.18
constexpr std::uint64_t kReadFormatsKnown = (std::uint64_t{1} << 5U) - 1;

/// Copies the caller's attributes by the kernel's size rules. False: the kernel refuses them.
bool read_attr(std::uint64_t from, perf_event_attr& attr) {
    std::uint32_t size = 0;
    if (copy_in(&size, from + offsetof(perf_event_attr, size), sizeof size) != 0) {
        return false;
    }
    if (size == 0) {
        size = PERF_ATTR_SIZE_VER0;
    }
    const std::size_t known = std::min<std::size_t>(size, sizeof attr);
    return size >= PERF_ATTR_SIZE_VER0 && size <= static_cast<std::uint32_t>(getpagesize()) &&
           copy_in(&attr, from, known) == 0 && check_zero(from + known, size - known) == 0;
}

bool cpu_may_have_events(std::int32_t cpu) {
    return cpu >= 0 && maps::cpu_is_possible(static_cast<std::uint32_t>(cpu));
}

bool is_clock(std::int32_t clock) {
    return clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_REALTIME ||
           clock == CLOCK_BOOTTIME || clock == CLOCK_TAI;
}

/// What the kernel refuses.
bool is_valid(const perf_event_attr& attr) {
    constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63U;
    return attr.__reserved_1 == 0 && attr.__reserved_2 == 0 && attr.__reserved_3 == 0 &&
           (attr.sample_type & ~kSampleTypesKnown) == 0 &&
           (attr.read_format & ~kReadFormatsKnown) == 0 &&
           (attr.freq != 0 || (attr.sample_period & kSignBit) == 0) &&
           (attr.use_clockid == 0 || is_clock(attr.clockid));
}

/// What is asked for beyond writing and reading records; null: nothing.
const char* unserved(const perf_event_attr& attr, std::int32_t pid, std::int32_t group) {
    if (pid != -1) {
        return "events of a process";
    }
    if (group != -1) {
        return "groups of events";
    }
    if ((attr.sample_type & ~maps::kSampleServed) != 0) {
        return "records with more than ids, time, CPU, period and data";
    }
    if (attr.write_backward != 0 || attr.aux_output != 0 || attr.sigtrap != 0) {
        return "events that write backward, to another buffer, or signals";
    }
    return nullptr;
}

maps::PerfEventSpec spec_of(const perf_event_attr& attr, std::int32_t cpu) {
    maps::PerfEventSpec spec{.cpu = static_cast<std::uint32_t>(cpu),
                             .sample_type = attr.sample_type,
                             .sample_period = attr.sample_period,
                             .wakes_by_bytes = attr.watermark != 0};
    // One field for both.
    spec.wakeup_samples = spec.wakes_by_bytes ? 0 : attr.wakeup_events;
    spec.wakeup_bytes = spec.wakes_by_bytes ? attr.wakeup_watermark : 0;
    spec.is_disabled = attr.disabled != 0;
    spec.ids_everywhere = attr.sample_id_all != 0;
    spec.is_inherited = attr.inherit != 0;
    spec.clock = attr.use_clockid != 0 ? attr.clockid : CLOCK_MONOTONIC;
    return spec;
}

std::shared_ptr<maps::PerfEvent> event_of(int fd) {
    int error = 0;
    const auto object = object_store::find_as<EventObject>(fd, &error);
    return object != nullptr ? object->event : nullptr;
}

}  // namespace

std::optional<long> perf_event_open(std::uint64_t from,
                                    std::int32_t pid,
                                    std::int32_t cpu,
                                    std::int32_t group,
                                    std::uint64_t flags) {
    perf_event_attr attr{};
    if (!read_attr(from, attr) || attr.type != PERF_TYPE_SOFTWARE ||
        attr.config != PERF_COUNT_SW_BPF_OUTPUT) {
        return std::nullopt;  // the kernel has the same to say about errors
    }
    if ((flags & ~kFlagsKnown) != 0 || !is_valid(attr)) {
        return -EINVAL;
    }
    if (pid < -1) {
        return -ESRCH;
    }
    if (pid == -1 && !cpu_may_have_events(cpu)) {
        return -EINVAL;
    }
    const bool in_group = group != -1;
    if ((flags & PERF_FLAG_PID_CGROUP) != 0) {
        return refuse(EOPNOTSUPP, "perf events of a cgroup are not served");
    }
    if (in_group && event_of(group) == nullptr) {
        return -EBADF;
    }
    if (const char* const what = unserved(attr, pid, group); what != nullptr) {
        return refuse(EOPNOTSUPP, "perf event for programs to write to: {} are not served", what);
    }
    auto event = maps::PerfEvent::open(spec_of(attr, cpu));
    return event ? publish(EventObject{.event = std::move(*event)}) : refuse(event.error());
}

long perf_event_map(int fd, std::uint64_t bytes, bool is_writable) {
    const auto event = event_of(fd);
    return event != nullptr ? event->make_ring(bytes, is_writable) : -EBADF;
}

long perf_event_control(int fd, std::uint32_t request, std::uint64_t argument) {
    const auto event = event_of(fd);
    if (event == nullptr) {
        return -EBADF;
    }
    switch (request) {
        case PERF_EVENT_IOC_ENABLE:
            event->enable();
            return 0;
        case PERF_EVENT_IOC_DISABLE:
            event->disable();
            return 0;
        case PERF_EVENT_IOC_RESET:  // the count, which is 0
            return 0;
        case PERF_EVENT_IOC_ID: {
            const std::uint64_t id = event->id();
            return copy_out(argument, &id, sizeof id);
        }
        case PERF_EVENT_IOC_PAUSE_OUTPUT:
            return event->pause(argument != 0);
        case PERF_EVENT_IOC_REFRESH:
        case PERF_EVENT_IOC_PERIOD:
            return refuse(EOPNOTSUPP, "ioctl {:#x} of a perf event for programs is not served",
                          request);
        case PERF_EVENT_IOC_SET_OUTPUT:
            if (argument == ~std::uint64_t{0}) {
                return 0;
            }
            return event_of(static_cast<int>(argument)) == nullptr
                       ? -EBADF
                       : refuse(EOPNOTSUPP, "perf events that share a ring are not served");
        case PERF_EVENT_IOC_SET_FILTER:
        case PERF_EVENT_IOC_SET_BPF:
            return -EINVAL;
        default:
            return -ENOTTY;
    }
}

}  // namespace crema::ebpf::syscall
