// SPDX-License-Identifier: BSD-3-Clause
//
// Map entries as users write and read them: MAP:KEY=VALUE in, lines or key and value out. What a
// devmap's value names (a port of a running data path, or the number of an interface) is the
// caller's business. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/loader/object.h"
#include "lib/ebpf/maps/map.h"

namespace crema::app {

/// MAP:KEY=VALUE, VALUE as the map's type wants it:
///   devmap, devmap_hash   PORT[@PROGRAM]     what the caller calls a port; program of section
///   xdp/devmap cpumap                QSIZE[@PROGRAM]    frames; program of section xdp/cpumap
///   prog_array            PROGRAM            of the same object
///   others                N                  integer, decimal or 0x; up to 8 bytes
///                         hex:BYTES          every byte, as they lie in memory
/// Per-CPU maps get the value on every CPU. KEY is a number or hex:BYTES.
struct MapSetting {
    std::string map;
    std::string key;
    std::string value;

    [[nodiscard]] static Result<MapSetting> parse(std::string_view text);

    /// As it was written.
    [[nodiscard]] std::string text() const;
};

/// A key or value of `bytes` bytes: hex:BYTES, or an integer in host order, zero-extended.
[[nodiscard]] Result<std::vector<std::uint8_t>> bytes_of(std::string_view text,
                                                         std::uint32_t bytes);

/// Decimal or 0x; none when it is no number.
[[nodiscard]] std::optional<std::uint64_t> integer_of(std::string_view text);

/// The ifindex behind PORT of a devmap's value.
using IfindexOf = std::function<Result<std::uint32_t>(std::string_view)>;

/// object: where programs named in the value are looked up.
[[nodiscard]] Status set_entry(ebpf::maps::Map& map,
                               const MapSetting& setting,
                               const ebpf::loader::Object& object,
                               const IfindexOf& ifindex_of);

struct MapEntry {
    std::vector<std::uint8_t> key;
    std::vector<std::vector<std::uint8_t>> values;  // one, or one per possible CPU
};

/// All entries of a map that can be walked; empty slots are left out.
[[nodiscard]] std::vector<MapEntry> entries_of(ebpf::maps::Map& map);

/// One line per entry, "  KEY: VALUE...".
[[nodiscard]] std::string contents(ebpf::maps::Map& map);

}  // namespace crema::app
