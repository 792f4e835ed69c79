// SPDX-License-Identifier: BSD-3-Clause
//
// What the running kernel and Crema say to one case of the table when it is loaded as XDP, and
// whether the table's own expectation says anything about XDP programs.
#pragma once

#include <cstdint>
#include <string>

#include "tests/selftests/bpf_face.h"
#include "tests/selftests/case_file.h"

namespace crema::test {

enum class Verdict : std::uint8_t {
    accepted,
    verified,  // proved safe, but refused behind the verifier: cannot be compiled here
    refused,
    no_map,  // a map of the case cannot be made
    no_btf,  // the case's types are refused
};

struct Judgement {
    Verdict verdict = Verdict::refused;
    int error = 0;
    std::string reason;           // last words of the log, or what could not be made
    std::uint64_t processed = 0;  // instructions that the verifier walked
    double seconds = 0;

    /// The verifier's answer, whatever happened behind it.
    [[nodiscard]] bool is_safe() const {
        return verdict == Verdict::accepted || verdict == Verdict::verified;
    }
};

[[nodiscard]] Judgement judge(BpfFace& face, const TableCase& c);

/// Whether the table's verdict is a claim about XDP programs.
enum class Claim : std::uint8_t {
    xdp,            // the case is an XDP program
    any_type,       // of no type or a socket filter, and holds in the running kernel for XDP, too
    other_type,     // of another type: its rules (context, helpers, return values) are not XDP's
    not_for_xdp,    // of no type or a socket filter, but XDP's rules differ in the running kernel
    kernel_differs  // an XDP program that the running kernel judges differently
};

[[nodiscard]] Claim claim_of(const TableCase& c, const Judgement& kernel);

}  // namespace crema::test
