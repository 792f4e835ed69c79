// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/maps/perf_reader.h"

#include <cerrno>
#include <poll.h>
#include <unistd.h>
#include <utility>

#include "lib/ebpf/maps/perf_event_array.h"

namespace crema::ebpf::maps {

Result<PerfReader> PerfReader::open(std::shared_ptr<Map> map, Options options) {
    if (map->spec().type != MapType::perf_event_array) {
        return fail(EINVAL, "map {}: is no perf event array", map->spec().name);
    }
    auto& array = static_cast<PerfEventArray&>(*map);
    map->add_user();
    PerfReader reader(std::move(map));
    const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    for (const std::uint32_t cpu : possible_cpu_ids()) {
        if (cpu >= array.spec().max_entries) {
            break;
        }
        auto event = PerfEvent::open({.cpu = cpu, .wakeup_samples = options.wakeup_samples});
        if (!event) {
            return forward_error(event);
        }
        const std::uint64_t pages = std::uint64_t{options.pages} + 1;
        int error = options.pages == 0 ? -EINVAL : (*event)->make_ring(pages * page, true);
        error = error == 0 && (*event)->wakeups().fd() < 0 ? -EMFILE : error;
        error = error == 0 ? array.put(cpu, *event, reader.user_.get()) : error;
        if (error != 0) {
            return fail(-error, "map {}: no ring of {} pages for CPU {}", array.spec().name,
                        options.pages, cpu);
        }
        reader.events_.push_back(std::move(*event));
    }
    return reader;
}

PerfReader::~PerfReader() {
    if (map_ != nullptr) {
        static_cast<PerfEventArray&>(*map_).remove_all_of(user_.get());
        map_->drop_user();
    }
}

std::uint32_t PerfReader::consume(const Visitor& visitor) {
    std::uint32_t records = 0;
    for (const auto& event : events_) {
        const std::uint32_t cpu = event->spec().cpu;
        records += event->consume(
            [&](std::span<const std::uint8_t> sample) { visitor.sample(cpu, sample); },
            [&](std::uint64_t samples) {
                if (visitor.lost) {
                    visitor.lost(cpu, samples);
                }
            });
    }
    return records;
}

std::uint32_t PerfReader::poll(int timeout_ms, const Visitor& visitor) {
    std::vector<pollfd> waits;
    waits.reserve(events_.size());
    for (const auto& event : events_) {
        waits.push_back({.fd = event->wakeups().fd(), .events = POLLIN, .revents = 0});
    }
    for (int i = 0; i < 2; ++i) {
        // What is written from here on makes them readable again.
        for (const pollfd& wait : waits) {
            std::uint64_t wakeups = 0;
            (void)!::read(wait.fd, &wakeups, sizeof wakeups);
        }
        const std::uint32_t records = consume(visitor);
        if (records != 0 || i != 0 || ::poll(waits.data(), waits.size(), timeout_ms) <= 0) {
            return records;
        }
    }
    return 0;
}

}  // namespace crema::ebpf::maps
