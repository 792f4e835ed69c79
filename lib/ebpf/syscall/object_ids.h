// SPDX-License-Identifier: BSD-3-Clause
//
// Numbers of objects: what *_GET_NEXT_ID walks and *_GET_FD_BY_ID opens. An object is listed as
// long as anything holds it, a descriptor or not: a map that a program uses, a program in a slot.
// Threads: any.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "lib/ebpf/syscall/object_store.h"

namespace crema::ebpf::syscall::object_ids {

enum class Kind : std::uint8_t { program, map, btf, link };

/// A new object; probes and what has no number are passed over.
void note(const StoredObject& object);

/// Forgets the numbers of objects that are gone; what is left over otherwise is found bit by bit.
void collect();

/// The smallest number above `after`, or 0.
[[nodiscard]] std::uint32_t next(Kind kind, std::uint32_t after);

/// What a descriptor of that object holds; nothing: no such object.
[[nodiscard]] std::optional<StoredObject> find(Kind kind, std::uint32_t id);

/// Programs and maps that are still there, as of now.
struct Living {
    std::vector<std::shared_ptr<const LoadedProgram>> programs;
    std::vector<std::shared_ptr<maps::Map>> maps;
};

[[nodiscard]] Living living();

}  // namespace crema::ebpf::syscall::object_ids
