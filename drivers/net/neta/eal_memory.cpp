// SPDX-License-Identifier: BSD-3-Clause
//
// Walks the EAL's memory segments, neighbours merged, and maps each run. With hugepages the EAL
// grows and shrinks while it runs: a callback maps what comes and unmaps a run when all of it
// goes. Memory that the application registered itself (rte_extmem) is not mapped: nothing would
// tell us when it goes. Mbufs in memory that is not mapped are refused by the TX path.
//
// A device in another process needs the files under the memory: the EAL knows them, except for
// anonymous memory, which such a device then refuses.
//
// Locks: the EAL calls back with its memory lock held, and walks with it held; ours is taken
// inside both and nothing of the EAL is called under it.
#include "drivers/net/neta/eal_memory.h"

#include <cerrno>
#include <cstdint>
#include <mutex>
#include <vector>

#include <rte_errno.h>
#include <rte_memory.h>

#include "lib/base/log.h"
#include "lib/vfio/dma_space.h"

namespace crema::neta_pmd {
namespace {

constexpr char kCallbackName[] = "crema_net_neta";

struct Run {
    std::uintptr_t start;
    std::uintptr_t end;
};

struct Mapped {
    std::mutex users_lock;
    unsigned users = 0;
    std::mutex runs_lock;
    std::vector<Run> runs;
};

Mapped& mapped() {
    static Mapped state;
    return state;
}

/// The files under [start, start+bytes), neighbours in one file merged; empty when part of it has
/// none. Under the EAL's memory lock.
std::vector<vfio::DmaBacking> files_under(std::uintptr_t start, std::size_t bytes) {
    std::vector<vfio::DmaBacking> pieces;
    for (std::size_t at = 0; at < bytes;) {
        rte_memseg* const segment =
            rte_mem_virt2memseg(reinterpret_cast<const void*>(start + at), nullptr);
        std::size_t offset = 0;
        const int fd = segment == nullptr ? -1 : rte_memseg_get_fd_thread_unsafe(segment);
        if (fd < 0 || rte_memseg_get_fd_offset_thread_unsafe(segment, &offset) < 0) {
            return {};
        }
        if (!pieces.empty() && pieces.back().fd == fd &&
            pieces.back().offset + pieces.back().bytes == offset) {
            pieces.back().bytes += segment->len;
        } else {
            pieces.push_back({fd, offset, segment->len});
        }
        at += segment->len;
    }
    return pieces;
}

Status map_run(std::uintptr_t start, std::size_t bytes) {
    Mapped& state = mapped();
    const std::scoped_lock lock(state.runs_lock);
    for (const Run& run : state.runs) {
        if (start >= run.start && start + bytes <= run.end) {
            return {};
        }
    }
    auto iova = vfio::process_dma_space().map(reinterpret_cast<void*>(start), bytes,
                                              files_under(start, bytes));
    if (!iova) {
        return forward_error(iova);
    }
    state.runs.push_back({start, start + bytes});
    return {};
}

void unmap_runs_within(std::uintptr_t start, std::uintptr_t end) {
    Mapped& state = mapped();
    const std::scoped_lock lock(state.runs_lock);
    std::erase_if(state.runs, [&](const Run& run) {
        if (run.start < start || run.end > end) {
            return false;
        }
        auto gone = vfio::process_dma_space().unmap(reinterpret_cast<void*>(run.start));
        if (!gone) {
            log::error("net_neta: DPDK memory stays mapped: {}", gone.error().message);
        }
        return true;
    });
}

void on_memory_event(rte_mem_event event, const void* address, std::size_t bytes, void* /*arg*/) {
    const auto start = reinterpret_cast<std::uintptr_t>(address);
    if (event == RTE_MEM_EVENT_FREE) {
        unmap_runs_within(start, start + bytes);
    } else if (auto done = map_run(start, bytes); !done) {
        log::error("net_neta: new DPDK memory cannot be sent from: {}", done.error().message);
    }
}

struct Walk {
    Status status{};
};

int visit_run(const rte_memseg_list* list,
              const rte_memseg* segment,
              std::size_t bytes,
              void* arg) {
    auto& walk = *static_cast<Walk*>(arg);
    if (list->external != 0) {
        return 0;
    }
    walk.status = map_run(segment->addr_64, bytes);
    return walk.status ? 0 : -1;
}

}  // namespace

Status eal_memory_acquire() {
    Mapped& state = mapped();
    const std::scoped_lock lock(state.users_lock);
    if (state.users == 0) {
        // Refused where memory cannot grow (--no-huge, --legacy-mem): then there is nothing to
        // hear.
        rte_mem_event_callback_register(kCallbackName, on_memory_event, nullptr);
        Walk walk;
        if (rte_memseg_contig_walk(visit_run, &walk) < 0) {
            rte_mem_event_callback_unregister(kCallbackName, nullptr);
            unmap_runs_within(0, UINTPTR_MAX);
            return walk.status ? Status(fail(EIO, "net_neta: cannot walk DPDK memory"))
                               : Status(forward_error(walk.status));
        }
    }
    ++state.users;
    return {};
}

void eal_memory_release() {
    Mapped& state = mapped();
    const std::scoped_lock lock(state.users_lock);
    if (--state.users == 0) {
        rte_mem_event_callback_unregister(kCallbackName, nullptr);
        unmap_runs_within(0, UINTPTR_MAX);
    }
}

}  // namespace crema::neta_pmd
