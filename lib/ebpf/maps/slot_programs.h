// SPDX-License-Identifier: BSD-3-Clause
//
// The programs in the slots of one devmap or cpumap. A program there may use the very map that
// holds it: who looks for such circles has to know how many of a program's references are slots.
// So a slot counts as one, however many copies of its pointer the data path keeps.
// Threads: control threads.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace crema::ebpf {
struct LoadedProgram;
}

namespace crema::ebpf::maps {

class SlotPrograms {
  public:
    SlotPrograms();

    /// `program` for one slot: one reference to it, given up with the last copy of what is
    /// returned. Throws bad_alloc.
    [[nodiscard]] std::shared_ptr<const LoadedProgram> share(
        std::shared_ptr<const LoadedProgram> program) const;

    /// One entry for each share that is still there; also of slots that were given up while a run
    /// may see them.
    [[nodiscard]] std::vector<const LoadedProgram*> all() const;

    /// Shares of all maps.
    [[nodiscard]] static std::size_t count_of_all();

  private:
    struct Registry;
    class Share;

    std::shared_ptr<Registry> registry_;  // a share may outlive the map
};

}  // namespace crema::ebpf::maps
