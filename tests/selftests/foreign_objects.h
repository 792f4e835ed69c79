// SPDX-License-Identifier: BSD-3-Clause
//
// XDP objects that somebody else wrote, through kernel and Crema: verdict of the load of each
// program, then the same packets through both, with verdicts, bytes and maps compared. First with
// the maps as the object makes them, then with entries by dice (filled_maps.h), because most
// programs do little with empty ones.
//
// What the kernel's own second run does otherwise than its first (clocks, chance, addresses) cannot
// be compared and is counted apart.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace crema::test {

enum class Meeting : std::uint8_t {
    same,  // both load it, and they agree on every packet
    both_refuse,
    wrong_refusal,     // loads in the kernel alone
    wrong_acceptance,  // loads in Crema alone
    differ,            // both load it and do different things
    undetermined  // both load it, and the kernel gives other verdicts or bytes when asked again
};

/// "same", "both refuse", "refused here", "accepted here", "differs", "undetermined".
[[nodiscard]] const char* name_of(Meeting meeting);

struct Encounter {
    std::string program;  // empty: neither can load anything of the object
    std::string section;
    Meeting meeting = Meeting::same;
    bool older_form = false;  // libbpf does not open the object as it is
    int kernel_error = 0;     // 0: loads
    int crema_error = 0;
    std::string kernel_reason;
    std::string crema_reason;
    std::uint64_t kernel_insns = 0;  // walked by the verifier
    std::uint64_t crema_insns = 0;
    std::size_t packets = 0;                        // that both ran, alike
    std::map<std::uint32_t, std::size_t> verdicts;  // of these
    std::string difference;                         // the first one
    std::size_t undetermined_packets =
        0;  // that the kernel itself treats otherwise the second time
    std::size_t undetermined_entries = 0;  // the same of map entries, and those of full LRU maps
};

/// Every XDP program of the object. Needs prepare_kernel and prepare_crema. `random_packets` follow
/// the fixed ones, each with empty and with filled maps.
[[nodiscard]] std::vector<Encounter> meet(const std::string& path, std::size_t random_packets);

/// The same for two files, to show that a difference is seen.
[[nodiscard]] std::vector<Encounter> meet(const std::string& for_kernel,
                                          const std::string& for_crema,
                                          std::size_t random_packets);

/// Files with extension .o in a folder and all below it, sorted; a file is itself.
[[nodiscard]] std::vector<std::string> objects_in(const std::string& path);

}  // namespace crema::test
