// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/circles.h"

#include <memory>
#include <mutex>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/maps/slot_programs.h"
#include "lib/ebpf/syscall/element_lock.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/ebpf/syscall/object_ids.h"

namespace crema::ebpf::syscall::circles {
namespace {

/// A program or a map, and what it keeps.
struct Node {
    long unexplained = 0;  // references that no other node accounts for
    bool kept = false;     // from outside
    std::vector<const void*> keeps;
};

class Graph {
  public:
    explicit Graph(const object_ids::Living& living) {
        // One reference of each is `living` itself.
        for (const auto& program : living.programs) {
            nodes_[program.get()].unexplained = program.use_count() - 1;
        }
        for (const auto& map : living.maps) {
            nodes_[map.get()].unexplained = map.use_count() - 1;
        }
        for (const auto& program : living.programs) {
            keep_all(program.get(), program->program.maps);
            keep_all(program.get(), program->bound_maps.all());
        }
        for (const auto& map : living.maps) {
            const maps::Map::Holdings held = map->holdings();
            keep_all(map.get(), held.programs);
            keep_all(map.get(), held.maps);
        }
        mark();
    }

    [[nodiscard]] bool is_kept(const maps::Map* map) const { return nodes_.at(map).kept; }

  private:
    template <typename Pointers>
    void keep_all(const void* keeper, const Pointers& kept) {
        for (const auto& pointer : kept) {
            const void* const one = std::to_address(pointer);
            const auto node = nodes_.find(one);
            if (node != nodes_.end()) {
                --node->second.unexplained;
                nodes_.at(keeper).keeps.push_back(one);
            }
        }
    }

    void mark() {
        std::vector<Node*> open;
        for (auto& [object, node] : nodes_) {
            if (node.unexplained != 0) {
                node.kept = true;
                open.push_back(&node);
            }
        }
        while (!open.empty()) {
            const Node& node = *open.back();
            open.pop_back();
            for (const void* object : node.keeps) {
                Node& next = nodes_.at(object);
                if (!next.kept) {
                    next.kept = true;
                    open.push_back(&next);
                }
            }
        }
    }

    std::unordered_map<const void*, Node> nodes_;
};

void look() {
    object_ids::Living living;  // before the lock: what ends here ends when it is released
    const std::lock_guard lock(element_mutex());
    living = object_ids::living();
    const Graph graph(living);
    for (const auto& map : living.maps) {
        if (!graph.is_kept(map.get())) {
            map->abandon();
        }
    }
}

}  // namespace

void collect() noexcept {
    if (maps::SlotPrograms::count_of_all() == 0) {
        return;
    }
    try {
        look();
    } catch (const std::bad_alloc&) {
        return;
    }
}

}  // namespace crema::ebpf::syscall::circles
