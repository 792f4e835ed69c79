// SPDX-License-Identifier: BSD-3-Clause
//
// Entries for the maps of an object that nobody here knows: keys that packets may have in them
// (addresses, ports, protocols, small numbers), values of small and random words, interfaces where
// a map wants some, the object's own programs where it wants programs. The same entries for the
// same shapes and seed, so that two machines can be filled alike.
#pragma once

#include <cstdint>

#include "lib/base/result.h"
#include "tests/support/whole_object.h"

namespace crema::test {

/// How many entries were taken; a map may refuse some, and both machines must refuse the same ones.
struct Filled {
    std::size_t taken = 0;
    std::string refused;  // each one that was refused, as text to compare
};

/// Left as they are: global data, per-CPU maps, maps of maps, of sockets, rings, queues and
/// filters.
[[nodiscard]] Filled fill_maps(WholeObject& object,
                               const std::vector<MapShape>& shapes,
                               std::uint64_t seed);

}  // namespace crema::test
