// SPDX-License-Identifier: BSD-3-Clause
//
// XDP objects that somebody else wrote, one program at a time through kernel and Crema: verdict of
// the load, then the same packets through both, with verdicts, bytes and maps compared.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace crema::test {

struct ForeignProgram {
    std::string path;
    std::string object;  // file name without folders and extensions
    std::string name;
};

/// For GoogleTest's messages.
std::ostream& operator<<(std::ostream& out, const ForeignProgram& program);

/// The XDP programs of an object, or of all objects (.o) in a folder, by path and order in the
/// object. Objects that libbpf cannot open are left out and named in *unreadable.
[[nodiscard]] std::vector<ForeignProgram> xdp_programs_in(const std::string& path,
                                                          std::vector<std::string>* unreadable);

enum class Meeting : std::uint8_t {
    same,              // both load it, and they agree on every packet; or both refuse it
    wrong_refusal,     // loads in the kernel alone
    wrong_acceptance,  // loads in Crema alone
    differ             // both load it and do different things
};

struct Encounter {
    ForeignProgram program;
    Meeting meeting = Meeting::same;
    int kernel_error = 0;  // 0: loads
    int crema_error = 0;
    std::string kernel_reason;
    std::string crema_reason;
    std::uint64_t kernel_insns = 0;  // walked by the verifier
    std::uint64_t crema_insns = 0;
    std::size_t packets = 0;
    std::string difference;  // the first one
};

/// Needs prepare_kernel and prepare_crema. `random_packets` follow the fixed ones.
[[nodiscard]] Encounter meet(const ForeignProgram& program, std::size_t random_packets);

/// One line of a Markdown table; table_head() names its columns.
[[nodiscard]] std::string table_head();
[[nodiscard]] std::string table_line(const Encounter& encounter);

}  // namespace crema::test
