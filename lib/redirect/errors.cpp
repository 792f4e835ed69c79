// SPDX-License-Identifier: BSD-3-Clause
#include "lib/redirect/errors.h"

#include <array>
#include <atomic>
#include <cerrno>

#include "lib/ebpf/maps/map.h"

namespace crema::redirect {
namespace {

struct alignas(64) Errors {
    std::atomic<std::uint64_t> no_target{0};
    std::atomic<std::uint64_t> no_port{0};
    std::atomic<std::uint64_t> down{0};
    std::atomic<std::uint64_t> too_long{0};
    std::atomic<std::uint64_t> no_headroom{0};
    std::atomic<std::uint64_t> no_memory{0};
    std::atomic<std::uint64_t> later{0};
};

struct alignas(64) Broadcasts {
    std::atomic<std::uint64_t> frames{0};
    std::atomic<std::uint64_t> to_nobody{0};
    std::atomic<std::uint64_t> copies{0};
    std::atomic<std::uint64_t> later{0};
};

constinit std::array<Errors, kVias> g_errors{};
constinit Broadcasts g_broadcasts{};

Errors& errors_of(Via via) {
    return g_errors[static_cast<std::size_t>(via)];
}

std::atomic<std::uint64_t>& counter_of(Errors& errors, int error) {
    switch (-error) {
        case EBADRQC:
            return errors.no_target;
        case EINVAL:
            return errors.no_port;
        case ENETDOWN:
            return errors.down;
        case EMSGSIZE:
            return errors.too_long;
        case EOVERFLOW:
            return errors.no_headroom;
        default:
            return errors.no_memory;
    }
}

}  // namespace

void count_error(Via via, int error) {
    counter_of(errors_of(via), error).fetch_add(1, std::memory_order_relaxed);
}

void count_refused_later(Via via, std::uint32_t n) {
    if (n != 0) {
        errors_of(via).later.fetch_add(n, std::memory_order_relaxed);
    }
}

void count_broadcast(bool to_nobody) {
    (to_nobody ? g_broadcasts.to_nobody : g_broadcasts.frames)
        .fetch_add(1, std::memory_order_relaxed);
}

void count_broadcast_copy() {
    g_broadcasts.copies.fetch_add(1, std::memory_order_relaxed);
}

void count_broadcast_refused_later(std::uint32_t n) {
    if (n != 0) {
        g_broadcasts.later.fetch_add(n, std::memory_order_relaxed);
    }
}

BroadcastCounters broadcast_counters() {
    const std::uint64_t to_nobody = g_broadcasts.to_nobody.load(std::memory_order_relaxed);
    return {
        .frames = g_broadcasts.frames.load(std::memory_order_relaxed) + to_nobody,
        .to_nobody = to_nobody,
        .copies = g_broadcasts.copies.load(std::memory_order_relaxed),
        .later = g_broadcasts.later.load(std::memory_order_relaxed),
    };
}

Via via_of(const ebpf::RedirectTarget& target) {
    using Kind = ebpf::RedirectTarget::Kind;
    if (target.kind == Kind::none) {
        return Via::nothing;
    }
    if (target.kind == Kind::ifindex) {
        return Via::ifindex;
    }
    switch (target.map->spec().type) {
        case ebpf::maps::MapType::devmap:
            return Via::devmap;
        case ebpf::maps::MapType::devmap_hash:
            return Via::devmap_hash;
        default:
            return Via::cpumap;
    }
}

RedirectErrors redirect_errors(Via via) {
    const Errors& own = errors_of(via);
    return {
        .no_target = own.no_target.load(std::memory_order_relaxed),
        .no_port = own.no_port.load(std::memory_order_relaxed),
        .down = own.down.load(std::memory_order_relaxed),
        .too_long = own.too_long.load(std::memory_order_relaxed),
        .no_headroom = own.no_headroom.load(std::memory_order_relaxed),
        .no_memory = own.no_memory.load(std::memory_order_relaxed),
        .later = own.later.load(std::memory_order_relaxed),
    };
}

}  // namespace crema::redirect
