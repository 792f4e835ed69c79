// SPDX-License-Identifier: BSD-3-Clause
//
// The programs of a port, one after the other: to list them, and to let some join and some leave in
// one step. rtnetlink and bpf(2) have no words for that; so it is PrivateCommand::port_programs,
// for `crema xdp attach`, `detach` and `status`.
#pragma once

#include <cstdint>

namespace crema::ebpf::supervise {

/// More than a port takes: longer lists are refused unread.
inline constexpr std::uint32_t kPortProgramsMax = 16;
inline constexpr std::size_t kProgramNameBytes = 128;

/// Bits of PortProgram::given; of what is not given the program's own object says it.
inline constexpr std::uint32_t kPriorityGiven = 1, kActionsGiven = 2;

struct PortProgram {
    std::int32_t fd = -1;  // of one that is to join
    std::uint32_t given = 0;
    std::uint32_t priority = 0;
    std::uint32_t actions = 0;
    std::uint32_t id = 0;  // here and below: of one that is listed
    std::uint8_t tag[8] = {};
    char name[kProgramNameBytes] = {};  // in full, ends with a zero
};

struct PortProgramsAttr {
    enum What : std::uint32_t { list, change };

    std::uint32_t what = list;
    std::uint32_t ifindex = 0;
    std::uint64_t programs = 0;  // address: those that join, or room for the list
    std::uint64_t leave = 0;     // address of numbers
    std::uint64_t words = 0;     // address of room for what is wrong, or 0
    std::uint32_t programs_n = 0;
    std::uint32_t leave_n = 0;
    std::uint32_t words_bytes = 0;
    std::uint32_t flags = 0;      // as ChainChange::flags
    std::uint32_t all_leave = 0;  // not 0: those that are there, whatever they are
    std::uint32_t zero = 0;
};

/// The number of programs that are listed, 0, or a negative errno with words: -E2BIG a list is too
/// long, -ENOSPC there is no room for it; else those of PortHooks::change_chain.
[[nodiscard]] long serve_port_programs(std::uint64_t attr, std::uint32_t size);

}  // namespace crema::ebpf::supervise
