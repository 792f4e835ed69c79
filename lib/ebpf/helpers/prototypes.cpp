// SPDX-License-Identifier: BSD-3-Clause
//
// Joins the families of prototypes into one table by id.
#include "lib/ebpf/helpers/prototypes.h"

#include <array>
#include <span>

#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/helpers/prototypes/families.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::size_t kIds = 212;

using Table = std::array<const Prototype*, kIds>;

Table join() {
    Table table{};
    for (const std::span<const Prototype> family :
         {prototypes::packet(), prototypes::map(), prototypes::ringbuf(), prototypes::dynptr(),
          prototypes::control(), prototypes::environment(), prototypes::text(), prototypes::probe(),
          prototypes::socket(), prototypes::task()}) {
        for (const Prototype& prototype : family) {
            table.at(prototype.id) = &prototype;
        }
    }
    return table;
}

}  // namespace

const Prototype* find(std::uint32_t id) {
    static const Table table = join();
    return id < table.size() ? table[id] : nullptr;
}

const char* name_of(KernelObject object) {
    constexpr std::array kNames = {
        "",          "task_struct",       "cgroup",           "pt_regs",   "tcp6_sock",
        "tcp_sock",  "tcp_timewait_sock", "tcp_request_sock", "udp6_sock", "unix_sock",
        "mptcp_sock"};
    return kNames.at(static_cast<std::size_t>(object));
}

Native native_for(std::uint32_t id, maps::MapType type) {
    if (const Native native = map_native(id, type); native != nullptr) {
        return native;
    }
    const Prototype* prototype = find(id);
    return prototype != nullptr ? prototype->native : nullptr;
}

}  // namespace crema::ebpf::helpers
